"""JSON bodies of more than 64 kB: kept on disk while they come, and read a few at a time, in steps."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Any

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from api.access.caller import Caller
from api.access.caps import Cap
from api.http.problems import MALFORMED, TOO_LARGE, Flaw, Invalid, Problem
from api.http.requests import SMALL_BYTES, Start, checked_object, member_twice, too_large
from api.server.deadline import current
from api.server.turns import Turns
from shared.json_text.members import MemberTwiceError
from shared.json_text.steps import NotJsonError, NulInTextError, TooMuchJsonError, read_steps


class LargeJson:
    """Each counts as an upload of its caller's."""

    def __init__(self, uploads: Cap, turns: Turns, *, most_items: int) -> None:
        self._uploads = uploads
        self._turns = turns
        self._most_items = most_items

    @asynccontextmanager
    async def object(self, start: Start, receive: Receive, caller: Caller, limit: int) -> AsyncIterator[dict[str, Any]]:
        """The object in a body that has begun with `start`. There is room for it during the block alone.

        Raises Problem 413 above `limit` bytes or for too many items, 400 and 422; TooManyAtOnce.
        """
        with self._uploads.place(caller), tempfile.SpooledTemporaryFile(SMALL_BYTES) as spool:
            with current().paused():
                await _receive(start, receive, spool, limit)
            async with self._turns.room(caller.key):
                spool.seek(0)
                yield await self._read(spool.read(), caller)

    async def _read(self, body: bytes, caller: Caller) -> dict[str, Any]:
        try:
            content = await self._turns.run(read_steps(body, most_items=self._most_items), caller.key)
        except NotJsonError as error:
            raise Problem(MALFORMED, f"The body is not JSON: {error}") from None
        except TooMuchJsonError as error:
            raise Problem(TOO_LARGE, f"The body holds {error}; send rows as an upload, text/csv for example.") from None
        except NulInTextError:
            detail = "A text in the body holds the character NUL, which PostgreSQL cannot store."
            raise Invalid(Flaw("", "nul_in_text", detail)) from None
        except MemberTwiceError as twice:
            raise member_twice(twice) from None
        return checked_object(content)


async def _receive(start: Start, receive: Receive, spool: IO[bytes], limit: int) -> None:
    size = 0
    piece, has_more = start.body, not start.is_whole
    while True:
        size += len(piece)
        if size > limit:
            raise too_large(limit)
        spool.write(piece)
        if not has_more:
            return
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece, has_more = message.get("body", b""), message.get("more_body", False)
