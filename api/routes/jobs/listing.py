"""Jobs: listing and cancelling them."""

from __future__ import annotations

from contextvars import copy_context
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.access.caller import Caller
from api.access.dependencies import CurrentServices, JobId, ReadCaller, require_role
from api.http.acts import record
from api.http.cursors import Cursor, bad_cursor, make_cursor, next_link, read_cursor
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.requests import Raw
from api.http.validation import GivenTime
from api.jobs.job_json import bare, job_json
from api.schemas import jobs as schemas
from shared.jobs.lists import ID_PART, JobFilter, find_jobs
from shared.jobs.records import JobRecord, stop_job
from shared.messaging.messages import Notice
from shared.status import JobStatus

router = APIRouter(tags=["jobs"], route_class=ModelRoute, responses=PROBLEMS)

_ID_PART_MEANS = "The beginning of an id, at least 8 digits; after `…` the last 4 of it may follow."
Canceller = Annotated[Caller, Depends(require_role("predict", "bulk", "operate"))]


@router.get("/v1/jobs", summary="Your jobs", response_model=schemas.JobPage, response_model_exclude_unset=True)
async def read_jobs(
    services: CurrentServices,
    caller: ReadCaller,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most to give.")] = 100,
    cursor: Cursor = None,
    status: Annotated[JobStatus | None, Query(description="Only these.")] = None,
    model: Annotated[str | None, Query(max_length=100, description="Only of this model.")] = None,
    name: Annotated[str | None, Query(max_length=200, description="Only where this is a part of the name.")] = None,
    since: Annotated[GivenTime | None, Query(description="Only accepted at this time or later.")] = None,
    until: Annotated[GivenTime | None, Query(description="Only accepted before this time.")] = None,
    kind: Annotated[Literal["single", "bulk"] | None, Query(description="Only these.")] = None,
    job_id: Annotated[str | None, Query(alias="id", pattern=ID_PART, description=_ID_PART_MEANS)] = None,
    errors: Annotated[
        Literal["any", "none"] | None, Query(description="Only ended jobs with an error, or without any.")
    ] = None,
) -> Response:
    """The caller's jobs, newest first. A `Link` header leads to the next page; filtered, a page may be short."""
    before = _job_of(cursor)
    has_errors = None if errors is None else errors == "any"
    wanted = JobFilter(status, model, name, since, until, kind, job_id, has_errors)
    most, models, context = min(limit, services.settings.max_listed_jobs), caller.models, copy_context()

    def read(connection: Connection) -> tuple[bytes, UUID | None]:
        """The jobs as JSON, written in the thread that reads them."""
        jobs, more = find_jobs(connection, caller.owner, wanted, limit=most + 1, before=before, models=models)
        if len(jobs) > most:
            jobs = jobs[:most]
            more = jobs[-1].job_id
        return orjson.dumps([context.run(job_json, job) for job in jobs]), more

    with services.caps.lists.place(caller):
        jobs, more = await services.lists.read(read, owner=caller.owner)
    following = None if more is None else make_cursor(more)
    headers = []
    if following is not None:
        given = {"status": status, "model": model, "name": name, "since": since, "until": until}
        given |= {"kind": kind, "id": job_id, "errors": errors}
        kept = [
            (key, value.isoformat() if isinstance(value, datetime) else str(value))
            for key, value in given.items()
            if value is not None
        ]
        link = next_link("/v1/jobs", [("limit", limit), *kept, ("cursor", following)])
        headers.append((b"link", link.encode()))
    return Raw(b'{"jobs":%b,"next":%b}' % (jobs, orjson.dumps(following)), 200, headers)


@router.post(
    "/v1/jobs/{job_id}/cancel", summary="Cancel a job", response_model=schemas.Job, response_model_exclude_unset=True
)
async def cancel(request: Request, services: CurrentServices, caller: Canceller, job_id: JobId) -> dict[str, Any]:
    """Stop what is not scored yet; what is scored stays. Doing it twice is the same as once.

    With the role `operate` also a job of another owner. Of that, and without the role `read`, the answer tells nothing
    of clients and their answers.
    """
    owner = None if caller.may("operate") else caller.owner

    def stop(connection: Connection) -> JobRecord:
        stopped, has_stopped = stop_job(connection, job_id, owner, models=caller.models, actor=caller.actor)
        if has_stopped or stopped.owner != caller.owner:
            after = {"owner": stopped.owner, "status": stopped.status.value}
            record(connection, request, caller, "job.cancel", f"job {job_id}", after=after)
        return stopped

    job = await services.lists.write(stop, owner=caller.owner)
    services.notify(Notice(job.batch_id or 0, None if job.kind == "single" else job.job_id))
    return job_json(job if job.owner == caller.owner and caller.may("read") else bare(job))


def _job_of(cursor: str | None) -> UUID | None:
    found = read_cursor(cursor, 1)
    if found is None:
        return None
    try:
        return UUID(found[0])
    except ValueError:
        raise bad_cursor() from None
