"""The first screen: is it running, how far, and what needs a person?"""

from __future__ import annotations

from starlette.responses import Response

from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen

routes = ScreenRoutes()


@routes.get("/")
async def overview(screen: Screen) -> Response:
    """What happens now."""
    found = await screen.api.get("/v1/jobs", limit=8)
    return screen.show("overview.html", jobs=found["jobs"])
