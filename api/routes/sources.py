"""Sources: where features come from. Workers read them; this says what they found, and keeps it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy import Connection

from api.access.dependencies import AdminCaller, CurrentServices
from api.http.acts import record
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.schemas import sources as schemas
from shared.sources.description import source_from
from shared.sources.source import Source, add_source, list_sources, read_source, remove_source

router = APIRouter(tags=["sources"], route_class=ModelRoute, responses=PROBLEMS)

_SHOWN_CHANGES = 50  # of a check, in the audit log
Name = Annotated[str, Path(max_length=100, description="The source.", examples=["policyholders"])]


@router.get("/v1/sources", summary="All sources")
async def read_sources(services: CurrentServices, _: AdminCaller) -> schemas.SourceList:
    """The sources that are in use, by name."""
    found = await services.quick.read(list_sources)
    return schemas.SourceList(sources=[_shape(source) for source in found])


@router.post("/v1/sources", status_code=201, summary="Add a source")
async def add(
    request: Request, response: Response, services: CurrentServices, caller: AdminCaller, body: schemas.NewSource
) -> schemas.AddedSource:
    """Read the catalogue of a table and keep it as a source. With `dry_run` nothing is kept: 200."""
    asked = {
        "url_variable": body.url_variable,
        "table": body.table,
        "key": body.key,
        "columns": body.columns,
        "filters": body.filters,
        "settings": body.time_outs,
        "unchecked": body.unchecked,
    }
    found = await services.errands.run("describe_source", caller, asked)
    source = source_from(body.name, body.url_variable, found, chosen=body.columns, time_outs=body.time_outs)
    if body.dry_run:
        response.status_code = 200
        return schemas.AddedSource(source=_shape(source), found=found)

    def keep(connection: Connection) -> Source:
        added = add_source(connection, source)
        after = {"table": f"{added.schema}.{added.relation}", "url_variable": added.url_variable}
        record(connection, request, caller, "source.add", added.name, after=after)
        return added

    added = await services.quick.write(keep)
    services.models.forget()
    return schemas.AddedSource(source=_shape(added), found=found)


@router.get("/v1/sources/{name}", summary="A source")
async def read_one(services: CurrentServices, _: AdminCaller, name: Name) -> schemas.Source:
    """A source with its key, its columns and what was measured."""
    return _shape(await services.quick.read(lambda connection: read_source(connection, name, tells_others=True)))


@router.post("/v1/sources/{name}/check", summary="Check a source")
async def check(request: Request, services: CurrentServices, caller: AdminCaller, name: Name) -> dict[str, Any]:
    """Read the catalogue again: what changed since, and which live versions that breaks."""
    source = await services.quick.read(lambda connection: read_source(connection, name, tells_others=True))
    found: dict[str, Any] = await services.errands.run("check_source", caller, {"source_id": source.id})
    after = {"changes": found["changes"][:_SHOWN_CHANGES]}
    await services.quick.write(
        lambda connection: record(connection, request, caller, "source.check", name, after=after)
    )
    services.models.forget()
    return found


@router.delete("/v1/sources/{name}", status_code=204, response_class=Response, summary="Remove a source")
async def remove(request: Request, services: CurrentServices, caller: AdminCaller, name: Name) -> None:
    """Take a source out of use. Its pages stay readable. Refused while a live version reads it."""

    def end(connection: Connection) -> None:
        gone = remove_source(connection, name)
        record(connection, request, caller, "source.remove", gone.name)

    await services.quick.write(end)


def _shape(source: Source) -> schemas.Source:
    values = asdict(source)
    values["measured"] = {name: value for name, value in source.measured.items() if name != "seen"}  # for checks alone
    names = [field.alias or name for name, field in schemas.Source.model_fields.items()]
    return schemas.Source.model_validate({name: values[name] for name in names})
