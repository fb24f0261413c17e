"""Bulk jobs: by keys, by a filter, or by an upload."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http import openapi
from api.http.cursors import bad_parameter, in_query
from api.http.direct_route import DirectRoute
from api.http.problems import MEDIA, Problem
from api.http.requests import JSON_LIMIT, Start, parse_object, read_start, refuse_encoding, require_json, require_utf8
from api.intake.bulk_jobs import Accept
from api.intake.kept_files import keep_body
from api.intake.key_spool import KeySpool
from api.intake.model_directory import ServedModel
from api.intake.selections import (
    AT_ONCE,
    Asked,
    digest_steps,
    filter_steps,
    job_deadline,
    job_name,
    key_steps,
    listed_keys,
    parse_asked,
)
from api.intake.table_uploads import TABLE_TYPES, WORKBOOK, asked_json, parse_table_order
from api.intake.uploads import HashedBody, Upload
from api.routes.keyed_call import KeyedCall, keyed_call
from api.server.deadline import current
from shared.errors import ModelChanged, SourceNeeded
from shared.jobs.accepting.bulk import BulkJob, accept_keys, accept_selection, accept_table
from shared.jobs.accepting.key_pages import KeyPages
from shared.jobs.accepting.singles import Accepted
from shared.sources.references import REFERENCES
from shared.uploaded_files import find_file
from shared.uploads.reader import KeyReader
from shared.uploads.table_order import TableOrder, essence_of

router = APIRouter(tags=["jobs"], route_class=DirectRoute, dependencies=[openapi.BEARER])

_IS_CSV = {"text/csv": True, "application/x-ndjson": False, "application/ndjson": False}  # what an upload may be
_BYTES_PER_ID = 40  # 19 digits, a comma, and room for those who write them in lines
_ROUTE = "/v1/jobs"
_NO_FILE = UUID(int=0)  # of a table before it is kept
_UPLOADS = ", ".join(("text/csv", "application/x-ndjson", *TABLE_TYPES))


@router.post("/v1/jobs", **openapi.CREATE_JOB)
async def create_job(request: Request) -> Response:
    """Ask for predictions of many clients: by their keys, by a filter on their columns, all, or as an upload."""
    call = await keyed_call(request, "bulk")
    media_type = essence_of(call.headers.get(b"content-type", b"application/json").decode("latin-1"))
    has_features = _asks_for_features(request)
    is_csv = _IS_CSV.get(media_type)
    if is_csv is not None:
        return await _receive(call, request, is_csv=is_csv, has_features=has_features)
    if media_type in TABLE_TYPES:
        return await _receive_table(call, request, media_type, has_features=has_features)
    if has_features:
        raise Problem(MEDIA, f"With features=upload send {_UPLOADS}.", headers={"Accept": _UPLOADS})
    return await _accept_json(call, request)


def _asks_for_features(request: Request) -> bool:
    given = request.query_params.get("features")
    if given not in (None, "upload"):
        raise bad_parameter("features", "features can only be 'upload'")
    return given is not None


async def _receive(call: KeyedCall, request: Request, *, is_csv: bool, has_features: bool) -> Response:
    require_utf8(call.headers)
    asked, body = _asked_by_query(call, request), HashedBody(request.receive)

    def digest() -> bytes:
        rows = [body.digest(), "csv" if is_csv else "ndjson", *(["features"] if has_features else [])]
        return hashlib.sha256(orjson.dumps([asked.model, *rows, *asked.of_job()])).digest()

    async def digest_of_all() -> bytes | None:
        return digest() if await _take_rest(call, body) else None

    async def accept() -> Accepted:
        with in_query():
            model = await call.services.models.find(call.caller, asked.model)
        if has_features:
            model = model.pinned()
        reader = _reader(model, is_csv=is_csv, has_features=has_features)
        await call.services.intake.admit_upload(call.caller, call.key)
        with ExitStack() as resources:
            upload = resources.enter_context(Upload(reader, max_rows=call.services.settings.max_upload_rows))
            with call.services.caps.uploads.place(call.caller), current().paused():
                await upload.receive_all(body.receive, call.services.turns, call.caller.key)
            job = replace(await _new_job(call, asked, model, digest()), asked_for="upload")
            if has_features:
                job = replace(job, batch_rows=upload.rows_of_a_page(call.services.settings.bulk_batch_rows))
            accept = partial(accept_keys, job=job, keys=upload.rows, count=upload.count)
            bulk = call.services.intake.bulk
            return await bulk.accept(call.caller, job, upload.count, accept, resources.pop_all())

    accepted = await call.or_earlier(accept(), _ROUTE, digest_of_all)
    return await call.answer(accepted, name=asked.name, deadline=asked.deadline)


async def _take_rest(call: KeyedCall, body: HashedBody) -> bool:
    """Read a body that was refused to its end, to see what it repeats; False where it is too long for a file."""
    with call.services.caps.uploads.place(call.caller), current().paused():
        return await body.take_rest(most_bytes=call.services.settings.max_file_bytes)


async def _receive_table(call: KeyedCall, request: Request, media_type: str, *, has_features: bool) -> Response:
    """Keep the bytes, and leave it to a worker to open them: what it finds wrong is the job's error."""
    refuse_encoding(call.headers)
    asked, body = _asked_by_query(call, request), HashedBody(request.receive)
    said = TableOrder(_NO_FILE, media_type, has_features=has_features, sheet=request.query_params.get("sheet"))

    async def digest() -> bytes:
        return await _table_digest(call, asked, said, body.digest())

    async def digest_of_all() -> bytes | None:
        return await digest() if await _take_rest(call, body) else None

    async def accept() -> Accepted:
        with in_query():
            await call.services.models.find(call.caller, asked.model)
        await call.services.intake.admit_upload(call.caller, call.key)
        upload_id, file = await keep_body(call.services, call.caller, call.headers, body)
        order = replace(said, upload_id=upload_id, media_type=file.media_type)
        with ExitStack() as resources:
            return await _accept(call, await _prepare_table(call, asked, order, await digest()), resources)

    accepted = await call.or_earlier(accept(), _ROUTE, digest_of_all)
    return await call.answer(accepted, name=asked.name, deadline=asked.deadline)


