"""Files on their way in: their bytes lie in PostgreSQL in pieces until a worker opens them.

A file is kept for a day, and for as long as the plan of an accepted job waits for it.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from itertools import count
from typing import IO
from uuid import UUID

from sqlalchemy import Connection, text

from shared.errors import UploadUnknown
from shared.status import Queue

PIECE_BYTES = 1_048_576
_KEPT = "1 day"
_KEPT_UNFINISHED = "2 hours"  # after its last piece; the slowest body takes 73 minutes for one

# Of a row of `predictq.uploads`. A queue may be paused for days, or be without a planner over a weekend: what is
# accepted loses nothing by it.
EXPIRED_SQL = f"""expires_at < {{now}} AND NOT EXISTS (
    SELECT FROM predictq.prediction_batches b JOIN predictq.jobs j ON j.id = b.job_id
    WHERE b.queue = '{Queue.PLAN}' AND j.selection #>> '{{{{upload,upload_id}}}}' = CAST(uploads.id AS text))"""
_EXPIRED = EXPIRED_SQL.format(now="now()")


def begin_file(connection: Connection, upload_id: UUID, owner: str, media_type: str) -> None:
    """Make room for a file; those that have expired go."""
    connection.execute(text(f"DELETE FROM predictq.uploads WHERE {_EXPIRED}"))
    connection.execute(
        text(f"""INSERT INTO predictq.uploads (id, owner, media_type, expires_at)
                 VALUES (:id, :owner, :media_type, now() + interval '{_KEPT_UNFINISHED}')"""),
        {"id": str(upload_id), "owner": owner, "media_type": media_type[:200]},
    )


def add_piece(connection: Connection, upload_id: UUID, number: int, content: bytes) -> None:
    """Keep the next bytes of a file, PIECE_BYTES at most; pieces are numbered from 0.

    Raises UploadUnknown where an erasure has taken the file meanwhile: nobody could say yet that it names nobody.
    """
    added = connection.execute(_ADD_PIECE, {"id": str(upload_id), "number": number, "content": content})
    if not added.rowcount:
        raise UploadUnknown(upload_id)


# The lock of the change keeps an erasure, which deletes the file, from passing between the two.
_ADD_PIECE = text(f"""
WITH held AS (
    UPDATE predictq.uploads SET expires_at = now() + interval '{_KEPT_UNFINISHED}' WHERE id = :id RETURNING id
)
INSERT INTO predictq.upload_pieces (upload_id, number, content) SELECT h.id, :number, :content FROM held h
""")


def end_file(connection: Connection, upload_id: UUID, *, size: int, sha256: str) -> None:
    """The file is whole. Raises UploadUnknown as `add_piece` does."""
    ended = connection.execute(
        text(f"""UPDATE predictq.uploads SET size = :size, sha256 = :sha256, expires_at = now() + interval '{_KEPT}'
                 WHERE id = :id"""),
        {"id": str(upload_id), "size": size, "sha256": sha256},
    )
    if not ended.rowcount:
        raise UploadUnknown(upload_id)


def kept_bytes(connection: Connection, owner: str, *, besides: UUID | None = None) -> int:
    """The bytes of an owner's files, also of those that are still coming; without those of the file `besides`."""
    values = {"owner": owner, "besides": None if besides is None else str(besides)}
    return int(connection.execute(_KEPT_BYTES, values).scalar_one())


_KEPT_BYTES = text(f"""
SELECT coalesce(sum(CASE WHEN sha256 IS NOT NULL THEN size ELSE (
    SELECT sum(octet_length(p.content)) FROM predictq.upload_pieces p WHERE p.upload_id = uploads.id) END), 0)
FROM predictq.uploads WHERE owner = :owner AND NOT ({_EXPIRED}) AND id IS DISTINCT FROM CAST(:besides AS uuid)
""")


def drop_file(connection: Connection, upload_id: UUID) -> None:
    """Forget a file."""
    connection.execute(text("DELETE FROM predictq.uploads WHERE id = :id"), {"id": str(upload_id)})


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that is whole."""

    media_type: str
    size: int
    sha256: str


def find_file(connection: Connection, upload_id: UUID, owner: str) -> UploadedFile:
    """A whole file of `owner`. Raises UploadUnknown, also where it is another owner's, is not whole, or has expired."""
    row = connection.execute(
        text(f"""SELECT media_type, size, sha256 FROM predictq.uploads
                 WHERE id = :id AND owner = :owner AND NOT ({_EXPIRED})"""),
        {"id": str(upload_id), "owner": owner},
    ).one_or_none()
    if row is None or row.sha256 is None:
        raise UploadUnknown(upload_id)
    return UploadedFile(row.media_type, row.size, row.sha256)


def keep_file(connection: Connection, upload_id: UUID, owner: str) -> None:
    """Keep a whole file for a day from now. Raises UploadUnknown as `find_file` does."""
    kept = connection.execute(
        text(f"""UPDATE predictq.uploads SET expires_at = now() + interval '{_KEPT}'
                 WHERE id = :id AND owner = :owner AND sha256 IS NOT NULL AND NOT ({_EXPIRED})"""),
        {"id": str(upload_id), "owner": owner},
    )
    if not kept.rowcount:
        raise UploadUnknown(upload_id)


def read_file(connection: Connection, upload_id: UUID, owner: str) -> bytes:
    """The bytes of a file. Raises UploadUnknown as `find_file` does."""
    content = io.BytesIO()
    write_file(connection, upload_id, owner, content)
    return content.getvalue()


def write_file(connection: Connection, upload_id: UUID, owner: str, target: IO[bytes]) -> None:
    """Copy a file to `target`, a piece at a time. Raises UploadUnknown as `find_file` does."""
    file = find_file(connection, upload_id, owner)
    digest = hashlib.sha256()
    for number in count():
        piece = connection.execute(_PIECE, {"id": str(upload_id), "number": number}).scalar_one_or_none()
        if piece is None:
            break
        digest.update(piece)
        target.write(piece)
    if digest.hexdigest() != file.sha256:
        raise UploadUnknown(upload_id)


_PIECE = text("SELECT content FROM predictq.upload_pieces WHERE upload_id = :id AND number = :number")
