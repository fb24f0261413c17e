"""The audit log: who did what, when, and from where."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.responses import Response

from api.access.dependencies import AdminCaller, CurrentServices
from api.http.cursors import Cursor, make_cursor, next_link, read_number_cursor
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.requests import Raw
from api.http.validation import GivenTime
from api.schemas import admin as schemas
from shared.audit.reading import Act, ActFilter, Place, acts_after, newest_acts

router = APIRouter(tags=["audit log"], route_class=ModelRoute, responses=PROBLEMS)

_NEWEST = "n"  # a cursor of the newest lines; one of the oldest has their place
_LARGEST_ID, _LARGEST_EPOCH = 2**63 - 1, 2**31 - 1  # that their columns take; a transaction's number is cut at 2⁶³, too


@router.get("/v1/audit", summary="The audit log", response_model=schemas.ActList)
async def read_audit(
    services: CurrentServices,
    caller: AdminCaller,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most to give.")] = 100,
    cursor: Cursor = None,
    since: Annotated[GivenTime | None, Query(description="Only at this time or later.")] = None,
    until: Annotated[GivenTime | None, Query(description="Only before this time.")] = None,
    actor: Annotated[str | None, Query(max_length=300, description="Only of this owner or person.")] = None,
    action: Annotated[str | None, Query(max_length=100, description="Only these, as `model.promote`.")] = None,
    order: Annotated[
        Literal["newest", "oldest"], Query(description="`oldest`: from the beginning, for whoever collects all lines.")
    ] = "newest",
) -> Response:
    """Newest first. With `order=oldest` `next` is always there: whoever goes on from it later has missed no line."""
    wanted = ActFilter(since, until, actor, action)
    is_newest = order == "newest"
    place = _place_of(cursor, is_newest=is_newest)

    def read(connection: Connection) -> tuple[bytes, str | None]:
        """The lines as JSON, written in the thread that reads them."""
        page = _newest if is_newest else _from_oldest
        found, following = page(connection, wanted, limit, place)
        return orjson.dumps([_shape(act) for act in found]), following

    acts, following = await services.lists.read(read, owner=caller.owner)
    headers = []
    if following is not None:
        given = {"since": since and since.isoformat(), "until": until and until.isoformat(), "actor": actor,
                 "action": action, "order": order, "limit": limit, "cursor": following}  # fmt: skip
        kept = [(name, value) for name, value in given.items() if value is not None]
        headers.append((b"link", next_link("/v1/audit", kept).encode()))
    return Raw(b'{"acts":%b,"next":%b}' % (acts, orjson.dumps(following)), 200, headers)


def _newest(connection: Connection, wanted: ActFilter, limit: int, place: Place | None) -> tuple[list[Act], str | None]:
    found = newest_acts(connection, wanted, limit=limit + 1, before=None if place is None else place.id)
    has_more, found = len(found) > limit, found[:limit]
    return found, make_cursor(_NEWEST, found[-1].id) if has_more else None


def _from_oldest(
    connection: Connection, wanted: ActFilter, limit: int, place: Place | None
) -> tuple[list[Act], str | None]:
    found = acts_after(connection, wanted, limit=limit, after=place)
    last = found[-1].place if found else place or Place(0, 0, 0)
    return found, make_cursor(last.epoch, last.xid, last.id)


def _place_of(cursor: str | None, *, is_newest: bool) -> Place | None:
    if is_newest:
        found = read_number_cursor(cursor, _LARGEST_ID, kind=_NEWEST)
        return None if found is None else Place(0, 0, *found)
    found = read_number_cursor(cursor, _LARGEST_EPOCH, _LARGEST_ID, _LARGEST_ID)
    return None if found is None else Place(*found)


def _shape(act: Act) -> dict[str, Any]:
    return {name: getattr(act, name) for name in schemas.Act.model_fields}
