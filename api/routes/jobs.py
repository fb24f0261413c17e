"""Jobs: listing and cancelling them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.access.dependencies import CurrentCaller, CurrentServices, JobId
from api.http import schemas
from api.http.cursors import Cursor, bad_cursor, make_cursor, next_link, read_cursor
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.jobs.job_json import job_json
from shared.jobs.lists import list_jobs
from shared.jobs.records import cancel_job
from shared.messaging.messages import Notice
from shared.status import JobStatus

router = APIRouter(tags=["jobs"], route_class=ModelRoute, responses=PROBLEMS)


@router.get("/v1/jobs", summary="Your jobs", response_model=schemas.JobPage, response_model_exclude_unset=True)
async def read_jobs(
    services: CurrentServices,
    caller: CurrentCaller,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most to give.")] = 100,
    cursor: Cursor = None,
    status: Annotated[JobStatus | None, Query(description="Only these.")] = None,
) -> dict[str, Any]:
    """The caller's jobs, newest first. A `Link` header leads to the next page."""
    before = _job_of(cursor)
    jobs = await services.lists.read(
        lambda connection: list_jobs(connection, caller.owner, limit=limit + 1, before=before, status=status),
        owner=caller.owner,
    )
    following = None
    if len(jobs) > limit:
        jobs = jobs[:limit]
        following = make_cursor(jobs[-1].job_id)
        kept = [("status", status.value)] if status else []
        response.headers["Link"] = next_link("/v1/jobs", [("limit", limit), *kept, ("cursor", following)])
    return {"jobs": [job_json(job) for job in jobs], "next": following}


@router.post(
    "/v1/jobs/{job_id}/cancel", summary="Cancel a job", response_model=schemas.Job, response_model_exclude_unset=True
)
async def cancel(services: CurrentServices, caller: CurrentCaller, job_id: JobId) -> dict[str, Any]:
    """Stop what is not scored yet; what is scored stays. Doing it twice is the same as once."""
    job = await services.lists.write(
        lambda connection: cancel_job(connection, job_id, caller.owner), owner=caller.owner
    )
    services.waiting.notify(Notice(job.batch_id or 0, None if job.kind == "single" else job.job_id))
    return job_json(job)


def _job_of(cursor: str | None) -> UUID | None:
    found = read_cursor(cursor, 1)
    if found is None:
        return None
    try:
        return UUID(found[0])
    except ValueError:
        raise bad_cursor() from None
