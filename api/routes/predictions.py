"""The trace of one prediction: everything that made its answer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http import openapi
from api.http.direct_route import DirectRoute
from api.http.problems import NOT_FOUND, Problem
from api.http.requests import headers_of, json_response
from api.server.services import services_of
from shared.jobs.results import Trace, read_trace

router = APIRouter(tags=["results"], route_class=DirectRoute, dependencies=[openapi.BEARER])


@router.get("/v1/predictions/{request_id}", **openapi.TRACE)
async def trace(request: Request) -> Response:
    """From the answer back to the exact features, model version, worker and attempt that made it."""
    services = services_of(request)
    caller = await services.auth.caller(headers_of(request).get(b"authorization"))
    request_id = _request_id(request.scope["path"].split("/")[3])
    found = await services.quick.read(lambda connection: read_trace(connection, request_id, caller.owner))
    return json_response(_trace_json(found))


def _request_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Problem(NOT_FOUND, f"There is no prediction {text[:80]}.")
    return int(text)


def _trace_json(found: Trace) -> dict[str, Any]:
    body = asdict(found)
    del body["owner"]
    code, detail = body.pop("error_code"), body.pop("error_detail")
    body["error"] = None if code is None else {"code": code, "detail": detail}
    return body
