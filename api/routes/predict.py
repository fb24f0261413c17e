"""Single predictions: by client id, or by features given in the call."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from uuid_utils.compat import uuid7

from api.access.auth import Caller
from api.http import openapi
from api.http.direct_route import DirectRoute
from api.http.problems import Flaw, Invalid, pointer
from api.http.requests import headers_of, idempotency_key, parse_object, read_body, require_json, wait_seconds
from api.intake.id_files import MAX_CLIENT_ID
from api.jobs.job_json import job_response
from api.server.services import Services, services_of
from shared.errors import FeaturesRefused, ModelChanged
from shared.jobs.accept_singles import Accepted, SingleJob
from shared.models.signature import FeatureKind, Signature

router = APIRouter(tags=["predict"], route_class=DirectRoute, dependencies=[openapi.BEARER])


@router.post("/v1/predict", **openapi.PREDICT)
async def predict(request: Request) -> Response:
    """Ask for one prediction from a client's features as they are stored when a worker gets to it."""
    services = services_of(request)
    headers = headers_of(request)
    caller = await services.auth.caller(headers.get(b"authorization"))
    require_json(headers)
    key = idempotency_key(headers)
    client_id = parse_client_id(await read_body(request.receive))
    job = SingleJob(
        uuid7(),
        caller.owner,
        client_id,
        idempotency_key=key,
        payload_hash=key and hashlib.sha256(b"/v1/predict\n%d" % client_id).hexdigest(),
    )
    accepted = await services.intake.accept_single(caller, job)
    return await _answer(services, caller, accepted, client_id, wait_seconds(request, headers))


@router.post("/v1/predict_raw", **openapi.PREDICT_RAW)
async def predict_raw(request: Request) -> Response:
    """Ask for one prediction from features given here; they are checked against the live model."""
    services = services_of(request)
    headers = headers_of(request)
    caller = await services.auth.caller(headers.get(b"authorization"))
    require_json(headers)
    key = idempotency_key(headers)
    values = parse_features(await read_body(request.receive))
    try:
        accepted = await _accept_features(services, caller, values, key)
    except ModelChanged:
        services.live_model.forget()
        accepted = await _accept_features(services, caller, values, key)
    return await _answer(services, caller, accepted, None, wait_seconds(request, headers))


def parse_client_id(body: bytes) -> int:
    """The client id in `{"client_id": 123}`. Raises Problem."""
    content = parse_object(body)
    client_id = content.get("client_id")
    if len(content) == 1 and type(client_id) is int and 0 < client_id <= MAX_CLIENT_ID:
        return client_id
    raise Invalid(*unknown_fields(content, "client_id"), *_client_id_flaws(content))


def unknown_fields(content: dict[str, Any], *known: str) -> list[Flaw]:
    """A flaw for each field that is not among `known`."""
    return [
        Flaw(pointer(name), "unknown_field", f"{name[:80]!r} is not a field of this call; it takes {', '.join(known)}")
        for name in content
        if name not in known
    ]


def _client_id_flaws(content: dict[str, Any]) -> list[Flaw]:
    if "client_id" not in content:
        return [Flaw("/client_id", "missing", "client_id is missing")]
    client_id = content["client_id"]
    if type(client_id) is int and 0 < client_id <= MAX_CLIENT_ID:
        return []
    detail = f"client_id must be a whole number from 1 to {MAX_CLIENT_ID}"
    return [Flaw("/client_id", "invalid_client_id", detail)]


def parse_features(body: bytes) -> dict[str, Any]:
    """The features in `{"features": {name: value}}`. Raises Problem."""
    content = parse_object(body)
    flaws = unknown_fields(content, "features")
    features = content.get("features")
    if type(features) is not dict:
        flaws.append(Flaw("/features", "object_expected", "features must be an object of feature names and values"))
    if flaws:
        raise Invalid(*flaws)
    return dict(features or {})


async def _accept_features(services: Services, caller: Caller, values: dict[str, Any], key: str | None) -> Accepted:
    model = await services.live_model.get()
    text = canonical_features(model.signature, values)
    job = SingleJob(
        uuid7(),
        caller.owner,
        features=text.decode(),
        idempotency_key=key,
        payload_hash=key and hashlib.sha256(b"/v1/predict_raw\n" + text).hexdigest(),
        model_version=model.version,
    )
    return await services.intake.accept_single(caller, job)


def canonical_features(signature: Signature, values: dict[str, Any]) -> bytes:
    """The features as JSON: sorted, whole numbers as integers. Raises FeaturesRefused."""
    problems = signature.problems(values)
    if problems:
        raise FeaturesRefused(problems)
    for spec in signature.features:
        if spec.kind is FeatureKind.INTEGER and type(values.get(spec.name)) is float:
            values[spec.name] = int(values[spec.name])
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)


async def _answer(
    services: Services, caller: Caller, accepted: Accepted, client_id: int | None, seconds: int
) -> Response:
    job = await services.statuses.after(accepted, caller.owner, client_id)
    if seconds:
        job = await services.waiting.wait(job, seconds)
    return job_response(job, seconds, replayed=accepted.replayed)
