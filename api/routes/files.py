"""Files that a worker opens: models, and tables that are no text. The gateway only keeps their bytes."""

from __future__ import annotations

import asyncio
import hashlib
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from uuid_utils.compat import uuid7

from api.access.dependencies import BulkCaller, CurrentServices
from api.http import schemas
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.problems import SILENT_UPLOAD, TOO_LARGE, Problem
from api.http.requests import headers_of, refuse_encoding
from api.server.deadline import current
from api.server.services import Services
from shared.uploaded_files import PIECE_BYTES, add_piece, begin_file, drop_file, end_file

router = APIRouter(tags=["files"], route_class=ModelRoute, responses=PROBLEMS)


@router.post("/v1/uploads", status_code=201, summary="Send a file for a worker to open")
async def upload(request: Request, services: CurrentServices, caller: BulkCaller) -> schemas.UploadedFile:
    """Keep the bytes of a model or of a table for a day; name them by `id` in the call that wants them opened."""
    refuse_encoding(headers_of(request))
    upload_id = UUID(str(uuid7()))
    media_type = request.headers.get("content-type", "application/octet-stream")
    await services.quick.write(lambda connection: begin_file(connection, upload_id, caller.owner, media_type))
    try:
        with current().paused():
            size, digest = await _keep(request, services, upload_id)
    except BaseException:
        await asyncio.shield(services.quick.write(lambda connection: drop_file(connection, upload_id)))
        raise
    await services.quick.write(lambda connection: end_file(connection, upload_id, size=size, sha256=digest))
    return schemas.UploadedFile(id=upload_id, size=size, sha256=digest)


async def _keep(request: Request, services: Services, upload_id: UUID) -> tuple[int, str]:
    """Store the body piece by piece. Returns its size in bytes and its SHA-256."""
    digest, size, number, piece = hashlib.sha256(), 0, 0, bytearray()
    most = services.settings.max_file_bytes
    has_more = True
    while has_more:
        try:
            async with asyncio.timeout(services.settings.upload_timeout_seconds):
                message = await request.receive()
        except TimeoutError:
            raise Problem(SILENT_UPLOAD, "Nothing came for a while. Send the file again.") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece += message.get("body", b"")
        has_more = message.get("more_body", False)
        while len(piece) >= PIECE_BYTES or (piece and not has_more):
            content = bytes(piece[:PIECE_BYTES])
            del piece[:PIECE_BYTES]
            size += len(content)
            if size > most:
                raise Problem(TOO_LARGE, f"A file may have {most:,} bytes (PREDICTQ_MAX_FILE_BYTES).")
            digest.update(content)
            await _store(services, upload_id, number, content)
            number += 1
    return size, digest.hexdigest()


async def _store(services: Services, upload_id: UUID, number: int, content: bytes) -> None:
    await services.quick.write(lambda connection: add_piece(connection, upload_id, number, content))
