"""Holding work back, and letting it go on: of a queue, of a model, or of a model in a queue."""

from __future__ import annotations

from starlette.responses import Response

from web.frame.api_calls import ApiRefused
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen

routes = ScreenRoutes()


@routes.post("/pauses", role="operate")
async def pause(screen: Screen) -> Response:
    """Hold work back. Jobs are accepted as ever, and lose nothing."""
    wanted = {"queue": screen.given("queue") or None, "model": screen.given("model") or None}
    await screen.api.post("/v1/pauses", {**wanted, "reason": screen.given("reason")})
    return screen.go("/#pauses")


@routes.post("/pauses/{number}/resume", role="operate")
async def resume(screen: Screen) -> Response:
    """Let it go on. What somebody else has resumed already is resumed."""
    number = screen.path("number")
    try:
        await screen.api.call("DELETE", f"/v1/pauses/{int(number) if number.isdecimal() else 0}")
    except ApiRefused as error:
        if error.status != 404:
            raise
    return screen.go("/#pauses")
