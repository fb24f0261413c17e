"""What is done to many clients or many jobs at once: counting a filter, and cancelling what a filter names."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field

from api.access.auth import Caller
from api.access.dependencies import BulkCaller, CurrentServices, require_role
from api.http.model_route import WideRoute
from api.http.openapi import PROBLEMS
from api.http.problems import Flaw, Invalid
from api.intake.selections import filter_steps
from api.schemas.base import ModelName, Shape
from api.server.services import Services
from shared.errors import SourceNeeded
from shared.jobs.lists import JobFilter, find_jobs
from shared.jobs.records import JobRecord, cancel_job
from shared.messaging.messages import Notice
from shared.status import JobStatus

router = APIRouter(tags=["jobs"], route_class=WideRoute, responses=PROBLEMS)

_SECONDS = 3.0  # after which a call says that there is more
_AT_ONCE = 100

Canceller = Annotated[Caller, Depends(require_role("predict", "bulk"))]


class CountOrder(Shape):
    """Which clients: those that `where` selects, or all."""

    model: ModelName
    where: Annotated[dict[str, Any], Field(default_factory=dict, examples=[{"channel": "agency"}])]


class ClientCount(Shape):
    """How many there are at this moment."""

    model: str
    source: str
    count: int


class CancelOrder(Shape):
    """Which of the owner's open jobs; at least one of these, and all that is given must hold."""

    status: Literal["queued", "running"] | None = None
    model: Annotated[str | None, Field(default=None, max_length=100)]
    name: Annotated[str | None, Field(default=None, min_length=1, max_length=200, description="A part of the name.")]


class Cancelled(Shape):
    """How many jobs were cancelled by this call; with `more` there are others: send it again."""

    cancelled: int
    more: bool


@router.post("/v1/jobs/count", summary="Count the clients of a filter")
async def count(services: CurrentServices, caller: BulkCaller, body: CountOrder) -> ClientCount:
    """How many rows a job of this filter would have now. A worker asks the source; nothing is scored."""
    model = await services.models.find(caller, body.model)
    if model.source is None:
        raise SourceNeeded(model.version.model)
    most = services.settings.max_filter_values
    await services.turns.run(filter_steps(body.where, model.source, most_values=most), caller.key)
    arguments = {"source_id": model.source.id, "where": body.where}
    found = await services.errands.run("count", caller.owner, arguments)
    return ClientCount(model=model.version.model, source=model.source.name, count=found["count"])


@router.post("/v1/jobs/cancel", summary="Cancel the jobs of a filter")
async def cancel(services: CurrentServices, caller: Canceller, body: CancelOrder) -> Cancelled:
    """Stop what is not scored yet of all open jobs that fit; what is scored stays."""
    if body.status is None and body.model is None and body.name is None:
        raise Invalid(Flaw("", "filter_expected", "give at least one of status, model and name"))
    ends_at = time.monotonic() + _SECONDS
    statuses = [JobStatus(body.status)] if body.status else [JobStatus.QUEUED, JobStatus.RUNNING]
    total = 0
    for status in statuses:
        wanted = JobFilter(status, body.model, body.name)
        before: UUID | None = None
        while True:
            if time.monotonic() > ends_at:
                return Cancelled(cancelled=total, more=True)
            jobs, more = await _find(services, caller, wanted, before)
            for job in jobs:
                if time.monotonic() > ends_at:
                    return Cancelled(cancelled=total, more=True)
                total += await _cancel(services, caller, job)
            before = jobs[-1].job_id if len(jobs) == _AT_ONCE else more
            if before is None:
                break
    return Cancelled(cancelled=total, more=False)


async def _find(
    services: Services, caller: Caller, wanted: JobFilter, before: UUID | None
) -> tuple[list[JobRecord], UUID | None]:
    return await services.lists.read(
        lambda connection: find_jobs(
            connection, caller.owner, wanted, limit=_AT_ONCE, before=before, models=caller.models
        ),
        owner=caller.owner,
    )


async def _cancel(services: Services, caller: Caller, job: JobRecord) -> bool:
    """Whether it was this call that cancelled it."""
    stopped = await services.lists.write(
        lambda connection: cancel_job(connection, job.job_id, caller.owner, models=caller.models), owner=caller.owner
    )
    services.notify(Notice(stopped.batch_id or 0, None if stopped.kind == "single" else stopped.job_id))
    return stopped.status is JobStatus.CANCELLED
