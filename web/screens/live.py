"""The API's streams of events for the script of the screens, which can send a cookie and no key."""

from __future__ import annotations

from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.access.auth import Caller, acting_as
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen

routes = ScreenRoutes()


@routes.get("/live")
async def live(screen: Screen) -> Response:
    """What happens to the job `?job=`, or to all that the caller may see; see `GET /v1/events`."""
    job = screen.query("job")
    path = f"/v1/jobs/{UUID(job)}/events" if job else "/v1/events"
    return _Stream(screen.request, path, screen.signed_in)


class _Stream(Response):
    """The answer of another path, sent through as it comes."""

    def __init__(self, request: Request, path: str, caller: Caller) -> None:
        super().__init__()
        self._request, self._path, self._caller = request, path, caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; see ASGI."""
        inner = {**scope, "path": self._path, "raw_path": self._path.encode(), "query_string": b""}
        for name in ("route", "endpoint", "path_params", "router", "app"):
            inner.pop(name, None)
        with acting_as(self._caller):
            await self._request.app(inner, receive, send)