async def _prepare_table(call: KeyedCall, asked: Asked, order: TableOrder, digest: bytes) -> _Ready:
    model = await call.services.models.find(call.caller, asked.model)
    if order.has_features:
        model = model.pinned()
    else:
        model.key_form()
    job = await _new_job(call, asked, model, digest)
    return _Ready(job, 0, partial(accept_table, job=job, order=order))


async def _table_digest(call: KeyedCall, asked: Asked, order: TableOrder, sha256: str) -> bytes:
    return await _digest(call, asked, "table", *asked_json(order, sha256))


def _reader(model: ServedModel, *, is_csv: bool, has_features: bool) -> KeyReader:
    if has_features:
        make = KeyReader.of_csv_features if is_csv else KeyReader.of_ndjson_features
        return make(model.keys or REFERENCES, model.version.signature)
    return (KeyReader.of_csv if is_csv else KeyReader.of_ndjson)(model.key_form())


def _asked_by_query(call: KeyedCall, request: Request) -> Asked:
    """What an upload says of its job, in the query. Raises Invalid."""
    given = request.query_params
    if "sheet" in given and essence_of(call.headers[b"content-type"].decode("latin-1")) != WORKBOOK:
        raise bad_parameter("sheet", "sheet is one of a workbook, and what was sent is none: leave it out")
    with in_query():
        return Asked(given.get("model"), job_name(given.get("name")), job_deadline(given.get("deadline")), None, {})


async def _accept_json(call: KeyedCall, request: Request) -> Response:
    require_json(call.headers, "text/csv", "application/x-ndjson", *TABLE_TYPES)
    for name in request.query_params:  # those of an upload, as no others come so far
        raise bad_parameter(name, f"{name} stands in the body of a JSON call")
    start, told = await read_start(request.receive), _Told()
    accepting = _accept_small(call, start, told) if start.is_small else _accept_large(call, request, start, told)
    accepted = await call.or_earlier(accepting, _ROUTE, told.payload)
    return await call.answer(accepted, name=told.name, deadline=told.deadline)


async def _accept_small(call: KeyedCall, start: Start, told: _Told) -> Accepted:
    content = parse_object(start.body)
    wanted = await _wanted(call, content, told)
    try:
        with ExitStack() as resources:
            return await _accept(call, await _prepare(call, wanted, resources), resources)
    except ModelChanged:
        call.services.models.forget()
        with ExitStack() as resources:
            return await _accept(call, await _prepare(call, wanted, resources), resources)


