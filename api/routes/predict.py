"""Single predictions: by client id, or by features given in the call."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http import openapi
from api.http.direct_route import DirectRoute
from api.http.problems import Flaw, Invalid
from api.http.requests import parse_object, read_body, require_json, unknown_fields
from api.intake.client_ids import MAX_CLIENT_ID, is_client_id
from api.routes.keyed_call import KeyedCall, keyed_call
from shared.errors import FeaturesRefused, ModelChanged, NoLiveModel
from shared.jobs.accept_singles import Accepted, SingleJob
from shared.models.signature import FeatureKind, Signature

router = APIRouter(tags=["predict"], route_class=DirectRoute, dependencies=[openapi.BEARER])


@router.post("/v1/predict", **openapi.PREDICT)
async def predict(request: Request) -> Response:
    """Ask for one prediction from a client's features as they are stored when a worker gets to it."""
    call = await keyed_call(request)
    require_json(call.headers)
    client_id = parse_client_id(await read_body(request.receive))
    job = SingleJob(
        await call.services.job_ids.new(),
        call.caller.owner,
        client_id,
        idempotency_key=call.key,
        payload_hash=call.payload_hash(b"/v1/predict", b"%d" % client_id),
    )
    return await call.answer(await call.services.intake.accept_single(call.caller, job), client_id)


@router.post("/v1/predict_raw", **openapi.PREDICT_RAW)
async def predict_raw(request: Request) -> Response:
    """Ask for one prediction from features given here; they are checked against the live model."""
    call = await keyed_call(request)
    require_json(call.headers)
    values = parse_features(await read_body(request.receive))
    asked = call.payload_hash(b"/v1/predict_raw", _canonical(values)) if call.key else None
    try:
        accepted = await _accept_features(call, values, asked)
    except ModelChanged:
        call.services.live_model.forget()
        accepted = await _accept_features(call, values, asked)
    except (FeaturesRefused, NoLiveModel):
        # Another model may have been live when this was first asked: a repetition is answered as it was then.
        earlier = await call.earlier(asked)
        if earlier is None:
            raise
        accepted = earlier
    return await call.answer(accepted)


def parse_client_id(body: bytes) -> int:
    """The client id in `{"client_id": 123}`. Raises Problem."""
    content = parse_object(body)
    client_id = content.get("client_id")
    if len(content) == 1 and is_client_id(client_id):
        return client_id
    raise Invalid(*unknown_fields(content, "client_id"), *_client_id_flaws(content))


def _client_id_flaws(content: dict[str, Any]) -> list[Flaw]:
    if "client_id" not in content:
        return [Flaw("/client_id", "missing", "client_id is missing")]
    if is_client_id(content["client_id"]):
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


def _canonical(values: dict[str, Any]) -> bytes:
    """What was asked, whatever model is live: sorted, and whole numbers alike however they are written."""
    plain = {
        name: int(value) if type(value) is float and value.is_integer() else value for name, value in values.items()
    }
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


async def _accept_features(call: KeyedCall, values: dict[str, Any], asked: str | None) -> Accepted:
    model = await call.services.live_model.get()
    text = canonical_features(model.signature, dict(values))
    job = SingleJob(
        await call.services.job_ids.new(),
        call.caller.owner,
        features=text.decode(),
        idempotency_key=call.key,
        payload_hash=asked,
        model_version=model.version,
    )
    return await call.services.intake.accept_single(call.caller, job)


def canonical_features(signature: Signature, values: dict[str, Any]) -> bytes:
    """The features as JSON: sorted, whole numbers as integers. Raises FeaturesRefused."""
    problems = signature.problems(values)
    if problems:
        raise FeaturesRefused(problems)
    for spec in signature.features:
        if spec.kind is FeatureKind.INTEGER and type(values.get(spec.name)) is float:
            values[spec.name] = int(values[spec.name])
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
