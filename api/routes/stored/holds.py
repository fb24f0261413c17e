"""Legal holds. A client key travels in bodies only: no path, no log and no line of the audit log has it."""

from __future__ import annotations

import contextlib
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy import Connection

from api.access.caller import Caller
from api.access.dependencies import AdminCaller, CurrentServices
from api.http.acts import record
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.problems import Problem
from api.http.validation import PlainNumber
from api.schemas import retention as schemas
from api.server.services import Services
from shared.erasure.client_holds import count_held_answers
from shared.errors import DatabaseUnavailable
from shared.postgres.engine import transaction
from shared.retention.rules.client_key import canonical_key
from shared.retention.rules.holds import Hold, add_hold, list_holds, release_hold

router = APIRouter(tags=["holds"], route_class=ModelRoute, responses=PROBLEMS)

HoldId = Annotated[int, PlainNumber, Path(ge=1, le=2**31 - 1, description="The hold.")]


@router.get("/v1/holds", summary="All holds")
async def read_holds(services: CurrentServices, _: AdminCaller) -> schemas.HoldList:
    """The holds that stand, newest first."""
    return schemas.HoldList(holds=[_shape(hold) for hold in await services.quick.read(list_holds)])


@router.post("/v1/holds", status_code=201, summary="Hold a model, a job or a client")
async def hold(
    request: Request, services: CurrentServices, caller: AdminCaller, body: schemas.NewHold
) -> schemas.AddedHold:
    """From now on nothing of it goes by age or is erased. No answers of a client may mean that her key is misspelt."""

    def add(connection: Connection) -> Hold:
        key = None if body.client_id is None else canonical_key(connection, body.client_id, body.source)
        added = add_hold(
            connection,
            reason=body.reason,
            actor=caller.actor,
            model=body.model,
            job_id=body.job_id,
            client_key=key,
            source=body.source,
        )
        _record(connection, request, caller, "hold.add", added)
        return added

    added = await services.quick.write(add)
    answers = None
    with contextlib.suppress(Problem, DatabaseUnavailable):  # the hold stands whether or not they can be counted
        answers = await _count(services, caller, added)
    return schemas.AddedHold(**_shape(added).model_dump(), answers=answers)


@router.delete("/v1/holds/{hold_id}", status_code=204, response_class=Response, summary="Release a hold")
async def release(request: Request, services: CurrentServices, caller: AdminCaller, hold_id: HoldId) -> None:
    """What it kept goes with the next run of retention, if it is due. The hold forgets its client key."""

    def end(connection: Connection) -> None:
        _record(connection, request, caller, "hold.release", release_hold(connection, hold_id))

    await services.quick.write(end)


async def _count(services: Services, caller: Caller, hold: Hold) -> int | None:
    """The stored answers of a held client; None where something else is held."""
    key = hold.client_key
    if key is None:
        return None

    def work() -> int:
        with transaction(services.downloads.engine) as connection:
            return count_held_answers(connection, key, hold.source)

    return await services.downloads.run_long(work, owner=caller.owner)


def _record(connection: Connection, request: Request, caller: Caller, action: str, hold: Hold) -> None:
    what = {"kind": hold.kind, "model": hold.model, "job_id": hold.job_id and str(hold.job_id), "source": hold.source}
    facts = {name: value for name, value in what.items() if value is not None}
    is_new = action == "hold.add"
    before, after = (None, facts) if is_new else (facts, None)
    # Without the reason: a person may have written the client's key into it.
    record(connection, request, caller, action, f"hold {hold.id}", before=before, after=after)


def _shape(hold: Hold) -> schemas.Hold:
    return schemas.Hold(
        id=hold.id,
        model=hold.model,
        job_id=hold.job_id,
        source=hold.source,
        client_id=hold.client_key,
        reason=hold.reason,
        actor=hold.actor,
        created_at=hold.created_at,
    )
