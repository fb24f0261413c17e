"""Erasures: one person goes, and after a restore those who had gone before. The client key travels in bodies only."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import Connection

from api.access.caller import Caller
from api.access.dependencies import AdminCaller, CurrentServices
from api.http.acts import record
from api.http.model_route import WideRoute
from api.http.openapi import PROBLEMS
from api.http.root_path import rooted
from api.schemas import erasures as schemas
from shared.erasure.errors import ErasureUnknown
from shared.erasure.kept_hashes import KeptLine
from shared.erasure.keys import ClientKey, client_key, read_source
from shared.erasure.other_sources import OtherSource, other_sources
from shared.erasure.records import ErasureRecord, list_erasures, read_erasure, request_erasure, request_replay
from shared.postgres.engine import transaction

router = APIRouter(tags=["erasures"], route_class=WideRoute, responses=PROBLEMS)

ErasureId = Annotated[str, Path(description="The erasure.", json_schema_extra={"format": "uuid"})]
Limit = Annotated[int, Query(ge=1, le=1000, description="The most to give.")]

_QUEUE_SECONDS = 4.0  # for a thread, as any call waits


@router.post("/v1/erasures", status_code=202, summary="Erase a client")
async def erase(
    request: Request, response: Response, services: CurrentServices, caller: AdminCaller, body: schemas.ErasureOrder
) -> schemas.AskedErasure:
    """All that is held of one client of a source goes, page by page; the rows of her predictions stay as `erased`.

    `elsewhere` are other sources over the same table, and those that have answers for the same key: they keep theirs.
    A legal hold refuses it; how long answers must be kept does not. Needs an admin key.
    """

    def look_elsewhere() -> list[OtherSource]:
        with transaction(services.downloads.engine) as connection:
            return other_sources(connection, _key(connection, body))

    def ask(connection: Connection) -> ErasureRecord:
        asked = request_erasure(connection, _key(connection, body), reason=body.reason, actor=caller.actor)
        _record(connection, request, caller, "erasure.ask", asked)
        return asked

    elsewhere = await services.downloads.run_long(look_elsewhere, queue_seconds=_QUEUE_SECONDS, owner=caller.owner)
    accepted = _accepted(response, await services.quick.write(ask))
    others = [schemas.OtherSource.model_validate(other, from_attributes=True) for other in elsewhere]
    return schemas.AskedErasure(**accepted.model_dump(), elsewhere=others)


@router.post("/v1/erasures/replay", status_code=202, summary="Erase again after a restore")
async def replay(
    request: Request, response: Response, services: CurrentServices, caller: AdminCaller, body: schemas.ReplayOrder
) -> schemas.Erasure:
    """Find everybody whose hash is given among the keys that are held, and erase them. Needs an admin key."""
    wanted = [KeptLine(line.source, line.hash, line.secret) for line in body.erased]

    def ask(connection: Connection) -> ErasureRecord:
        asked = request_replay(connection, wanted, reason=body.reason, actor=caller.actor)
        _record(connection, request, caller, "erasure.replay", asked)
        return asked

    return _accepted(response, await services.quick.write(ask))


@router.get("/v1/erasures", summary="The newest erasures")
async def read_erasures(services: CurrentServices, _: AdminCaller, limit: Limit = 100) -> schemas.ErasureList:
    """Newest first, without the persons."""
    found = await services.quick.read(lambda connection: list_erasures(connection, limit=limit))
    return schemas.ErasureList(erasures=[_shape(record) for record in found])


@router.get("/v1/erasures/{erasure_id}", summary="An erasure")
async def read_one(services: CurrentServices, _: AdminCaller, erasure_id: ErasureId) -> schemas.Erasure:
    """How far it is. `done`: nothing shows the person. `compacted_at`: since then no table file has her bytes."""
    try:
        wanted = UUID(erasure_id)
    except ValueError:
        raise ErasureUnknown(erasure_id) from None
    return _shape(await services.quick.read(lambda connection: read_erasure(connection, wanted)))


def _key(connection: Connection, body: schemas.ErasureOrder) -> ClientKey:
    return client_key(read_source(connection, body.source, no_source=body.no_source), body.client_id)


def _accepted(response: Response, asked: ErasureRecord) -> schemas.Erasure:
    response.headers["Location"] = rooted(f"/v1/erasures/{asked.id}")
    return _shape(asked)


def _record(connection: Connection, request: Request, caller: Caller, action: str, asked: ErasureRecord) -> None:
    facts: dict[str, Any] = {"kind": asked.kind, "source": asked.source}
    after = {name: value for name, value in facts.items() if value is not None}
    record(connection, request, caller, action, f"erasure {asked.id}", after=after)  # the erasure has the reason


def _shape(record: ErasureRecord) -> schemas.Erasure:
    return schemas.Erasure.model_validate(record, from_attributes=True)
