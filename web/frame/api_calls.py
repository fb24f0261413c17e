"""Calls of the public API, within this process and as whoever is signed in.

The call goes through the whole gateway, as one from outside would: the same checks, roles, limits and audit log. Only
the socket and the key are left out.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import quote, unquote, urlencode
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.types import Message

from api.access.auth import Acting, acting_as
from api.server.middleware import REQUEST_ID

_PIECE = 256 * 1024  # bytes of a body that are handed over at once
Headers = list[tuple[bytes, bytes]]


@dataclass(eq=False)
class ApiRefused(Exception):
    """The API answered with a problem, which is all that a caller would know."""

    status: int
    problem: Mapping[str, Any]

    @property
    def code(self) -> str:
        """The name of the problem, as `job-unknown`."""
        return str(self.problem.get("type", "")).rpartition("/")[2]

    @property
    def detail(self) -> str:
        """The sentence of the problem."""
        return str(self.problem.get("detail", ""))


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """What the API answered with success."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read."""
        return orjson.loads(self.body) if self.body else None


def path_part(text: object) -> str:
    """A name as one part of a path, whatever is in it."""
    return quote(str(text), safe="")


def known_uuid(text: str) -> UUID:
    """The id that a path or a form names. Raises ApiRefused for what is none, as for one that nobody knows."""
    try:
        return UUID(text)
    except ValueError:
        raise ApiRefused(404, {}) from None


class Api:
    """The API as one person may use it. Paths are as on the wire: what names something goes through `path_part`."""

    def __init__(self, request: Request, acting: Acting) -> None:
        self._request = request
        self._acting = acting

    async def get(self, path: str, /, **parameters: Any) -> Any:
        """The JSON of a GET; parameters that are None or empty are left out. Raises ApiRefused."""
        return (await self.call("GET", path, parameters=parameters)).json()

    async def post(self, path: str, body: Any = None, /, **headers: str) -> Any:
        """The JSON that answers a POST of `body` as JSON; `idempotency_key=…` sends that header. Raises ApiRefused."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        content = b"" if body is None else orjson.dumps(body)
        if body is not None:
            given["content-type"] = "application/json"
        return (await self.call("POST", path, content=content, headers=given)).json()

    async def call(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        content: bytes | IO[bytes] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> ApiAnswer:
        """Any call; a body that is a file is read piece by piece. Raises ApiRefused for whatever is no success."""
        file = io.BytesIO(content) if isinstance(content, bytes) else content
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        caught = _Caught(file, size)
        scope = self._scope(method, path, parameters or {}, {**(headers or {}), "content-length": str(size)})
        with acting_as(self._acting):
            await self._request.app(scope, caught.receive, caught.send)
        answer = ApiAnswer(caught.status, caught.headers, bytes(caught.body))
        if answer.status >= 400:
            raise ApiRefused(answer.status, answer.json() or {})
        return answer

    def _scope(
        self, method: str, path: str, parameters: Mapping[str, Any], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        outer = self._request.scope
        query = urlencode({name: value for name, value in parameters.items() if value not in (None, "")})
        return {
            "type": "http",
            "asgi": outer["asgi"],
            "http_version": "1.1",
            "method": method,
            "scheme": outer["scheme"],
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [
                (b"host", self._request.headers.get("host", "").encode("latin-1")),
                (b"x-request-id", outer[REQUEST_ID]),
                *((name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()),
            ],
            "client": outer.get("client"),
            "server": outer.get("server"),
        }


class _Caught:
    """The two ends of an ASGI call, in memory."""

    def __init__(self, content: IO[bytes], size: int) -> None:
        self._content = content
        self._left = size
        self._is_read = False
        self._answered = asyncio.Event()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    async def receive(self) -> Message:
        """The body; then nothing before the answer is out, as whoever listens for the caller's end asks in a loop."""
        if self._is_read:
            await self._answered.wait()
            return {"type": "http.disconnect"}
        piece = self._content.read(_PIECE)
        self._left -= len(piece)
        self._is_read = self._left <= 0
        return {"type": "http.request", "body": piece, "more_body": self._left > 0}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                self._answered.set()
