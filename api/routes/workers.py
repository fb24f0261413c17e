"""Workers: who is alive, what they can load, and what they do now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from fastapi import APIRouter
from sqlalchemy import Connection

from api.access.caller import Caller
from api.access.dependencies import CurrentServices, OperateCaller
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.schemas import workers as schemas
from shared.watching.workers import Named, Worker, living_workers, name_batches, name_versions

router = APIRouter(tags=["workers"], route_class=ModelRoute, responses=PROBLEMS)


@router.get("/v1/workers", summary="Who works")
async def read_workers(services: CurrentServices, caller: OperateCaller) -> schemas.WorkerList:
    """The workers that were heard of in the last 30 s, by name. Each writes about itself every 5 s."""

    def read(connection: Connection) -> tuple[list[Worker], dict[int, Named], dict[int, Named]]:
        workers = living_workers(connection)
        versions = {number for worker in workers for number in worker.loaded_versions}
        batches = {number for worker in workers for number in worker.current_batches}
        return workers, name_versions(connection, versions), name_batches(connection, batches)

    workers, versions, batches = await services.quick.read(read)
    return schemas.WorkerList(workers=[_shape(worker, versions, batches, caller) for worker in workers])


def _shape(
    worker: Worker, versions: Mapping[int, Named], batches: Mapping[int, Named], caller: Caller
) -> schemas.Worker:
    loaded = [named for number in worker.loaded_versions if (named := versions.get(number))]
    names = sorted((named.model, named.version) for named in loaded if caller.may_use(named.model))
    values = {field.name: getattr(worker, field.name) for field in fields(worker)}
    values["loaded_versions"] = [f"{model}:{version}" for model, version in names]
    values["models"] = worker.models and [name for name in worker.models if caller.may_use(name)]
    values["takes_others"] = len(values["models"] or ()) < len(worker.models or ())
    current = [_current(number, named, caller) for number in worker.current_batches if (named := batches.get(number))]
    return schemas.Worker(**{**values, "current_batches": current})


def _current(number: int, batch: Named, caller: Caller) -> schemas.CurrentBatch:
    if not caller.may_use(batch.model):
        return schemas.CurrentBatch(id=number, model=None, model_version=None, job_id=None, is_own=False)
    return schemas.CurrentBatch(
        id=number,
        model=batch.model,
        model_version=batch.version,
        job_id=batch.job_id,
        is_own=batch.owner == caller.owner,
    )
