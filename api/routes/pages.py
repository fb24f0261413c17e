"""The page /docs: Swagger UI from files installed beside the gateway, so that no browser needs the internet."""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from api.http.direct_route import DirectRoute
from api.http.root_path import rooted

ASSETS = "/docs/assets"

router = APIRouter(route_class=DirectRoute)


@router.get("/docs", include_in_schema=False)
async def docs(_request: Request) -> Response:
    """The calls, to read about and to try by hand."""
    return get_swagger_ui_html(
        openapi_url=rooted("/openapi.json"),
        title="predictq",
        swagger_js_url=rooted(f"{ASSETS}/swagger-ui-bundle.js"),
        swagger_css_url=rooted(f"{ASSETS}/swagger-ui.css"),
        swagger_favicon_url=rooted(f"{ASSETS}/favicon.png"),
    )


def assets() -> StaticFiles:
    """The files of the page, read from disk for each call."""
    return StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")
