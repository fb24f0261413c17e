"""Jobs: listing and cancelling them."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime
from sqlalchemy import Connection
from starlette.responses import Response

from api.access.auth import Caller
from api.access.dependencies import CurrentServices, JobId, ReadCaller, require_role
from api.http import schemas
from api.http.acts import record
from api.http.cursors import Cursor, bad_cursor, make_cursor, next_link, read_cursor
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.jobs.job_json import bare, job_json
from shared.jobs.lists import JobFilter, find_jobs
from shared.jobs.records import JobRecord, cancel_job
from shared.messaging.messages import Notice
from shared.status import JobStatus

router = APIRouter(tags=["jobs"], route_class=ModelRoute, responses=PROBLEMS)

Canceller = Annotated[Caller, Depends(require_role("predict", "bulk", "operate"))]


@router.get("/v1/jobs", summary="Your jobs", response_model=schemas.JobPage, response_model_exclude_unset=True)
async def read_jobs(
    services: CurrentServices,
    caller: ReadCaller,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most to give.")] = 100,
    cursor: Cursor = None,
    status: Annotated[JobStatus | None, Query(description="Only these.")] = None,
    model: Annotated[str | None, Query(max_length=100, description="Only of this model.")] = None,
    name: Annotated[str | None, Query(max_length=200, description="Only where this is a part of the name.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Only accepted at this time or later.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Only accepted before this time.")] = None,
) -> dict[str, Any]:
    """The caller's jobs, newest first. A `Link` header leads to the next page; filtered, a page may be short."""
    before = _job_of(cursor)
    wanted = JobFilter(status, model, name, since, until)
    models = caller.models
    jobs, more = await services.lists.read(
        lambda connection: find_jobs(connection, caller.owner, wanted, limit=limit + 1, before=before, models=models),
        owner=caller.owner,
    )
    if len(jobs) > limit:
        jobs = jobs[:limit]
        more = jobs[-1].job_id
    following = None
    if more is not None:
        following = make_cursor(more)
        kept = [
            (field.name, value.isoformat() if isinstance(value, datetime) else str(value))
            for field in fields(wanted)
            if (value := getattr(wanted, field.name)) is not None
        ]
        response.headers["Link"] = next_link("/v1/jobs", [("limit", limit), *kept, ("cursor", following)])
    return {"jobs": [job_json(job) for job in jobs], "next": following}


@router.post(
    "/v1/jobs/{job_id}/cancel", summary="Cancel a job", response_model=schemas.Job, response_model_exclude_unset=True
)
async def cancel(request: Request, services: CurrentServices, caller: Canceller, job_id: JobId) -> dict[str, Any]:
    """Stop what is not scored yet; what is scored stays. Doing it twice is the same as once.

    With the role `operate` also a job of another owner: the answer then tells nothing of clients and their answers.
    """
    owner = None if caller.may("operate") else caller.owner

    def stop(connection: Connection) -> JobRecord:
        stopped = cancel_job(connection, job_id, owner, models=caller.models)
        if stopped.owner != caller.owner:
            after = {"owner": stopped.owner, "status": stopped.status.value}
            record(connection, request, caller, "job.cancel", f"job {job_id}", after=after)
        return stopped

    job = await services.lists.write(stop, owner=caller.owner)
    services.notify(Notice(job.batch_id or 0, None if job.kind == "single" else job.job_id))
    return job_json(job) if job.owner == caller.owner else job_json(bare(job))


def _job_of(cursor: str | None) -> UUID | None:
    found = read_cursor(cursor, 1)
    if found is None:
        return None
    try:
        return UUID(found[0])
    except ValueError:
        raise bad_cursor() from None
