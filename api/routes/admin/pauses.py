"""Pauses: holding back the work of a queue or of a model, and letting it go on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from sqlalchemy import Connection

from api.access.caller import Caller
from api.access.dependencies import CurrentServices, OperateCaller, require_role
from api.http.acts import record
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.validation import PlainNumber
from api.schemas import admin as schemas
from shared.pauses import Pause, begin_pause, end_pause, list_pauses
from shared.status import Queue

router = APIRouter(tags=["pauses"], route_class=ModelRoute, responses=PROBLEMS)

# Whoever may end a pause has to see which there are.
Onlooker = Annotated[Caller, Depends(require_role("read", "operate"))]
PauseId = Annotated[int, PlainNumber, Path(ge=1, le=2**31 - 1, description="The pause.")]
_RINGS = 16  # messages that wake workers after a pause; the sweeper sees to the rest


@router.get("/v1/pauses", summary="What is paused")
async def read_pauses(services: CurrentServices, caller: Onlooker) -> schemas.PauseList:
    """All that is held back, and why; of other models nothing, where the key is limited to some."""
    found = await services.quick.read(list_pauses)
    return schemas.PauseList(
        pauses=[_shape(item) for item in found if item.model is None or caller.may_use(item.model)]
    )


@router.post(
    "/v1/pauses", status_code=201, summary="Pause a queue or a model", responses={200: {"model": schemas.Pause}}
)
async def pause(
    request: Request, response: Response, services: CurrentServices, caller: OperateCaller, body: schemas.NewPause
) -> schemas.Pause:
    """Nothing more of it is begun, by any worker; what is in hand is finished, and what waits loses nothing.

    Jobs are accepted as ever. What is paused already stays as it was: 200.
    """
    _need(caller, body.model)

    def begin(connection: Connection) -> tuple[Pause, bool]:
        begun, is_new = begin_pause(
            connection, queue=body.queue, model=body.model, reason=body.reason, actor=caller.actor
        )
        if is_new:
            record(connection, request, caller, "pause.begin", begun.what, reason=begun.reason)
        return begun, is_new

    begun, is_new = await services.quick.write(begin)
    if not is_new:
        response.status_code = 200
    return _shape(begun)


@router.delete("/v1/pauses/{pause_id}", status_code=204, response_class=Response, summary="Resume")
async def resume(request: Request, services: CurrentServices, caller: OperateCaller, pause_id: PauseId) -> None:
    """Work goes on within seconds. The time that it was paused counts nowhere as waiting."""

    def end(connection: Connection) -> Pause:
        ended = end_pause(connection, pause_id, models=caller.models)
        _need(caller, ended.model)
        record(connection, request, caller, "pause.end", ended.what)
        return ended

    ended = await services.quick.write(end)
    for queue in Queue if ended.queue is None else (ended.queue,):
        services.publisher.put(_RINGS, queue)


def _need(caller: Caller, model: str | None) -> None:
    """Raise Problem 403 where the pause is of more than the caller's models."""
    if model is None:
        caller.need_all_models()
    else:
        caller.need_model(model)


def _shape(found: Pause) -> schemas.Pause:
    return schemas.Pause(**asdict(found))
