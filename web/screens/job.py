"""One job: how far it is, what it answered, what failed and why, and who did it."""

from __future__ import annotations

from starlette.responses import Response

from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen

routes = ScreenRoutes()


@routes.get("/jobs/{job_id}")
async def job(screen: Screen) -> Response:
    """Everything that is known of the job."""
    found = await screen.api.get(f"/v1/jobs/{screen.path('job_id')}")
    return screen.show("job.html", job=found)
