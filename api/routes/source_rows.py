"""Rows of a source for whoever trains a model: a worker reads them, and they are fetched when they are there."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy import Connection

from api.access.dependencies import AdminCaller, CurrentServices, current_validity
from api.http.acts import record
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.problems import ERRAND_FAILED, EXPORT_NOT_READY, NO_WORKER, Flaw, Problem
from api.http.root_path import rooted
from api.jobs.downloads import Download, download_response
from api.routes.jobs.exports import begin_copies
from api.routes.sources import Name
from api.schemas import sources as schemas
from shared.sources.row_files import MEDIA_TYPE, ask_for_rows, drop_rows, find_rows

router = APIRouter(tags=["sources"], route_class=ModelRoute, responses=PROBLEMS)

RowsId = Annotated[UUID, Path(description="The rows, as POST /v1/sources/{name}/rows named them.")]


@router.post("/v1/sources/{name}/rows", status_code=202, summary="Have rows of a source read")
async def ask(
    request: Request,
    response: Response,
    services: CurrentServices,
    caller: AdminCaller,
    name: Name,
    body: schemas.WantedRows,
) -> schemas.RowsAsked:
    """Ask a worker for rows to train a model on, a million at most. They are kept for an hour."""

    def keep(connection: Connection) -> UUID:
        found, columns = ask_for_rows(connection, name, caller.owner, body.columns, rows=body.rows, seed=body.seed)
        asked = {"columns": columns, "rows": body.rows, "rows_id": str(found)}
        record(connection, request, caller, "source.read", name, after=asked)
        return found

    rows_id = await services.quick.write(keep)
    path = rooted(f"/v1/rows/{rows_id}")
    response.headers["Retry-After"] = "1"
    return schemas.RowsAsked(id=rows_id, links={"self": path})


@router.get(
    "/v1/rows/{rows_id}",
    summary="Fetch rows of a source",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {}}, "description": "An Arrow file, whose metadata name its columns."}},
)
async def fetch(request: Request, services: CurrentServices, caller: AdminCaller, rows_id: RowsId) -> Response:
    """The rows as an Arrow file; 409 while a worker still reads them."""
    found = await services.quick.read(lambda connection: find_rows(connection, rows_id, caller.owner))
    if found.failure is not None:
        flaw = Flaw("", found.failure_code or "errand_failed", found.failure)
        raise Problem(ERRAND_FAILED, found.failure, [flaw])
    if found.is_forgotten:
        raise Problem(NO_WORKER, "No worker reads the rows. Is one running? See predictq doctor.")
    if not found.is_complete:
        raise Problem(EXPORT_NOT_READY, "A worker still reads the rows.")
    about = {"rows": found.rows, "rows_id": str(rows_id)}
    await services.quick.write(
        lambda connection: record(connection, request, caller, "source.fetch", found.source, after=about)
    )
    return await download_response(
        Download(services.downloads, caller.owner, current_validity(request, services, caller)),
        partial(begin_copies, found.id, found.size),
        MEDIA_TYPE,
        {"X-Predictq-Rows": str(found.rows), "Content-Length": str(found.size)},
        services.caps.downloads.place(caller),
    )


@router.delete("/v1/rows/{rows_id}", status_code=204, response_class=Response, summary="Delete rows of a source")
async def drop(request: Request, services: CurrentServices, caller: AdminCaller, rows_id: RowsId) -> None:
    """Delete rows that were fetched, before their hour is over."""

    def delete(connection: Connection) -> None:
        source = find_rows(connection, rows_id, caller.owner).source
        drop_rows(connection, rows_id, caller.owner)
        record(connection, request, caller, "source.drop", source, after={"rows_id": str(rows_id)})

    await services.quick.write(delete)
