"""Jobs: the list, and what can be done to all that a filter names."""

from __future__ import annotations

from starlette.responses import Response

from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen

routes = ScreenRoutes()

_ROWS = 50


@routes.get("/jobs")
async def jobs(screen: Screen) -> Response:
    """The caller's jobs, newest first."""
    found = await screen.api.get("/v1/jobs", limit=_ROWS, cursor=screen.query("cursor"))
    return screen.show("jobs.html", jobs=found["jobs"], following=found["next"])
