"""Jobs as they change: server-sent events, for programs and for screens."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from api.access.caller import Caller
from api.access.dependencies import CurrentServices, JobId, ReadCaller, current_validity
from api.http.model_route import ModelRoute
from api.http.openapi import EVENTS, PROBLEMS
from api.jobs.event_stream import Follower
from api.server.services import Services

MOST_NAMED = 100  # jobs that one stream may name

router = APIRouter(tags=["jobs"], route_class=ModelRoute, responses=PROBLEMS)


@router.get("/v1/jobs/{job_id}/events", summary="A job as it changes", response_class=Response, responses=EVENTS)
async def job_events(
    request: Request,
    services: CurrentServices,
    caller: ReadCaller,
    job_id: JobId,
    last_event_id: Annotated[str | None, Header(description="The id of the last event that came.")] = None,
) -> Response:
    """Each event is the job as `GET /v1/jobs/{job_id}` shows it, and its id is the number of that state.

    The present state comes first, unless it is the one that `Last-Event-ID` names. After the end of the job the stream
    ends; to a caller who has seen the end the answer is 204, which tells a browser not to call again.
    """
    follower = follower_of(request, services, caller)
    job = await services.statuses.read(job_id, caller)
    seen = int(last_event_id) if last_event_id and last_event_id.isdecimal() and len(last_event_id) < 20 else None
    if seen != job.change_number:
        seen = None
    elif job.status.is_terminal:
        return Response(status_code=204)
    return services.job_events.stream([job], follower, ends_with=job_id, seen=seen)


@router.get("/v1/events", summary="Your jobs as they change", response_class=Response, responses=EVENTS)
async def events(
    request: Request,
    services: CurrentServices,
    caller: ReadCaller,
    job: Annotated[list[UUID], Query(max_length=MOST_NAMED, description="Only these, single ones too.")] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Events of many jobs, each as in a job's own stream: of those that are named, else of all your bulk jobs.

    How the jobs stand comes first: of all your jobs the newest 200, and the newest 200 of those that are open. The
    stream does not end by itself.
    """
    follower = follower_of(request, services, caller)
    if job:
        jobs = [await services.statuses.read(job_id, caller) for job_id in dict.fromkeys(job)]
    else:
        jobs = await services.job_events.present_jobs(caller)
    return services.job_events.stream(jobs, follower, all_of_owner=not job)


def follower_of(request: Request, services: Services, caller: Caller) -> Follower:
    """Who follows: the caller, for as long as her key counts."""
    return Follower(caller, current_validity(request, services, caller))
