"""The answers of a job: JSON pages, or everything at once as CSV or NDJSON."""

from __future__ import annotations

import re
from functools import partial
from time import monotonic
from typing import NamedTuple
from uuid import UUID

import orjson
from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api.access.caller import Caller
from api.access.dependencies import current_validity, parse_job_id
from api.http import openapi
from api.http.cursors import bad_cursor, bad_parameter, limit_of, make_cursor, next_link, read_cursor
from api.http.direct_route import DirectRoute
from api.http.negotiation import choose
from api.http.problems import NOT_READY, Flaw, Invalid, Problem
from api.http.requests import Raw, address_of, headers_of
from api.jobs.downloads import Download, download_response
from api.jobs.job_json import POLL_SECONDS
from api.server.services import services_of
from shared.jobs.error_counts import read_errors as read_counts
from shared.jobs.records import read_job
from shared.jobs.results import Readable, begin_copy, read_errors, read_part, readable
from shared.pages.request_id import RequestId, parse_request_id
from shared.sources.near_names import nearest
from shared.status import JobStatus, RowError

router = APIRouter(tags=["results"], route_class=DirectRoute, dependencies=[openapi.BEARER])

_JSON, _CSV, _NDJSON = "application/json", "text/csv", "application/x-ndjson"
_AS_FILE = "Parquet, Arrow and Excel are written as files: POST /v1/jobs/{job_id}/exports."
_CODES = frozenset(RowError)
_ANY, _CODE = "only", re.compile("[a-z][a-z_]{0,59}")
_SUFFIX = {_CSV: "csv", _NDJSON: "ndjson"}
_PAGE, _LARGEST_PAGE = 1000, 10_000
_SLICE = 1000  # rows read at a time, so that others come in between
_SECONDS = 3.0  # after which a part ends as it is: rows of a rare error lie far apart
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
    media_type = choose(headers.get(b"accept", b"*/*").decode("latin-1"), (_JSON, _CSV, _NDJSON), _AS_FILE)
    errors = _errors(request)
    if errors is not None and errors.code is not None and errors.code not in _CODES:
        code = errors.code
        await services.lists.read(lambda connection: _need_code(connection, job_id, caller, code), owner=caller.owner)
    extent = await services.quick.read(lambda connection: _extent(connection, job_id, caller))
    if media_type == _JSON:
        return await _page(request, job_id, extent, caller, errors)
    return await download_response(
        Download(services.downloads, caller.owner, current_validity(request, services, caller)),
        partial(
            begin_copy,
            job_id=job_id,
            end=extent.end,
            as_json=media_type == _NDJSON,
            only_errors=errors is not None,
            code=errors and errors.code,
        ),
        media_type,
        {
            "X-Predictq-Complete": "true" if extent.complete else "false",
            "Content-Disposition": f'attachment; filename="{job_id}{_named(errors)}.{_SUFFIX[media_type]}"',
            "Vary": "Accept",
        },
        services.caps.downloads.place(caller),
    )


class _Errors(NamedTuple):
    """Rows with an error alone; with `code`, with this one."""

    code: str | None


def _errors(request: Request) -> _Errors | None:
    """What `errors` asks for: `only`, or a code. Raises Invalid."""
    given = request.query_params.get("errors")
    if given is None:
        return None
    if not _CODE.fullmatch(given):
        raise Invalid(Flaw("/query/errors", "invalid_parameter", "errors is 'only', or the code of an error of rows"))
    return _Errors(None if given == _ANY else given)


def _need_code(connection: Connection, job_id: UUID, caller: Caller, code: str) -> None:
    """Raise Invalid for a code that is not known, and not among those of the job: a newer worker may have its own."""
    read_job(connection, job_id, caller.owner, models=caller.models)
    if code in (group.code for group in read_counts(connection, job_id, 0)[0]):
        return
    near = nearest(code, (_ANY, *RowError))
    hint = f"did you mean {near}?" if near else f"it is {_ANY}, or one of {', '.join(RowError)}"
    raise bad_parameter("errors", f"{code} is no error of rows: {hint}")


def _named(errors: _Errors | None) -> str:
    return "" if errors is None else f"-{errors.code or 'errors'}"


def _extent(connection: Connection, job_id: UUID, caller: Caller) -> Readable:
    """How far the results can be read. Raises JobUnknown, or Problem 409 where there is none yet."""
    job = read_job(connection, job_id, caller.owner, models=caller.models)
    extent = readable(connection, job_id)
    if extent is not None:
        return extent
    if job.status is JobStatus.CANCELLED:  # a single job whose batch still runs for others
        return Readable(0, complete=True)
    raise Problem(NOT_READY, f"The job is {job.status.value}, and its first rows are not scored yet.")


async def _page(request: Request, job_id: UUID, extent: Readable, caller: Caller, errors: _Errors | None) -> Response:
    services = services_of(request)
    limit = limit_of(request, default=_PAGE, most=_LARGEST_PAGE)
    after = _after(request, job_id)
    parts: list[bytes] = []
    size = count = 0
    has_more = True
    read_rows = read_part if errors is None else partial(read_errors, code=errors.code)
    ends_at = monotonic() + _SECONDS
    with services.caps.lists.place(caller):
        while has_more and count < limit and size < _LARGEST_BYTES and monotonic() < ends_at:
            most = min(_SLICE, limit - count)
            read = partial(read_rows, job_id=job_id, end=extent.end, after=after, limit=most)
            found = await services.lists.read(read, owner=caller.owner)
            has_more = found.has_more
            if found.last is not None:
                after = found.last
            if found.count:
                count += found.count
                size += len(found.rows)
                parts.append(found.rows)
    cursor = None
    headers = [(b"x-predictq-complete", b"true" if extent.complete else b"false"), (b"vary", b"accept")]
    if has_more or not extent.complete:
        cursor = make_cursor(job_id, after or _BEFORE_ALL)
        kept = [] if errors is None else [("errors", errors.code or _ANY)]
        link = next_link(request.scope["path"], [("limit", limit), *kept, ("cursor", cursor)])
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
