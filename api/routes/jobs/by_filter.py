"""What is done to many clients or many jobs at once: counting a filter, and cancelling what a filter names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import Field, StrictBool
from sqlalchemy import Connection

from api.access.caller import Caller
from api.access.dependencies import BulkCaller, CurrentServices, require_role
from api.http.acts import record
from api.http.cursors import in_query
from api.http.model_route import WideRoute
from api.http.openapi import PROBLEMS
from api.http.problems import Flaw, Invalid
from api.http.validation import GivenTime
from api.intake.selections import filter_steps
from api.schemas.base import ModelName, OfModel, Shape
from api.server.services import Services
from shared.errors import SourceNeeded
from shared.jobs.lists import JobFilter, find_jobs
from shared.jobs.records import JobRecord, stop_job
from shared.messaging.messages import Notice
from shared.status import JobStatus

router = APIRouter(tags=["jobs"], route_class=WideRoute, responses=PROBLEMS)

_SECONDS = 3.0  # after which a call says that there is more
_TOLD_IDS = 20  # of jobs, in the audit log
_TOGETHER = 5  # that are cancelled side by side, each in a transaction of its own
_AT_ONCE, _COUNTED_AT_ONCE = 100, 1000
_FIRST_KEYS = 5  # that a count shows

Canceller = Annotated[Caller, Depends(require_role("predict", "bulk"))]


class CountOrder(Shape):
    """Which clients: those that `where` selects, or all."""

    model: ModelName
    where: Annotated[dict[str, Any], Field(default_factory=dict, examples=[{"channel": "agency"}])]


class ClientCount(Shape):
    """How many there are at this moment, and a few of them."""

    model: str
    source: str
    count: int
    first_keys: Annotated[
        list[int | str | dict[str, int | str]] | None,
        Field(
            description="The first five by key, as `client_id` has them. null where the caller has not the role `read`,"
            " which it takes to see whose rows a job has, and where the source did not find them in three seconds.",
            examples=[[1, 4, 9, 11, 12]],
        ),
    ]


class CancelOrder(Shape):
    """Which of the owner's open jobs; at least one of these, and all that is given must hold."""

    status: Literal["queued", "running"] | None = None
    kind: Annotated[Literal["single", "bulk"] | None, Field(default=None)]
    model: Annotated[str | None, Field(default=None, max_length=100)]
    name: Annotated[str | None, Field(default=None, min_length=1, max_length=200, description="A part of the name.")]
    since: Annotated[GivenTime | None, Field(default=None, description="Only accepted at this time or later.")]
    until: Annotated[GivenTime | None, Field(default=None, description="Only accepted before this time.")]
    dry_run: Annotated[StrictBool, Field(default=False, description="Only say how many there are.")]

    @property
    def wanted(self) -> list[JobFilter]:
        """The same as filters, one for each status that a job can be open in."""
        statuses = [JobStatus(self.status)] if self.status else [JobStatus.QUEUED, JobStatus.RUNNING]
        return [JobFilter(status, self.model, self.name, self.since, self.until, self.kind) for status in statuses]


class Cancelled(Shape):
    """How many open jobs fitted and how many this call cancelled; with `more` there are others: send it again."""

    matching: int
    cancelled: int
    more: bool


class FilterColumn(Shape):
    """A column that a filter may name."""

    name: str
    type: str
    use: Literal["key", "feature", "filter"] = Field(
        description="Of the key, a feature of the model, or named for filters when the source was added."
    )


class FilterColumns(Shape):
    """What a filter may name, of the source that a model reads."""

    model: str
    source: str
    columns: list[FilterColumn]


@router.get("/v1/filter-columns", summary="What a filter may name")
async def filter_columns(
    services: CurrentServices,
    caller: BulkCaller,
    model: OfModel = None,
) -> FilterColumns:
    """The key of the model's source, the features of its live version, and the columns that were named for filters.

    Further columns of the source are for administrators to see; a filter may name them as well.
    """
    with in_query():
        found = await services.models.find(caller, model)
    if found.source is None:
        raise SourceNeeded(found.version.model)
    source = found.source
    features = set(found.version.signature.names) - {one.name for one in source.key}
    columns = [
        *(FilterColumn(name=one.name, type=one.type, use="key") for one in source.key),
        *(FilterColumn(name=one.name, type=one.type, use="feature") for one in source.columns if one.name in features),
        *(FilterColumn(name=one.name, type=one.type, use="filter") for one in source.filters),
    ]
    return FilterColumns(model=found.version.model, source=source.name, columns=columns)


