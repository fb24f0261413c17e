"""Workers: who is alive, what they can load, and what they do now."""

from __future__ import annotations

from fastapi import APIRouter

from api.access.dependencies import CurrentServices, OperateCaller
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.schemas import workers as schemas
from shared.watching.workers import living_workers

router = APIRouter(tags=["workers"], route_class=ModelRoute, responses=PROBLEMS)


@router.get("/v1/workers", summary="Who works")
async def read_workers(services: CurrentServices, _: OperateCaller) -> schemas.WorkerList:
    """The workers that were heard of in the last 30 s, by name. Each writes about itself every 5 s."""
    found = await services.quick.read(living_workers)
    return schemas.WorkerList(workers=[schemas.Worker.model_validate(worker, from_attributes=True) for worker in found])
