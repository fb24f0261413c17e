"""The API's streams of events for the script of the screens, which can send a cookie and no key."""

from __future__ import annotations

from starlette.responses import Response

from web.frame.api_calls import known_uuid
from web.frame.passing import PassedOn
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen

routes = ScreenRoutes()


@routes.get("/live")
async def live(screen: Screen) -> Response:
    """What happens to the job `?job=`, or to all that the caller may see; see `GET /v1/events`."""
    job = screen.query("job")
    return PassedOn(screen, f"/v1/jobs/{known_uuid(job)}/events" if job else "/v1/events")
