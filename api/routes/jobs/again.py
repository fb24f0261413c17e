"""An earlier bulk job once more: the whole of it, or the rows that failed."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Request
from sqlalchemy import Engine
from starlette.responses import Response

from api.access.dependencies import JobId
from api.access.long_calls import need_still_valid
from api.http.model_route import ModelRoute
from api.http.openapi import BEARER, PROBLEMS
from api.http.problems import JOB_OPEN, Problem
from api.intake.key_spool import KeySpool
from api.intake.model_directory import ServedModel
from api.routes.keyed_call import KeyedCall, keyed_call
from api.schemas import jobs as schemas
from api.server.deadline import current
from shared.errors import NothingSelected, OtherSource, SourceNeeded
from shared.jobs.accepting.bulk import BulkJob, accept_keys, accept_selection
from shared.jobs.accepting.singles import Accepted
from shared.jobs.again import EarlierJob, earlier_rows, read_earlier
from shared.postgres.engine import transaction

router = APIRouter(tags=["jobs"], route_class=ModelRoute, responses=PROBLEMS, dependencies=[BEARER])
_NONE_FAILED = "No row of the job has an error that could be asked again: there is nothing to retry."
_NONE_LEFT = "No row of the job is left that could be asked again."
_CREATED: dict[str, Any] = {"status_code": 202, "response_model": None, "responses": {200: {"model": schemas.Job}}}


@router.post("/v1/jobs/{job_id}/repeat", summary="Ask the same again", **_CREATED)
async def repeat(request: Request, job_id: JobId) -> Response:
    """A new job of the same filter, or of the same clients in the same order, by the version that is live now.

    Features that came with an upload are scored by the version that they were checked for.
    """
    return await _asked_again(await keyed_call(request, "bulk"), job_id, "repeat", _repeat)


@router.post("/v1/jobs/{job_id}/retry", summary="Ask the failed rows again", **_CREATED)
async def retry(request: Request, job_id: JobId) -> Response:
    """A new job of the rows that have an error, once the job has ended."""
    return await _asked_again(await keyed_call(request, "bulk"), job_id, "retry", _retry)


_Accepting = Callable[[KeyedCall, UUID, EarlierJob], Awaitable[Accepted]]


async def _asked_again(call: KeyedCall, job_id: UUID, what: str, accept: _Accepting) -> Response:
    names: list[str | None] = [None]

    async def accepting() -> Accepted:
        earlier = await _read(call, job_id)
        names.append(earlier.name)
        return await accept(call, job_id, earlier)

    accepted = await call.or_earlier(accepting(), _route(what), _asked(job_id, what))
    return await call.answer(accepted, name=names[-1])


async def _repeat(call: KeyedCall, job_id: UUID, earlier: EarlierJob) -> Accepted:
    if earlier.where is None:
        return await _rows_again(call, job_id, earlier, only_failed=False)
    model = await call.services.models.find(call.caller, earlier.model)
    if model.source is None:
        raise SourceNeeded(earlier.model)
    job = await _new_job(call, job_id, earlier, model, "repeat")
    accept = partial(accept_selection, job=job, where=earlier.where)
    return await call.services.intake.bulk.accept(call.caller, job, 0, accept)


async def _retry(call: KeyedCall, job_id: UUID, earlier: EarlierJob) -> Accepted:
    if not earlier.is_ended:
        raise Problem(JOB_OPEN, "Rows of the job are still open: wait for its end, or cancel it.")
    return await _rows_again(call, job_id, earlier, only_failed=True)


async def _read(call: KeyedCall, job_id: UUID) -> EarlierJob:
    caller = call.caller
    return await call.services.lists.read(
        lambda connection: read_earlier(connection, job_id, caller.owner, models=caller.models), owner=caller.owner
    )


async def _rows_again(call: KeyedCall, job_id: UUID, earlier: EarlierJob, *, only_failed: bool) -> Accepted:
    model = await call.services.models.find(call.caller, earlier.model)
    if earlier.source_id is not None and model.target.source_id != earlier.source_id:
        raise OtherSource(earlier.model)
    target = replace(model.target, storage=earlier.storage or model.target.storage)
    if earlier.has_features:
        target = replace(target, choice=replace(target.choice, model=earlier.model, version=earlier.version))
    job = await _new_job(call, job_id, earlier, replace(model, target=target), "retry" if only_failed else "repeat")
    if earlier.has_features:  # pages as wide as they were
        job = replace(job, batch_rows=min(job.batch_rows, earlier.page_rows))
    services, owner = call.services, call.caller.owner
    await services.intake.admit_upload(call.caller, call.key)
    with services.caps.uploads.place(call.caller), current().paused():  # a job of ten million rows is gone through
        # Kept on disk until they are accepted, as an upload is: no connection waits for another.
        read = partial(_spooled, services.bulk.engine, job_id, only_failed=only_failed)
        rows = await services.bulk.run_long(read, owner=owner)
    with ExitStack() as resources:
        resources.enter_context(rows)
        if rows.count == 0:
            raise NothingSelected(_NONE_FAILED if only_failed else _NONE_LEFT)
        await need_still_valid()  # reading them may have taken minutes
        accept = partial(accept_keys, job=job, keys=rows, count=rows.count)
        return await services.intake.bulk.accept(call.caller, job, rows.count, accept, resources.pop_all())


def _spooled(engine: Engine, job_id: UUID, *, only_failed: bool) -> KeySpool:
    with ExitStack() as resources, transaction(engine) as connection:
        spool = resources.enter_context(KeySpool())
        for part in earlier_rows(connection, job_id, only_failed=only_failed):
            spool.keep(part)
        resources.pop_all()  # whoever gets it closes it
        return spool


async def _new_job(call: KeyedCall, job_id: UUID, earlier: EarlierJob, model: ServedModel, what: str) -> BulkJob:
    return BulkJob(
        await call.new_job_id(),
        call.caller.owner,
        model.page_rows(call.services.settings.bulk_batch_rows),
        model.target,
        idempotency_key=call.key,
        payload_hash=call.payload_hash(_route(what), _asked(job_id, what)),
        name=earlier.name,
        asked_for=what,
        asked_job=job_id,
    )


def _route(what: str) -> str:
    return f"/v1/jobs/{what}"


def _asked(job_id: UUID, what: str) -> bytes:
    return hashlib.sha256(orjson.dumps([str(job_id), what])).digest()