@router.post("/v1/jobs/count", summary="Count the clients of a filter")
async def count(services: CurrentServices, caller: BulkCaller, body: CountOrder) -> ClientCount:
    """How many rows a job of this filter would have now, and the first of them. A worker asks the source; nothing is
    scored.
    """
    model = await services.models.find(caller, body.model)
    if model.source is None:
        raise SourceNeeded(model.version.model)
    most = services.settings.max_filter_values
    await services.turns.run(filter_steps(body.where, model.source, most_values=most), caller.key)
    arguments = {"source_id": model.source.id, "where": body.where}
    if caller.may("read"):
        arguments["first_keys"] = _FIRST_KEYS
    found = await services.errands.run("count", caller, arguments)
    return ClientCount(
        model=model.version.model,
        source=model.source.name,
        count=found["count"],
        first_keys=found.get("first_keys"),
    )


@router.post("/v1/jobs/cancel", summary="Cancel the jobs of a filter")
async def cancel(request: Request, services: CurrentServices, caller: Canceller, body: CancelOrder) -> Cancelled:
    """Stop what is not scored yet of all open jobs that fit; what is scored stays."""
    if all(given is None for given in (body.status, body.kind, body.model, body.name, body.since, body.until)):
        words = "give at least one of status, kind, model, name, since and until"
        raise Invalid(Flaw("", "filter_expected", words))
    stopped: list[UUID] = []
    try:
        return await _carry_out(services, caller, body, stopped)
    finally:  # also of what was stopped before something went wrong
        if stopped:
            await services.lists.write(partial(_record, request, caller, body, stopped), owner=caller.owner)


def _record(
    request: Request, caller: Caller, order: CancelOrder, stopped: Sequence[UUID], connection: Connection
) -> None:
    """One line of many jobs, with the ids of the first. Not the name that was looked for, which may be anything."""
    wanted = {"status": order.status, "kind": order.kind, "model": order.model}
    told = {**wanted, "jobs": len(stopped), "first": [str(job_id) for job_id in stopped[:_TOLD_IDS]]}
    record(connection, request, caller, "job.cancel", "jobs of a filter", after=told)


async def _carry_out(services: Services, caller: Caller, order: CancelOrder, stopped: list[UUID]) -> Cancelled:
    """Cancel what fits, or count it, for as long as a call may take. Jobs that it stops are added to `stopped`."""
    ends_at = time.monotonic() + _SECONDS
    matching = 0
    async for jobs in _portions(services, caller, order):
        if order.dry_run:
            matching += len(jobs)
        else:
            for some in (jobs[at : at + _TOGETHER] for at in range(0, len(jobs), _TOGETHER)):
                if time.monotonic() > ends_at:
                    return Cancelled(matching=matching, cancelled=len(stopped), more=True)
                matching += len(some)
                # Each is noted as it ends: where one fails, those beside it are ended all the same.
                await asyncio.gather(*(_cancel(services, caller, job, stopped) for job in some))
        if time.monotonic() > ends_at:
            return Cancelled(matching=matching, cancelled=len(stopped), more=True)
    return Cancelled(matching=matching, cancelled=len(stopped), more=False)


async def _portions(services: Services, caller: Caller, order: CancelOrder) -> AsyncIterator[list[JobRecord]]:
    """The open jobs that fit, some at a time; a portion may be empty."""
    size = _COUNTED_AT_ONCE if order.dry_run else _AT_ONCE
    for wanted in order.wanted:
        before: UUID | None = None
        while True:
            jobs, more = await _find(services, caller, wanted, before, size)
            yield jobs
            before = jobs[-1].job_id if len(jobs) == size else more
            if before is None:
                break


async def _find(
    services: Services, caller: Caller, wanted: JobFilter, before: UUID | None, size: int
) -> tuple[list[JobRecord], UUID | None]:
    return await services.lists.read(
        lambda connection: find_jobs(connection, caller.owner, wanted, limit=size, before=before, models=caller.models),
        owner=caller.owner,
    )


async def _cancel(services: Services, caller: Caller, job: JobRecord, stopped: list[UUID]) -> None:
    """Cancel one; it is added to `stopped` where this call did it."""
    ended, has_stopped = await services.lists.write(
        lambda connection: stop_job(connection, job.job_id, caller.owner, models=caller.models, actor=caller.actor),
        owner=caller.owner,
    )
    if has_stopped:
        stopped.append(job.job_id)
    services.notify(Notice(ended.batch_id or 0, None if ended.kind == "single" else ended.job_id))
