"""How every answer begins: its status and the date, made once a second and not for every answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uvicorn.server import ServerState


class StatusLines:
    """Status lines with the headers that uvicorn's server keeps for all answers."""

    def __init__(self, server_state: ServerState) -> None:
        self._server_state = server_state
        self._made_of: object = None
        self._lines: dict[int, bytes] = {}

    def line(self, status: int) -> bytes:
        """The first lines of an answer with this status."""
        headers = self._server_state.default_headers
        if headers is not self._made_of:
            self._made_of = headers
            self._lines.clear()
        line = self._lines.get(status)
        if line is None:
            begin = b"HTTP/1.1 %d %b\r\n" % (status, _phrase(status))
            line = self._lines[status] = begin + b"".join([b"%b: %b\r\n" % header for header in headers])
        return line


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
