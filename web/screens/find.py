"""The field at the top of every screen: a job, a request id, or a client's key, which never stands in an address."""

from __future__ import annotations

import re
from uuid import UUID

from starlette.responses import RedirectResponse, Response

from api.http.root_path import rooted
from web.frame.api_calls import ApiRefused
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen

routes = ScreenRoutes()

_REQUEST_ID = re.compile(r"\d{1,18}-\d{1,9}")
_UNKNOWN = 404
_SAME_FORM = 307  # the browser sends the form again, to there


@routes.post("/find")
async def find(screen: Screen) -> Response:
    """Go to what was asked for."""
    text = screen.given("find")
    if not text:
        return screen.go("/jobs")
    if _REQUEST_ID.fullmatch(text) and await _is_there(screen, f"/v1/predictions/{text}"):
        return screen.go(f"/answers/{text}")
    if _is_uuid(text) and await _is_there(screen, f"/v1/jobs/{UUID(text)}"):
        return screen.go(f"/jobs/{UUID(text)}")
    return RedirectResponse(rooted("/clients"), _SAME_FORM)


async def _is_there(screen: Screen, path: str) -> bool:
    """Whether the API knows it: a client's key may look like a job's id, and must not get into an address."""
    try:
        await screen.api.get(path)
    except ApiRefused as refused:
        return refused.status != _UNKNOWN  # the screen says what else is wrong
    return True


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
