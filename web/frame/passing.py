"""Answers of the API that a browser gets as they are: streams of events, and downloads."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.access.auth import acting_as
from api.server.deadline import current
from web.frame.screen import Screen

_KEPT = (b"host", b"last-event-id", b"x-request-id")  # of the browser's headers
_ADDED_AGAIN = (b"x-request-id", b"x-content-type-options", b"cache-control")  # by the gateway, around this answer


class PassedOn(Response):
    """The answer of `GET path`, sent through as it comes."""

    def __init__(self, screen: Screen, path: str, *, accept: str = "*/*", query: str = "") -> None:
        super().__init__()
        self._screen, self._path, self._accept, self._query = screen, path, accept, query

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; see ASGI."""
        headers = [(name, value) for name, value in scope["headers"] if name in _KEPT]
        inner = {
            name: scope[name]
            for name in ("type", "asgi", "http_version", "scheme", "client", "server", "method")
            if name in scope
        }
        inner |= {
            "root_path": "",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": self._query.encode(),
            "headers": [*headers, (b"accept", self._accept.encode())],
        }

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [item for item in message["headers"] if item[0] not in _ADDED_AGAIN]
            await send(message)

        current().lift()  # the inner call has a deadline of its own, and a stream none
        with acting_as(self._screen.acting):
            await self._screen.request.app(inner, receive, send_on)
