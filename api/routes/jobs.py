"""Jobs: how they stand, and cancelling them."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import docs
from api.direct import DirectRoute
from api.http import headers_of, wait_seconds
from api.render import status_response
from api.services import services_of
from shared.errors import JobUnknown
from shared.jobs import cancel_job

router = APIRouter(tags=["jobs"], route_class=DirectRoute)


@router.get("/v1/jobs/{job_id}", **docs.READ_JOB)
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


@router.post("/v1/jobs/{job_id}/cancel", **docs.CANCEL_JOB)
async def cancel(request: Request) -> Response:
    """Stop what is not scored yet; what is scored stays. Doing it twice is the same as once."""
    services = services_of(request)
    caller = await services.auth.caller(headers_of(request).get(b"authorization"))
    job_id = job_id_of(request)
    job = await services.quick.write(lambda connection: cancel_job(connection, job_id, caller.owner))
    return status_response(job)


def job_id_of(request: Request) -> UUID:
    """The job id in the path. Raises JobUnknown where it is none."""
    job_id = request.scope["path"].split("/")[3]
    try:
        return UUID(job_id)
    except ValueError:
        raise JobUnknown(job_id[:80]) from None
