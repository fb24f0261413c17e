"""Single predictions: by client key, or by features given in the call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http import openapi
from api.http.direct_route import DirectRoute
from api.http.problems import Flaw, Invalid
from api.http.requests import JSON_LIMIT, parse_object, read_body, read_start, require_json, unknown_fields
from api.intake.client_ids import parse_client_id, parse_reference
from api.intake.model_directory import ServedModel
from api.routes.keyed_call import KeyedCall, keyed_call
from shared.errors import FeaturesRefused, ModelChanged
from shared.jobs.accepting.singles import Accepted, SingleJob
from shared.models.signature import FeatureKind, Signature
from shared.sources.keys import ClientKey
from shared.uploads.feature_values import put_words

_HIGHEST = 2**63  # of whole numbers that JSON is written with

router = APIRouter(tags=["predict"], route_class=DirectRoute, dependencies=[openapi.BEARER])


@router.post("/v1/predict", **openapi.PREDICT)
async def predict(request: Request) -> Response:
    """Ask for one prediction from a client's features as they are stored when a worker gets to it."""
    call = await keyed_call(request, "predict")
    require_json(call.headers)
    content = parse_object(await read_body(request.receive))
    if flaws := unknown_fields(content, "client_id", "model"):
        raise Invalid(*flaws)
    client_id = content.get("client_id")
    asked = orjson.dumps([content.get("model"), client_id], option=orjson.OPT_SORT_KEYS) if call.key else b""
    keys: list[ClientKey] = []

    async def accept(model: ServedModel) -> Accepted:
        key = parse_client_id(content, model.single_keys())
        keys.append(key)
        return await _accept(call, model, "/v1/predict", asked, key=key)

    accepted = await call.or_earlier(_with_model(call, content.get("model"), accept), "/v1/predict", asked)
    return await call.answer(accepted, client_id, _shown(keys))


@router.post("/v1/predict_raw", **openapi.PREDICT_RAW)
async def predict_raw(request: Request) -> Response:
    """Ask for one prediction from features given here; they are checked against the model that is live."""
    call = await keyed_call(request, "predict")
    require_json(call.headers)
    start = await read_start(request.receive)
    if start.is_small:
        return await _predict_raw(call, parse_object(start.body))
    async with call.services.large_json.object(start, request.receive, call.caller, JSON_LIMIT) as content:
        return await _predict_raw(call, content)


async def _predict_raw(call: KeyedCall, content: dict[str, Any]) -> Response:
    values = parse_features(content)
    client_id = content.get("client_id")
    asked = _canonical({**content, "features": values}) if call.key else b""
    keys: list[ClientKey] = []

    async def accept(model: ServedModel) -> Accepted:
        if client_id is not None:
            keys.append(parse_client_id(content, model.keys) if model.keys else parse_reference(content))
        features = canonical_features(model.version.signature, dict(values)).decode()
        key = keys[-1] if keys else None
        return await _accept(call, model, "/v1/predict_raw", asked, key=key, features=features)

    accepted = await call.or_earlier(_with_model(call, content.get("model"), accept), "/v1/predict_raw", asked)
    return await call.answer(accepted, client_id, _shown(keys))


def _shown(keys: list[ClientKey]) -> str | None:
    return keys[-1].canonical if keys and keys[-1].spelled is not None else None


async def _with_model(call: KeyedCall, name: object, accept: Callable[[ServedModel], Awaitable[Accepted]]) -> Accepted:
    """Accept by the model that the call means; once more where another version went live on the way."""
    directory = call.services.models
    try:
        return await accept(await directory.find(call.caller, name))
    except ModelChanged:
        directory.forget()
        return await accept(await directory.find(call.caller, name))


async def _accept(
    call: KeyedCall, model: ServedModel, route: str, asked: bytes, *, key: ClientKey | None, features: str | None = None
) -> Accepted:
    job = SingleJob(
        await call.new_job_id(),
        call.caller.owner,
        model.target,
        key,
        features,
        idempotency_key=call.key,
        payload_hash=call.payload_hash(route, asked),
        checked_version=None if features is None else model.version.version,
    )
    return await call.services.intake.accept_single(call.caller, job)


def parse_features(content: dict[str, Any]) -> dict[str, Any]:
    """The features in `{"features": {name: value}}`. Raises Invalid."""
    flaws = unknown_fields(content, "features", "client_id", "model")
    features = content.get("features")
    if type(features) is not dict:
        flaws.append(Flaw("/features", "object_expected", "features must be an object of feature names and values"))
    if flaws:
        raise Invalid(*flaws)
    return dict(features or {})


def _canonical(content: dict[str, Any]) -> bytes:
    """What was asked, whatever model is live: sorted, and whole numbers alike however they are written."""
    features = {
        name: int(value) if type(value) is float and value.is_integer() and abs(value) < _HIGHEST else value
        for name, value in content["features"].items()
    }
    return orjson.dumps({**content, "features": features}, option=orjson.OPT_SORT_KEYS)


def canonical_features(signature: Signature, values: dict[str, Any]) -> bytes:
    """The features as JSON: sorted, whole numbers as integers, categories as texts. Raises FeaturesRefused."""
    problems = signature.problems(values)
    if problems and put_words(signature, values):  # looked for then alone, for most calls have none
        problems = signature.problems(values)
    if problems:
        raise FeaturesRefused(problems)
    for spec in signature.features:
        if spec.kind is FeatureKind.INTEGER and type(values.get(spec.name)) is float:
            values[spec.name] = int(values[spec.name])
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
