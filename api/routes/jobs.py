"""Jobs: how they stand, listing and cancelling them."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http import openapi
from api.http.cursors import bad_cursor, bad_parameter, limit_of, make_cursor, next_link, read_cursor
from api.http.direct_route import DirectRoute
from api.http.requests import headers_of, json_response, wait_seconds
from api.jobs.job_json import job_json, status_response
from api.server.services import services_of
from shared.errors import JobUnknown
from shared.jobs.records import cancel_job, list_jobs
from shared.messaging.messages import Notice
from shared.status import JobStatus

router = APIRouter(tags=["jobs"], route_class=DirectRoute, dependencies=[openapi.BEARER])

_PAGE, _LARGEST_PAGE = 100, 1000


@router.get("/v1/jobs/{job_id}", **openapi.READ_JOB)
async def read_job(request: Request) -> Response:
    """How a job stands, with the result of a single one. `Prefer: wait=N` waits for its end, N seconds at most."""
    services = services_of(request)
    headers = headers_of(request)
    caller = await services.auth.caller(headers.get(b"authorization"))
    job = await services.statuses.read(job_id_of(request), caller.owner)
    seconds = wait_seconds(request, headers)
    if seconds:
        job = await services.waiting.wait(job, seconds)
    return status_response(job, seconds)


@router.get("/v1/jobs", **openapi.LIST_JOBS)
async def read_jobs(request: Request) -> Response:
    """The caller's jobs, newest first."""
    services = services_of(request)
    caller = await services.auth.caller(headers_of(request).get(b"authorization"))
    limit = limit_of(request, default=_PAGE, most=_LARGEST_PAGE)
    status = _status_of(request)
    before = _before(request)
    jobs = await services.quick.read(
        lambda connection: list_jobs(connection, caller.owner, limit=limit + 1, before=before, status=status)
    )
    cursor, headers = None, []
    if len(jobs) > limit:
        jobs = jobs[:limit]
        cursor = make_cursor(jobs[-1].job_id)
        kept = [("status", status.value)] if status else []
        headers.append(next_link("/v1/jobs", [("limit", limit), *kept, ("cursor", cursor)]))
    return json_response({"jobs": [job_json(job) for job in jobs], "next": cursor}, headers=headers)


@router.post("/v1/jobs/{job_id}/cancel", **openapi.CANCEL_JOB)
async def cancel(request: Request) -> Response:
    """Stop what is not scored yet; what is scored stays. Doing it twice is the same as once."""
    services = services_of(request)
    caller = await services.auth.caller(headers_of(request).get(b"authorization"))
    job_id = job_id_of(request)
    job = await services.quick.write(lambda connection: cancel_job(connection, job_id, caller.owner))
    services.waiting.notify(Notice(job.batch_id or 0, None if job.kind == "single" else job.job_id))
    return status_response(job)


def job_id_of(request: Request) -> UUID:
    """The job id in the path. Raises JobUnknown where it is none."""
    job_id = request.scope["path"].split("/")[3]
    try:
        return UUID(job_id)
    except ValueError:
        raise JobUnknown(job_id[:80]) from None


def _status_of(request: Request) -> JobStatus | None:
    given = request.query_params.get("status")
    if given is None:
        return None
    try:
        return JobStatus(given)
    except ValueError:
        raise bad_parameter("status", f"status must be one of {', '.join(JobStatus)}") from None


def _before(request: Request) -> UUID | None:
    found = read_cursor(request, 1)
    if found is None:
        return None
    try:
        return UUID(found[0])
    except ValueError:
        raise bad_cursor() from None
