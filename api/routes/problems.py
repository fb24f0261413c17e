"""What a problem's `type` leads to: a page that explains it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http import openapi
from api.http.direct_route import DirectRoute
from api.http.problems import KINDS, NOT_FOUND, Kind, Problem
from api.http.requests import json_response

router = APIRouter(tags=["problems"], route_class=DirectRoute)


@router.get("/problems", **openapi.PROBLEMS)
async def list_problems(_request: Request) -> Response:
    """Every kind of problem that this service answers with."""
    return json_response({"problems": [_explain(kind) for kind in KINDS.values()]})


@router.get("/problems/{code}", **openapi.PROBLEM)
async def explain_problem(request: Request) -> Response:
    """One kind of problem."""
    code = request.scope["path"].split("/")[2]
    if code not in KINDS:
        raise Problem(NOT_FOUND, f"There is no problem {code[:80]!r}. GET /problems lists them all.")
    return json_response(_explain(KINDS[code]))


def _explain(kind: Kind) -> dict[str, object]:
    return {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "retry_after": kind.retry_after,
    }
