"""Reading a form: no more of it than its sender may send, because a file in it goes to the disk as it comes."""

from __future__ import annotations

import asyncio

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.types import Message

from api.http.problems import TOO_LARGE, Problem

_FIELDS = 2_000  # of a form that maps the columns of a wide file
STRANGER_BYTES = 64 * 1024  # that are kept of a form of somebody who is not signed in
_PASSED_OVER_SECONDS = 20.0  # for which a form is read that is not kept
_BESIDE_FILE = 1_000_000  # of the other fields of a form with a file


def most_bytes(file_bytes: int) -> int:
    """How large a form of somebody who is signed in may be, who may send files of `file_bytes`."""
    return file_bytes + _BESIDE_FILE


async def read_form(request: Request, most: int) -> FormData:
    """The fields and files of a form. Raises Problem 413 as soon as more than `most` bytes have come."""
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > most:
            raise Problem(TOO_LARGE, f"A form may have {most:,} bytes.")
        return message

    return await Request(request.scope, receive).form(max_files=1, max_fields=_FIELDS)


async def pass_over(request: Request, most: int) -> None:
    """Read a form of somebody who is not signed in, and keep nothing: a browser that is still sending reads no answer.

    Whoever sends more than `most` bytes, or for longer than an idle connection would be held, is answered and cut.
    """
    size = 0
    try:
        async with asyncio.timeout(_PASSED_OVER_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    return
    except TimeoutError:
        return
