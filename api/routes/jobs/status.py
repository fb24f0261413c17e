"""How one job stands: the call that every caller makes most."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.access.dependencies import parse_job_id
from api.access.long_calls import need_still_valid
from api.http import openapi
from api.http.direct_route import DirectRoute
from api.http.requests import address_of, headers_of, wait_seconds
from api.jobs.job_json import status_response
from api.server.services import services_of

router = APIRouter(tags=["jobs"], route_class=DirectRoute, dependencies=[openapi.BEARER])


@router.get("/v1/jobs/{job_id}", **openapi.READ_JOB)
async def read_job(request: Request) -> Response:
    """How a job stands, with the result of a single one. `Prefer: wait=N` waits for its end, N seconds at most."""
    services = services_of(request)
    headers = headers_of(request)
    caller = await services.auth.caller(headers.get(b"authorization"), address_of(request))
    caller.need("read")
    job = await services.statuses.read(parse_job_id(request.scope["path"].split("/")[3]), caller)
    seconds = wait_seconds(request, headers)
    if seconds:
        with services.caps.waiters.place(caller):
            job = await services.waiting.wait(job, seconds, request.is_disconnected)
        await need_still_valid()
    return status_response(job, seconds)
