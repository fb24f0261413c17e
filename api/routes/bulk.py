"""Bulk jobs: by ids, by a filter, or by an upload."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import orjson
from fastapi import APIRouter
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response
from uuid_utils.compat import uuid7

from api.access.admission import Room
from api.access.auth import Caller
from api.http import openapi
from api.http.direct_route import DirectRoute
from api.http.problems import MOST_FLAWS, TOO_LARGE, Flaw, Invalid, Problem
from api.http.requests import (
    headers_of,
    idempotency_key,
    parse_object,
    read_body,
    refuse_encoding,
    require_json,
    wait_seconds,
)
from api.intake.id_files import MAX_CLIENT_ID, CsvReader, NdjsonReader, RowReader
from api.intake.uploads import Upload
from api.jobs.job_json import job_response
from api.routes.predict import unknown_fields
from api.server.deadline import current
from api.server.services import Services, services_of
from shared.jobs.accept_bulk import BulkJob, accept_filter, accept_ids
from shared.jobs.accept_singles import Accepted
from shared.sources.selection import filter_condition

router = APIRouter(tags=["jobs"], route_class=DirectRoute, dependencies=[openapi.BEARER])

_READERS: dict[bytes, Callable[[], RowReader]] = {
    b"text/csv": CsvReader,
    b"application/x-ndjson": NdjsonReader,
    b"application/ndjson": NdjsonReader,
}
_BYTES_PER_ID = 21  # 19 digits, a comma and a blank


@router.post("/v1/jobs", **openapi.CREATE_JOB)
async def create_job(request: Request) -> Response:
    """Ask for predictions of many clients: by ids, by a filter on their features, all, or as an upload."""
    services = services_of(request)
    headers = headers_of(request)
    caller = await services.auth.caller(headers.get(b"authorization"))
    key = idempotency_key(headers)
    media_type = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
    make_reader = _READERS.get(media_type)
    if make_reader is not None:
        refuse_encoding(headers)
        await services.intake.admit_upload(caller, key)
        with ExitStack() as resources:
            upload = resources.enter_context(Upload(make_reader(), max_rows=services.settings.max_upload_rows))
            with current().paused():
                await upload.receive_all(request.receive, silence_seconds=services.settings.upload_timeout_seconds)
            accepted = await _accept_upload(services, caller, key, upload, resources.pop_all())
    else:
        require_json(headers, "text/csv", "application/x-ndjson")
        limit = services.settings.max_json_ids * _BYTES_PER_ID + 1000
        content = parse_object(await read_body(request.receive, limit))
        accepted = await _accept_json(services, caller, key, content)
    job = await services.statuses.after(accepted, caller.owner)
    seconds = wait_seconds(request, headers)
    if seconds:
        job = await services.waiting.wait(job, seconds)
    return job_response(job, seconds, replayed=accepted.replayed)


async def _accept_upload(
    services: Services, caller: Caller, key: str | None, upload: Upload, resources: ExitStack
) -> Accepted:
    job = _new_job(services, caller, key, upload.digest)

    def accept(engine: Engine, _: Room) -> Accepted:
        return accept_ids(engine, job, upload.client_ids(), upload.count)

    return await services.intake.bulk.accept(caller, job, upload.count, accept, resources)


async def _accept_json(services: Services, caller: Caller, key: str | None, content: dict[str, Any]) -> Accepted:
    client_ids, where = parse_selection(content, max_ids=services.settings.max_json_ids)
    if client_ids is None:
        filter_condition(where)  # refused here, before a connection is taken
        job = _new_job(services, caller, key, _digest(orjson.dumps(where, option=orjson.OPT_SORT_KEYS)))

        def accept(engine: Engine, room: Room) -> Accepted:  # how many rows it selects is known only in there
            return accept_filter(engine, job, where, check_count=room.take)

        return await services.intake.bulk.accept(caller, job, 1, accept)
    ids = client_ids
    job = _new_job(services, caller, key, _digest("".join(f"{item}\n" for item in ids).encode()) if key else "")
    return await services.intake.bulk.accept(
        caller, job, len(ids), lambda engine, _: accept_ids(engine, job, ids, len(ids))
    )


def parse_selection(content: dict[str, Any], *, max_ids: int) -> tuple[list[int] | None, dict[str, Any]]:
    """What a JSON body selects: a list of ids, or None and a filter. Raises Problem."""
    flaws = unknown_fields(content, "client_ids", "where", "all")
    if not flaws and len(content) != 1:
        flaws.append(Flaw("", "one_of", "give exactly one of client_ids, where and all"))
    if flaws:
        raise Invalid(*flaws)
    if "client_ids" in content:
        return _check_ids(content["client_ids"], max_ids), {}
    if "all" in content:
        if content["all"] is not True:
            raise Invalid(Flaw("/all", "true_expected", "all must be true"))
        return None, {}
    where = content["where"]
    if type(where) is not dict or not where:
        detail = 'where must be an object of columns and values, and not empty: send {"all": true} for all clients'
        raise Invalid(Flaw("/where", "filter_expected", detail))
    return None, where


def _check_ids(ids: Any, max_ids: int) -> list[int]:
    if type(ids) is not list or not ids:
        raise Invalid(Flaw("/client_ids", "ids_expected", "client_ids must be a list of at least one client id"))
    if len(ids) > max_ids:
        detail = f"client_ids may hold {max_ids:,} ids; send more as an upload of text/csv or application/x-ndjson."
        raise Problem(TOO_LARGE, detail)
    if set(map(type, ids)) == {int} and min(ids) > 0 and max(ids) <= MAX_CLIENT_ID:
        return ids
    bad = (n for n, item in enumerate(ids) if type(item) is not int or not 0 < item <= MAX_CLIENT_ID)
    detail = f"must be a whole number from 1 to {MAX_CLIENT_ID}"
    flaws = [
        Flaw(f"/client_ids/{n}", "invalid_client_id", f"client_ids[{n}] {detail}")
        for n, _ in zip(bad, range(MOST_FLAWS), strict=False)
    ]
    raise Invalid(*flaws)


def _new_job(services: Services, caller: Caller, key: str | None, digest: str) -> BulkJob:
    return BulkJob(
        uuid7(),
        caller.owner,
        services.settings.bulk_batch_rows,
        idempotency_key=key,
        payload_hash=key and _digest(f"/v1/jobs\n{digest}".encode()),
        grace_seconds=services.settings.dispatch_grace_seconds,
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
