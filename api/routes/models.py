"""Model versions: which there are, and which one new jobs are pinned to."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http import openapi
from api.http.direct_route import DirectRoute
from api.http.problems import FORBIDDEN, NOT_FOUND, Problem
from api.http.requests import headers_of, json_response
from api.server.services import services_of
from shared.models.registry import ModelVersion, get_model, list_models, promote_model

router = APIRouter(tags=["models"], route_class=DirectRoute, dependencies=[openapi.BEARER])


@router.get("/v1/models", **openapi.MODELS)
async def read_models(request: Request) -> Response:
    """All model versions, newest first."""
    services = services_of(request)
    await services.auth.caller(headers_of(request).get(b"authorization"))
    return json_response({"models": [_model_json(model) for model in await services.quick.read(list_models)]})


@router.get("/v1/models/{version}", **openapi.MODEL)
async def read_model(request: Request) -> Response:
    """One model version with its signature: the features that predict_raw takes while it is live."""
    services = services_of(request)
    await services.auth.caller(headers_of(request).get(b"authorization"))
    version = _version_of(request)
    return json_response(_model_json(await services.quick.read(lambda connection: get_model(connection, version))))


@router.post("/v1/models/{version}/promote", **openapi.PROMOTE)
async def promote(request: Request) -> Response:
    """Make a version the live one. Accepted jobs keep theirs. Needs an admin key."""
    services = services_of(request)
    caller = await services.auth.caller(headers_of(request).get(b"authorization"))
    if not caller.is_admin:
        raise Problem(FORBIDDEN, "Only an admin key may promote a model: predictq keys create OWNER --admin")
    version = _version_of(request)
    model = await services.quick.write(lambda connection: promote_model(connection, version))
    services.live_model.forget()
    return json_response(_model_json(model))


def _version_of(request: Request) -> int:
    text = request.scope["path"].split("/")[3]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Problem(NOT_FOUND, f"There is no model version {text[:80]}.")
    return int(text)


def _model_json(model: ModelVersion) -> dict[str, Any]:
    return asdict(model)
