"""All that is held of one client, as one file, and the answers that an owner has of her.

The client key travels in the body, and no log has it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from api.access.caller import Caller
from api.access.dependencies import AdminCaller, CurrentServices, FeaturesCaller, ReadCaller
from api.http.acts import record
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.problems import ERRAND_FAILED, NO_WORKER, Problem
from api.schemas import erasures as schemas
from api.server.services import Services
from shared.erasure.answers import client_answers
from shared.erasure.export import export_client
from shared.erasure.find import key_of_hash
from shared.erasure.keys import ClientKey, KeySource, client_key, read_source
from shared.errors import SourceNeeded
from shared.installation import read_installation
from shared.pages.request_id import parse_request_id
from shared.postgres.engine import transaction

router = APIRouter(tags=["clients"], route_class=ModelRoute, responses=PROBLEMS)


_ALL_BITS = 2**64 - 1
_QUEUE_SECONDS = 4.0  # for a thread, as any call waits


@router.post(
    "/v1/clients/export",
    summary="Export a client",
    response_class=Response,
    responses={200: {"description": "All that is held of the client.", "content": {"application/json": {}}}},
)
async def export(
    request: Request, services: CurrentServices, caller: AdminCaller, body: schemas.ClientOrder
) -> Response:
    """Her predictions with the features as they were scored, and her row in the source. Needs an admin key."""

    def begin(connection: Connection) -> ClientKey:
        key = client_key(read_source(connection, body.source, no_source=body.no_source), body.client_id)
        record(connection, request, caller, "client.export", key.place)
        return key

    def work() -> tuple[ClientKey, dict[str, Any]]:
        with transaction(services.downloads.engine) as connection:
            key = begin(connection)  # said before anything is read, and kept whatever happens then
        return key, export_client(services.downloads.engine, key)

    with services.caps.downloads.place(caller):
        key, document = await services.downloads.run_long(work, queue_seconds=_QUEUE_SECONDS, owner=caller.owner)
        document["source_row"] = await _source_row(services, caller, key)
    content = await services.downloads.run_long(partial(orjson.dumps, document, default=_plain), owner=caller.owner)
    headers = {"Content-Disposition": 'attachment; filename="client-export.json"', "Cache-Control": "no-store"}
    return Response(content, media_type="application/json", headers=headers)


async def _source_row(services: Services, caller: Caller, key: ClientKey) -> dict[str, Any]:
    """Her row in the source at this moment, as a worker reads it; or why it is not here."""
    if key.source.id is None:
        return {"state": "none", "detail": "There is no source: callers bring the features."}
    asked = {"source_id": key.source.id, "key": key.text}
    try:
        found: dict[str, Any] = await services.errands.run("read_features", caller, asked)
    except Problem as problem:
        if problem.kind not in (NO_WORKER, ERRAND_FAILED):
            raise
        return {"state": "unavailable", "detail": problem.detail}
    return {"state": "read", "rows": [found["features"]] if found["found"] else []}


@router.post(
    "/v1/clients/answers",
    summary="All answers of a client",
    response_class=Response,
    responses={200: {"description": "Newest first; `next` leads to older ones.", "content": {"application/json": {}}}},
)
async def answers(
    request: Request, services: CurrentServices, caller: ReadCaller, body: schemas.AnswersOrder
) -> Response:
    """What the caller's owner has asked of one client, in single and bulk jobs. The audit log has a line of it."""
    before = parse_request_id(body.cursor) if body.cursor is not None else None

    def work() -> bytes:
        engine = services.downloads.engine
        with transaction(engine) as connection:
            source = read_source(connection, body.source, no_source=body.no_source, models=caller.models)
            key = _named(connection, caller, source, body)
            record(connection, request, caller, "client.answers", key.place)
        with transaction(engine) as connection:
            found, more = client_answers(
                connection, key, caller.owner, model=body.model, models=caller.models, limit=body.limit, before=before
            )
            own_hash = key.hash(read_installation(connection).hash_secret)
        client = {"client_id": key.source.form.natural(key.text), "client_hash": f"{own_hash & _ALL_BITS:016x}"}
        following = found[-1]["request_id"] if more else None
        return orjson.dumps({"source": key.source.name, **client, "answers": found, "next": following})

    with services.caps.lists.place(caller):
        content = await services.downloads.run_long(work, queue_seconds=_QUEUE_SECONDS, owner=caller.owner)
    return Response(content, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.post("/v1/clients/features", summary="A client's features now")
async def features(
    request: Request, services: CurrentServices, caller: FeaturesCaller, body: schemas.FeaturesOrder
) -> schemas.ClientFeatures:
    """What the source has of one client now for a model. Nothing is scored; the audit log has a line."""
    model = await services.models.find(caller, body.model)
    if model.source is None:
        raise SourceNeeded(model.version.model)
    source = model.source

    def work() -> ClientKey:
        with transaction(services.downloads.engine) as connection:
            key = _named(connection, caller, read_source(connection, source.name), body)
            record(connection, request, caller, "features.read", f"source {source.name}")
        return key

    key = await services.downloads.run_long(work, queue_seconds=_QUEUE_SECONDS, owner=caller.owner)
    asked = {"source_id": source.id, "key": key.text, "features": list(model.version.signature.names)}
    found: dict[str, Any] = await services.errands.run("read_features", caller, asked)
    version = model.version
    return schemas.ClientFeatures(model=version.model, model_version=version.version, source=source.name, **found)


def _named(connection: Connection, caller: Caller, source: KeySource, body: schemas.NamedClient) -> ClientKey:
    """The client that is meant. Raises ClientKeyRefused or ClientNotFound.

    By her hash only one of whom the caller's owner has an answer that the caller may see; an admin finds all.
    """
    if body.client_hash is None:
        return client_key(source, body.client_id)
    number = int(body.client_hash, 16)
    secret = read_installation(connection).hash_secret
    owner = None if caller.is_admin else caller.owner
    signed = number - (_ALL_BITS + 1) * (number >> 63)
    return key_of_hash(connection, source, signed, secret, owner=owner, models=caller.models)


def _plain(value: Any) -> str:
    return str(value)
