"""Style, script and sign of the screens: read once, kept by browsers for as long as they do not change."""

from __future__ import annotations

from functools import lru_cache

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http.direct_route import DirectRoute
from api.http.problems import NOT_FOUND, Problem
from api.server.middleware import MAY_BE_KEPT
from web.frame.templates import STATIC, asset

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

router = APIRouter(route_class=DirectRoute, include_in_schema=False)


@router.get("/static/{name}")
async def static_file(request: Request) -> Response:
    """A file of `web/static`. Under the address that `asset` gives it may be kept for ever."""
    name = request.path_params["name"]
    content, media_type = _read(name)
    if asset(name) == f"/static/{name}?{request.url.query}":
        request.scope[MAY_BE_KEPT] = True
    return Response(content, media_type=media_type)


@lru_cache
def _read(name: str) -> tuple[bytes, str]:
    known = {path.name: path for path in STATIC.iterdir() if path.suffix in _TYPES}
    if name not in known:
        raise Problem(NOT_FOUND, "There is no such file.")
    return known[name].read_bytes(), _TYPES[known[name].suffix]
