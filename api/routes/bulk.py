"""Bulk jobs: by ids, by a filter, or by an upload."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http import openapi
from api.http.direct_route import DirectRoute
from api.http.requests import JSON_LIMIT, parse_object, read_body, refuse_encoding, require_json
from api.intake.selections import parse_selection
from api.intake.uploads import Upload
from api.routes.keyed_call import KeyedCall, keyed_call
from api.server.deadline import current
from shared.jobs.accept_bulk import BulkJob, ListedIds, accept_ids, accept_selection
from shared.jobs.accept_singles import Accepted
from shared.uploads.keys import IntegerKey, KeyForm
from shared.uploads.reader import KeyReader

router = APIRouter(tags=["jobs"], route_class=DirectRoute, dependencies=[openapi.BEARER])

_READERS: dict[bytes, Callable[[KeyForm], KeyReader]] = {
    b"text/csv": KeyReader.of_csv,
    b"application/x-ndjson": KeyReader.of_ndjson,
    b"application/ndjson": KeyReader.of_ndjson,
}
_BYTES_PER_ID = 40  # 19 digits, a comma, and room for those who write them in lines


@router.post("/v1/jobs", **openapi.CREATE_JOB)
async def create_job(request: Request) -> Response:
    """Ask for predictions of many clients: by ids, by a filter on their features, all, or as an upload."""
    call = await keyed_call(request)
    media_type = call.headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
    make_reader = _READERS.get(media_type)
    accepted = await (
        _accept_json(call, request) if make_reader is None else _receive(call, request, make_reader(IntegerKey()))
    )
    return await call.answer(accepted)


async def _receive(call: KeyedCall, request: Request, reader: KeyReader) -> Accepted:
    refuse_encoding(call.headers)
    settings = call.services.settings
    await call.services.intake.admit_upload(call.caller, call.key)
    with ExitStack() as resources:
        upload = resources.enter_context(Upload(reader, max_rows=settings.max_upload_rows))
        with current().paused():
            await upload.receive_all(request.receive, silence_seconds=settings.upload_timeout_seconds)
        job = await _new_job(call, upload.digest)
        accept = partial(accept_ids, job=job, client_ids=upload, count=upload.count)
        return await call.services.intake.bulk.accept(call.caller, job, upload.count, accept, resources.pop_all())


async def _accept_json(call: KeyedCall, request: Request) -> Accepted:
    require_json(call.headers, "text/csv", "application/x-ndjson")
    most = call.services.settings.max_json_ids
    body = await read_body(request.receive, max(JSON_LIMIT, most * _BYTES_PER_ID))
    ids, where = parse_selection(parse_object(body), max_ids=most)
    if ids is None:
        job = await _new_job(call, _digest(orjson.dumps(where, option=orjson.OPT_SORT_KEYS)))
        return await call.services.intake.bulk.accept(
            call.caller, job, 0, partial(accept_selection, job=job, where=where)
        )
    # As an upload's: the same ids are the same payload. Without a key nobody asks.
    job = await _new_job(call, _digest("".join(f"{item}\n" for item in ids).encode()) if call.key else "")
    accept = partial(accept_ids, job=job, client_ids=ListedIds(ids), count=len(ids))
    return await call.services.intake.bulk.accept(call.caller, job, len(ids), accept)


async def _new_job(call: KeyedCall, digest: str) -> BulkJob:
    return BulkJob(
        await call.services.job_ids.new(),
        call.caller.owner,
        call.services.settings.bulk_batch_rows,
        idempotency_key=call.key,
        payload_hash=call.payload_hash(b"/v1/jobs", digest.encode()),
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
