"""The answers of a job: JSON pages, or everything at once as CSV or NDJSON."""

from __future__ import annotations

from functools import partial
from uuid import UUID

import orjson
from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api.access.auth import Caller
from api.access.dependencies import parse_job_id
from api.http import openapi
from api.http.cursors import bad_cursor, limit_of, make_cursor, next_link, read_cursor
from api.http.direct_route import DirectRoute
from api.http.negotiation import choose
from api.http.problems import NOT_READY, Problem
from api.http.requests import Raw, address_of, headers_of
from api.jobs.downloads import Download, download_response
from api.jobs.job_json import POLL_SECONDS
from api.server.services import services_of
from shared.jobs.records import read_job
from shared.jobs.results import Readable, begin_copy, read_part, readable
from shared.pages.request_id import RequestId, parse_request_id
from shared.status import JobStatus

router = APIRouter(tags=["results"], route_class=DirectRoute, dependencies=[openapi.BEARER])

_JSON, _CSV, _NDJSON = "application/json", "text/csv", "application/x-ndjson"
_SUFFIX = {_CSV: "csv", _NDJSON: "ndjson"}
_PAGE, _LARGEST_PAGE = 1000, 10_000
_SLICE = 1000  # rows read at a time, so that others come in between
_LARGEST_BYTES = 4_000_000  # of a part: it may be shorter than was asked for, and `next` leads on
_BEFORE_ALL = RequestId(0, 0)  # where a reader goes on who has got no row yet: batches are counted from 1


@router.get("/v1/jobs/{job_id}/results", **openapi.RESULTS)
async def results(request: Request) -> Response:
    """The rows that are ready, in the order in which they were asked for; while a job runs, those from its start."""
    services = services_of(request)
    headers = headers_of(request)
    caller = await services.auth.caller(headers.get(b"authorization"), address_of(request))
    caller.need("read")
    job_id = parse_job_id(request.scope["path"].split("/")[3])
    media_type = choose(headers.get(b"accept", b"*/*").decode("latin-1"), (_JSON, _CSV, _NDJSON))
    extent = await services.quick.read(lambda connection: _extent(connection, job_id, caller))
    if media_type == _JSON:
        return await _page(request, job_id, extent, caller)
    return await download_response(
        Download(services.downloads, caller.owner),
        partial(begin_copy, job_id=job_id, end=extent.end, as_json=media_type == _NDJSON),
        media_type,
        {
            "X-Predictq-Complete": "true" if extent.complete else "false",
            "Content-Disposition": f'attachment; filename="{job_id}.{_SUFFIX[media_type]}"',
            "Vary": "Accept",
        },
        services.caps.downloads.place(caller),
    )


def _extent(connection: Connection, job_id: UUID, caller: Caller) -> Readable:
    """How far the results can be read. Raises JobUnknown, or Problem 409 where there is none yet."""
    job = read_job(connection, job_id, caller.owner, models=caller.models)
    extent = readable(connection, job_id)
    if extent is not None:
        return extent
    if job.status is JobStatus.CANCELLED:  # a single job whose batch still runs for others
        return Readable(0, complete=True)
    raise Problem(NOT_READY, f"The job is {job.status.value}, and its first rows are not scored yet.")


async def _page(request: Request, job_id: UUID, extent: Readable, caller: Caller) -> Response:
    services = services_of(request)
    limit = limit_of(request, default=_PAGE, most=_LARGEST_PAGE)
    after = _after(request, job_id)
    parts: list[bytes] = []
    size = count = 0
    has_more = True
    with services.caps.lists.place(caller):
        while has_more and count < limit and size < _LARGEST_BYTES:
            most = min(_SLICE, limit - count)
            read = partial(read_part, job_id=job_id, end=extent.end, after=after, limit=most)
            found = await services.lists.read(read, owner=caller.owner)
            has_more = found.has_more
            if found.last is not None:
                after = found.last
                count += found.count
                size += len(found.rows)
                parts.append(found.rows)
    cursor = None
    headers = [(b"x-predictq-complete", b"true" if extent.complete else b"false"), (b"vary", b"accept")]
    if has_more or not extent.complete:
        cursor = make_cursor(job_id, after or _BEFORE_ALL)
        link = next_link(request.scope["path"], [("limit", limit), ("cursor", cursor)])
        headers.append((b"link", link.encode()))
    if not (has_more or extent.complete):
        headers.append((b"retry-after", POLL_SECONDS))
    head = orjson.dumps({"job_id": job_id, "complete": extent.complete, "next": cursor})
    return Raw(b'%b,"rows":[%b]}' % (head[:-1], b",".join(parts)), 200, headers)


def _after(request: Request, job_id: UUID) -> RequestId | None:
    """The last row that the caller has; None to begin with the first. Raises Invalid."""
    found = read_cursor(request.query_params.get("cursor"), 2)
    if found is None:
        return None
    last = parse_request_id(found[1])
    if last is None or found[0] != str(job_id):
        raise bad_cursor()
    return last
