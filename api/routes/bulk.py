"""Bulk jobs: by keys, by a filter, or by an upload."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http import openapi
from api.http.direct_route import DirectRoute
from api.http.problems import MEDIA, Flaw, Invalid, Problem
from api.http.requests import JSON_LIMIT, parse_object, read_body, refuse_encoding, require_json
from api.intake.model_directory import ServedModel
from api.intake.selections import Asked, checked_filter, job_deadline, job_name, listed_keys, parse_asked
from api.intake.uploads import Upload
from api.routes.keyed_call import KeyedCall, keyed_call
from api.server.deadline import current
from shared.errors import ModelChanged, SourceNeeded
from shared.jobs.accept_bulk import BulkJob, accept_keys, accept_selection
from shared.jobs.accept_singles import Accepted
from shared.sources.references import REFERENCES
from shared.uploads.reader import KeyReader

router = APIRouter(tags=["jobs"], route_class=DirectRoute, dependencies=[openapi.BEARER])

_IS_CSV = {b"text/csv": True, b"application/x-ndjson": False, b"application/ndjson": False}  # what an upload may be
_BYTES_PER_ID = 40  # 19 digits, a comma, and room for those who write them in lines
_ROUTE = "/v1/jobs"
_UPLOADS = "text/csv, application/x-ndjson"


@router.post("/v1/jobs", **openapi.CREATE_JOB)
async def create_job(request: Request) -> Response:
    """Ask for predictions of many clients: by their keys, by a filter on their columns, all, or as an upload."""
    call = await keyed_call(request, "bulk")
    media_type = call.headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
    has_features = _asks_for_features(request)
    is_csv = _IS_CSV.get(media_type)
    if is_csv is not None:
        return await _receive(call, request, is_csv=is_csv, has_features=has_features)
    if has_features:
        raise Problem(MEDIA, f"With features=upload send {_UPLOADS}.", headers={"Accept": _UPLOADS})
    return await _accept_json(call, request)


def _asks_for_features(request: Request) -> bool:
    given = request.query_params.get("features")
    if given not in (None, "upload"):
        raise Invalid(Flaw("/query/features", "invalid_parameter", "features can only be 'upload'"))
    return given is not None


async def _receive(call: KeyedCall, request: Request, *, is_csv: bool, has_features: bool) -> Response:
    refuse_encoding(call.headers)
    settings = call.services.settings
    asked = _asked_by_query(request)
    model = await call.services.models.find(call.caller, asked.model)
    if has_features:
        model = model.pinned()
    reader = _reader(model, is_csv=is_csv, has_features=has_features)
    await call.services.intake.admit_upload(call.caller, call.key)
    with ExitStack() as resources:
        upload = Upload(reader, max_rows=settings.max_upload_rows, has_features=has_features)
        resources.enter_context(upload)
        with current().paused():
            await upload.receive_all(request.receive, silence_seconds=settings.upload_timeout_seconds)
        payload = orjson.dumps([asked.model, upload.digest, *(["features"] if has_features else [])])
        job = await _new_job(call, asked, model, payload)
        if has_features:
            job = replace(job, batch_rows=upload.rows_of_a_page(job.batch_rows))
        accept = partial(accept_keys, job=job, keys=upload, count=upload.count)
        bulk = call.services.intake.bulk
        accepted = await bulk.accept(call.caller, job, upload.count, accept, resources.pop_all())
    return await call.answer(accepted, name=asked.name, deadline=asked.deadline)


def _reader(model: ServedModel, *, is_csv: bool, has_features: bool) -> KeyReader:
    if has_features:
        make = KeyReader.of_csv_features if is_csv else KeyReader.of_ndjson_features
        return make(model.keys or REFERENCES, model.version.signature)
    return (KeyReader.of_csv if is_csv else KeyReader.of_ndjson)(model.key_form())


def _asked_by_query(request: Request) -> Asked:
    """What an upload says of its job, in the query."""
    given = request.query_params
    return Asked(given.get("model"), job_name(given.get("name")), job_deadline(given.get("deadline")), None, {})


async def _accept_json(call: KeyedCall, request: Request) -> Response:
    require_json(call.headers, "text/csv", "application/x-ndjson")
    most = call.services.settings.max_json_ids
    body = await read_body(request.receive, max(JSON_LIMIT, most * _BYTES_PER_ID))
    asked = parse_asked(parse_object(body), max_ids=most)
    try:
        accepted = await _accept_asked(call, asked)
    except ModelChanged:
        call.services.models.forget()
        accepted = await _accept_asked(call, asked)
    return await call.answer(accepted, name=asked.name, deadline=asked.deadline)


async def _accept_asked(call: KeyedCall, asked: Asked) -> Accepted:
    model = await call.services.models.find(call.caller, asked.model)
    bulk = call.services.intake.bulk
    if asked.client_ids is None:
        if model.source is None:
            raise SourceNeeded(model.version.model)
        checked_filter(asked.where, model.source)
        job = await _new_job(call, asked, model, _payload(call, asked.model, asked.where))
        return await bulk.accept(call.caller, job, 0, partial(accept_selection, job=job, where=asked.where))
    keys = listed_keys(asked.client_ids, model.key_form())
    job = await _new_job(call, asked, model, _payload(call, asked.model, asked.client_ids))
    count = len(asked.client_ids)
    return await bulk.accept(call.caller, job, count, partial(accept_keys, job=job, keys=keys, count=count))


def _payload(call: KeyedCall, *asked: object) -> bytes:
    """What is asked for, in one spelling. Without a key nobody wants to know."""
    return orjson.dumps(asked, option=orjson.OPT_SORT_KEYS) if call.key else b""


async def _new_job(call: KeyedCall, asked: Asked, model: ServedModel, payload: bytes) -> BulkJob:
    return BulkJob(
        await call.services.job_ids.new(),
        call.caller.owner,
        call.services.settings.bulk_batch_rows,
        model.target,
        idempotency_key=call.key,
        payload_hash=call.payload_hash(_ROUTE, hashlib.sha256(payload).digest()),
        name=asked.name,
        deadline=asked.deadline,
    )
