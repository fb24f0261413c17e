"""The field at the top of every screen: a job, a request id, or a client's key, which never stands in an address."""

from __future__ import annotations

import re
from uuid import UUID

from starlette.responses import RedirectResponse, Response

from api.http.root_path import rooted
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen

routes = ScreenRoutes()

_REQUEST_ID = re.compile(r"\d{1,18}-\d{1,9}")
_SAME_FORM = 307  # the browser sends the form again, to there


@routes.post("/find")
async def find(screen: Screen) -> Response:
    """Go to what was asked for."""
    text = screen.given("find")
    if not text:
        return screen.go("/jobs")
    if _REQUEST_ID.fullmatch(text):
        return screen.go(f"/answers/{text}")
    try:
        return screen.go(f"/jobs/{UUID(text)}")
    except ValueError:
        return RedirectResponse(rooted("/clients"), _SAME_FORM)