async def _accept_large(call: KeyedCall, request: Request, start: Start, told: _Told) -> Accepted:
    limit = max(JSON_LIMIT, call.services.settings.max_json_ids * _BYTES_PER_ID)
    with ExitStack() as resources:
        async with call.services.large_json.object(start, request.receive, call.caller, limit) as content:
            ready = await _prepare(call, await _wanted(call, content, told), resources)
            content.clear()
        return await _accept(call, ready, resources)


async def _accept(call: KeyedCall, ready: _Ready, resources: ExitStack) -> Accepted:
    bulk = call.services.intake.bulk
    return await bulk.accept(call.caller, ready.job, ready.rows, ready.accept, resources.pop_all())


@dataclass(slots=True)
class _Told:
    """What a call has told so far, whatever becomes of it: of what was asked, the digest only."""

    digest: bytes | None = None
    name: str | None = None
    deadline: datetime | None = None

    async def payload(self) -> bytes | None:
        """What was asked; None where the body was refused before it could be told."""
        return self.digest


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a JSON body asks for, as far as it is known without a model. `order` is of a file that was sent before."""

    asked: Asked
    digest: bytes
    order: TableOrder | None = None


@dataclass(frozen=True, slots=True)
class _Ready:
    """A job that can be accepted."""

    job: BulkJob
    rows: int  # 0: not known yet
    accept: Accept


async def _wanted(call: KeyedCall, content: dict[str, Any], told: _Told) -> _Wanted:
    """Read the body. Raises Problem, and UploadUnknown."""
    asked, order = parse_asked(content, max_ids=call.services.settings.max_json_ids), None
    told.name, told.deadline = asked.name, asked.deadline
    if "upload" in content:
        order = parse_table_order(content)
        upload_id = order.upload_id
        file = await call.services.quick.read(lambda c: find_file(c, upload_id, call.caller.owner))
        order = replace(order, media_type=file.media_type)
        told.digest = await _table_digest(call, asked, order, file.sha256)
    else:
        told.digest = await _digest(call, asked, asked.where if asked.client_ids is None else asked.client_ids)
    return _Wanted(asked, told.digest, order)


async def _prepare(call: KeyedCall, wanted: _Wanted, resources: ExitStack) -> _Ready:
    """Look at all that was asked for, a millisecond at a time. Raises Problem, FilterRefused and others."""
    settings, turns, key = call.services.settings, call.services.turns, call.caller.key
    asked, digest = wanted.asked, wanted.digest
    if wanted.order is not None:
        return await _prepare_table(call, asked, wanted.order, digest)
    model = await call.services.models.find(call.caller, asked.model)
    if asked.client_ids is None:
        if model.source is None:
            raise SourceNeeded(model.version.model)
        await turns.run(filter_steps(asked.where, model.source, most_values=settings.max_filter_values), key)
        job = await _new_job(call, asked, model, digest)
        return _Ready(job, 0, partial(accept_selection, job=job, where=asked.where))
    keys: KeyPages
    if len(asked.client_ids) <= AT_ONCE:
        keys = listed_keys(asked.client_ids, model.key_form())
    else:
        keys = spool = resources.enter_context(KeySpool())
        await turns.run(key_steps(asked.client_ids, model.key_form(), spool), key)
    job = await _new_job(call, asked, model, digest)
    count = len(asked.client_ids)
    return _Ready(job, count, partial(accept_keys, job=job, keys=keys, count=count))


async def _digest(call: KeyedCall, asked: Asked, *rows: object) -> bytes:
    """Of what is asked for, in one spelling. Without a key nobody wants to know."""
    if not call.key:
        return b""
    return await call.services.turns.run(digest_steps(asked.model, *rows, *asked.of_job()), call.caller.key)


async def _new_job(call: KeyedCall, asked: Asked, model: ServedModel, digest: bytes) -> BulkJob:
    return BulkJob(
        await call.new_job_id(),
        call.caller.owner,
        model.page_rows(call.services.settings.bulk_batch_rows),
        model.target,
        idempotency_key=call.key,
        payload_hash=call.payload_hash(_ROUTE, digest),
        name=asked.name,
        deadline=asked.deadline,
    )
