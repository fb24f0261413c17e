"""The page /docs: Swagger UI from files installed beside the gateway, so that no browser needs the internet.

Nothing is written into the page that runs: what starts it is a file of its own, as the page's policy demands.
"""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from api.access.onlookers import require_onlooker
from api.http.direct_route import DirectRoute
from api.http.host_names import require_host
from api.http.requests import Raw
from api.http.root_path import rooted

ASSETS = "/docs/assets"
_START = "/docs/start.js"

# Swagger UI sets styles of its elements as it runs, and has pictures in its style sheet.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

router = APIRouter(route_class=DirectRoute, include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The calls, to read about and to try by hand."""
    require_host(request)
    await require_onlooker(request)
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>predictq</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="{rooted(f"{ASSETS}/favicon.png")}">
<link rel="stylesheet" href="{rooted(f"{ASSETS}/swagger-ui.css")}">
</head><body><div id="swagger-ui"></div>
<script src="{rooted(f"{ASSETS}/swagger-ui-bundle.js")}"></script>
<script src="{rooted(_START)}"></script>
</body></html>
"""
    return HTMLResponse(page, headers=_HEADERS)


@router.get(_START)
async def start(_request: Request) -> Response:
    """What starts the page."""
    options = {"url": rooted("/openapi.json"), "dom_id": "#swagger-ui", "deepLinking": True, "layout": "BaseLayout"}
    code = b"window.ui = SwaggerUIBundle(%b);\n" % orjson.dumps(options)
    return Response(code, media_type="text/javascript")


@router.get("/openapi.json")
async def openapi_document(request: Request) -> Response:
    """The calls, for programs."""
    await require_onlooker(request)
    return Raw(await request.app.document(), 200)


def assets() -> StaticFiles:
    """The files of the page, read from disk for each call."""
    return StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")
