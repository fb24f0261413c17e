"""API keys: making, listing, replacing and revoking them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.access.dependencies import AdminCaller, CurrentServices
from api.http.acts import record
from api.http.cursors import Cursor, make_cursor, next_link, read_number_cursor
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.requests import Raw
from api.schemas import admin as schemas
from shared.access.api_keys import ApiKey, create_key, list_keys, prefixes_of, revoke_key, rotate_key, unknown_models

router = APIRouter(tags=["keys"], route_class=ModelRoute, responses=PROBLEMS)

_LARGEST_ID = 2**31 - 1
Prefix = Annotated[str, Path(max_length=40, description="How the key begins.", examples=["pq_k3xT9aQw"])]


@router.get("/v1/keys", summary="All keys", response_model=schemas.KeyList)
async def read_keys(
    services: CurrentServices,
    _: AdminCaller,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most to give.")] = 100,
    cursor: Cursor = None,
    prefix: Annotated[str | None, Query(max_length=40, description="Only the key that begins so.")] = None,
) -> Response:
    """Newest first, revoked ones too. What they are is not among it: only their hashes are stored."""
    place = read_number_cursor(cursor, _LARGEST_ID)
    before = None if place is None else place[0]

    def read(connection: Connection) -> tuple[bytes, str | None]:
        """The keys as JSON, written in the thread that reads them."""
        found = list_keys(connection, limit=limit + 1, before=before, prefix=prefix)
        prefixes = prefixes_of(connection, {key.rotated_to for key in found if key.rotated_to is not None})
        following = make_cursor(found[limit - 1].id) if len(found) > limit else None
        return orjson.dumps([_shape(key, prefixes) for key in found[:limit]]), following

    found, following = await services.quick.read(read)
    links = [] if following is None else [("limit", limit), ("cursor", following)]
    headers = [(b"link", next_link("/v1/keys", links).encode())] if links else []
    return Raw(b'{"keys":%b,"next":%b}' % (found, orjson.dumps(following)), 200, headers)


@router.post("/v1/keys", status_code=201, summary="Make a key")
async def create(
    request: Request, services: CurrentServices, caller: AdminCaller, body: schemas.NewKey
) -> schemas.MadeKey:
    """The answer has the key, for the only time."""

    def make(connection: Connection) -> tuple[str, ApiKey, list[str]]:
        key, made = create_key(connection, **body.model_dump())
        record(connection, request, caller, "key.create", _name(made), after=_facts(made))
        return key, made, unknown_models(connection, made)

    key, made, unknown = await services.quick.write(make)
    return schemas.MadeKey(key=key, unknown_models=unknown, **_shape(made, {}))


@router.post("/v1/keys/{prefix}/rotate", status_code=201, summary="Replace a key")
async def rotate(
    request: Request,
    services: CurrentServices,
    caller: AdminCaller,
    prefix: Prefix,
    body: schemas.Rotation = schemas.NO_ROTATION,
) -> schemas.RotatedKey:
    """A new key that may do the same; the old one goes on for a while, so that nobody stands outside meanwhile."""
    given = body.overlap_seconds
    seconds = services.settings.key_overlap_seconds if given is None else given

    def replace(connection: Connection) -> tuple[str, ApiKey, ApiKey, list[str]]:
        key, new, old = rotate_key(connection, prefix, overlap_seconds=seconds)
        ends = {"old_key_ends": old.expires_at and old.expires_at.isoformat()}
        record(connection, request, caller, "key.rotate", _name(old), after={"new_key": new.prefix, **ends})
        return key, new, old, unknown_models(connection, new)

    key, new, old, unknown = await services.quick.write(replace)
    assert old.expires_at is not None
    return schemas.RotatedKey(
        key=key, unknown_models=unknown, old_prefix=old.prefix, old_expires_at=old.expires_at, **_shape(new, {})
    )


@router.post("/v1/keys/{prefix}/revoke", summary="Revoke a key")
async def revoke(request: Request, services: CurrentServices, caller: AdminCaller, prefix: Prefix) -> schemas.Key:
    """Refuse a key from now on; every gateway knows within 3 seconds."""

    def end(connection: Connection) -> ApiKey:
        gone = revoke_key(connection, prefix)
        record(connection, request, caller, "key.revoke", _name(gone), before=_facts(gone))
        return gone

    return schemas.Key(**_shape(await services.quick.write(end), {}))


def _name(key: ApiKey) -> str:
    return f"key {key.prefix}"


def _facts(key: ApiKey) -> dict[str, Any]:
    """What the audit log keeps of a key; not the note, which is free text."""
    return {
        "owner": key.owner,
        "roles": list(key.roles),
        "models": None if key.models is None else list(key.models),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "max_waiting_rows": key.max_waiting_rows,
    }


def _shape(key: ApiKey, prefixes: dict[int, str]) -> dict[str, Any]:
    values = asdict(key)
    del values["id"]
    values["rotated_to"] = None if key.rotated_to is None else prefixes.get(key.rotated_to)
    return values
