"""Bodies that a worker opens: kept in PostgreSQL in pieces as they come. The gateway never looks into one."""

from __future__ import annotations

import asyncio
from uuid import UUID

from sqlalchemy import Connection
from starlette.requests import ClientDisconnect
from uuid_utils.compat import uuid7

from api.access.caller import Caller
from api.access.long_calls import need_still_valid
from api.http.problems import TOO_LARGE, Problem
from api.http.requests import Headers, refuse_encoding
from api.intake.uploads import HashedBody
from api.server.deadline import current
from api.server.services import Services
from shared.files.model_size import MOST_BYTES
from shared.uploaded_files import PIECE_BYTES, UploadedFile, add_piece, begin_file, drop_file, end_file, kept_bytes


async def keep_body(
    services: Services, caller: Caller, headers: Headers, body: HashedBody
) -> tuple[UUID, UploadedFile]:
    """Store the body of a call as a file of its owner's. Then nothing is kept where this raises:

    Problem 401, 408, 413, 415 or 429, and UploadUnknown where an erasure has taken the file while it was sent.
    """
    refuse_encoding(headers)
    media_type = headers.get(b"content-type", b"application/octet-stream").decode("latin-1")
    with services.caps.uploads.place(caller):
        return await _keep_body(services, caller.owner, media_type, body)


async def _keep_body(services: Services, owner: str, media_type: str, body: HashedBody) -> tuple[UUID, UploadedFile]:
    upload_id = UUID(str(uuid7()))

    def begin(connection: Connection) -> None:
        _check_room(connection, services, owner, upload_id, 1)
        begin_file(connection, upload_id, owner, media_type)

    def end(connection: Connection) -> None:
        end_file(connection, upload_id, size=size, sha256=digest)

    await services.quick.write(begin)
    try:
        with current().paused():
            size = await _keep(body, services, owner, upload_id)
            digest = body.digest()
            await need_still_valid()
        await services.quick.write(end)
    except BaseException:
        await asyncio.shield(services.quick.write(lambda connection: drop_file(connection, upload_id)))
        raise
    return upload_id, UploadedFile(media_type, size, digest)


def _check_room(connection: Connection, services: Services, owner: str, upload_id: UUID, size: int) -> None:
    """Raise TooMuchOfOwner, a 429, where `size` bytes of this file would be too much beside the owner's others."""
    most = services.settings.owner_upload_bytes
    if kept_bytes(connection, owner, besides=upload_id) + size > most:
        raise services.caps.too_much("bytes of files that were sent", most, "owner_upload_bytes")


async def _keep(body: HashedBody, services: Services, owner: str, upload_id: UUID) -> int:
    """Store the body piece by piece. Returns its size in bytes."""
    size, number, piece = 0, 0, bytearray()
    most = services.settings.max_file_bytes
    has_more = True
    while has_more:
        message = await body.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece += message.get("body", b"")
        has_more = message.get("more_body", False)
        while len(piece) >= PIECE_BYTES or (piece and not has_more):
            content = bytes(piece[:PIECE_BYTES])
            del piece[:PIECE_BYTES]
            size += len(content)
            if size > most:
                raise Problem(TOO_LARGE, too_large_words(most))
            await _store(services, owner, upload_id, number, content, size)
            number += 1
    return size


def too_large_words(most: int) -> str:
    """The file may be a model, which has a limit of its own that no setting moves."""
    if most <= MOST_BYTES:
        return f"A file may have {most:,} bytes (PREDICTQ_MAX_FILE_BYTES)."
    return f"A table may have {most:,} bytes (PREDICTQ_MAX_FILE_BYTES), and a model {MOST_BYTES:,}, whatever is set."


async def _store(services: Services, owner: str, upload_id: UUID, number: int, content: bytes, size: int) -> None:
    """Keep a piece, with which the file has `size` bytes so far."""

    def add(connection: Connection) -> None:
        _check_room(connection, services, owner, upload_id, size)  # others have grown meanwhile
        add_piece(connection, upload_id, number, content)

    # Not in the threads of bulk jobs: each of these may be accepting a list for minutes. Nor in those of keys and
    # statuses, which every call needs.
    await services.lists.write(add, owner=owner)
