"""Files on their way out: answers as Parquet, Arrow or Excel. A worker writes them; they are kept for a day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO
from uuid import UUID

from sqlalchemy import Connection, Engine, text
from uuid_utils.compat import uuid7

from shared.errands import FORGOTTEN_SQL
from shared.errors import ExportUnknown, PredictqError
from shared.postgres.engine import transaction

PIECE_BYTES = 1_048_576
FORMATS = {
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.file",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass(frozen=True, slots=True)
class Export:
    """A file that was asked for. `is_whole`: whether it has all answers that its job will ever have."""

    id: UUID
    job_id: UUID
    format: str
    size: int
    rows: int
    is_complete: bool
    is_whole: bool
    created_at: datetime
    expires_at: datetime
    failure: str | None = None  # why there is none, and will be none
    is_forgotten: bool = False  # no worker has it in hand


def begin_export(connection: Connection, job_id: UUID, owner: str, file_format: str) -> tuple[UUID, bool]:
    """Make room for a file, or find the one that is whole. Returns its id, and whether it is to be written."""
    values = {"job": str(job_id), "owner": owner, "media_type": FORMATS[file_format]}
    found = connection.execute(_FIND_WHOLE, values).scalar()
    if found is not None:
        return UUID(str(found)), False
    export_id = UUID(str(uuid7()))
    connection.execute(_BEGIN, {**values, "id": str(export_id)})
    return export_id, True


def count_open_exports(connection: Connection, owner: str) -> int:
    """How many files workers are writing for an owner, or will write."""
    return int(connection.execute(_COUNT_OPEN, {"owner": owner}).scalar_one())


def read_export(connection: Connection, export_id: UUID, owner: str) -> Export:
    """A file of `owner`. Raises ExportUnknown, also where it has expired or was deleted with a client of its job."""
    row = connection.execute(_READ, {"id": str(export_id), "owner": owner}).one_or_none()
    if row is None:
        raise ExportUnknown(export_id)
    file_format = next(name for name, media_type in FORMATS.items() if media_type == row.media_type)
    return Export(
        export_id,
        UUID(str(row.job_id)),
        file_format,
        row.size,
        row.row_count,
        row.is_complete,
        row.is_whole,
        row.created_at,
        row.expires_at,
        row.failure,
        not row.is_complete and bool(row.is_forgotten),
    )


def require_export(connection: Connection, export_id: UUID) -> None:
    """Look whether the file is still wanted. Raises ExportGone."""
    if connection.execute(_LOCK_FREE, {"id": str(export_id)}).first() is None:
        raise ExportGone


def write_pieces(engine: Engine, export_id: UUID, content: IO[bytes]) -> int:
    """Store a file, each piece for itself; returns its bytes.

    Raises ExportGone; ExportInterrupted where a worker that ended has left pieces of another state of the job.
    """
    size = 0
    for number, piece in enumerate(_pieces(content)):
        with transaction(engine) as connection:
            # The lock keeps an erasure, which deletes the file, from passing between the two.
            if connection.execute(_LOCK, {"id": str(export_id)}).first() is None:
                raise ExportGone
            values = {"id": str(export_id), "number": number}
            added = connection.execute(_ADD_PIECE, {**values, "content": piece}).rowcount
            if not added and bytes(connection.execute(_PIECE, values).scalar_one()) != piece:
                raise ExportInterrupted
        size += len(piece)
    return size


def end_export(connection: Connection, export_id: UUID, *, size: int, rows: int, is_whole: bool) -> None:
    """The file is there."""
    values = {"id": str(export_id), "size": size, "rows": rows, "is_whole": is_whole}
    if not connection.execute(_END, values).rowcount:
        raise ExportGone


def copy_export_piece(connection: Connection, target: IO[bytes], *, export_id: UUID, number: int) -> None:
    """Write one piece of a file, counted from 0. Raises ExportGone where the file was deleted meanwhile."""
    piece = connection.execute(_PIECE, {"id": str(export_id), "number": number}).scalar_one_or_none()
    if piece is None or connection.execute(_LOCK_FREE, {"id": str(export_id)}).first() is None:
        raise ExportGone
    target.write(piece)


class ExportGone(PredictqError):
    """The file was deleted while it was written or sent, as its owner and an erasure do."""

    def __init__(self) -> None:
        super().__init__("The file was deleted, by its owner or because a client was erased. Ask for it again.")


class ExportInterrupted(PredictqError):
    """A worker ended while it wrote, and the job has gone on since."""

    def __init__(self) -> None:
        super().__init__("The worker that wrote the file ended at it. Ask for it again.")


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    while piece := content.read(PIECE_BYTES):
        yield piece


_FIND_WHOLE = text("""
SELECT id FROM predictq.exports
WHERE job_id = :job AND owner = :owner AND media_type = :media_type AND is_complete AND is_whole
  AND expires_at > now() + interval '10 minutes' ORDER BY created_at DESC LIMIT 1
""")
_BEGIN = text("""
INSERT INTO predictq.exports (id, job_id, owner, media_type, expires_at)
VALUES (:id, :job, :owner, :media_type, now() + interval '24 hours')
""")
_COUNT_OPEN = text(f"""
SELECT count(*) FROM predictq.errands e
WHERE e.owner = :owner AND e.kind = 'write_export' AND e.status IN ('queued', 'running') AND NOT {FORGOTTEN_SQL}
""")
# An errand is kept for an hour: where there is none any more, nobody writes.
_READ = text(f"""
SELECT x.job_id, x.media_type, x.size, x.row_count, x.is_complete, x.is_whole, x.created_at, x.expires_at,
       CASE WHEN x.is_complete THEN NULL WHEN e.status = 'failed' THEN e.result ->> 'detail'
            WHEN e.id IS NULL THEN 'The file was not written. Ask for it again.' END AS failure,
       {FORGOTTEN_SQL} AS is_forgotten
FROM predictq.exports x
LEFT JOIN predictq.errands e ON e.kind = 'write_export' AND e.arguments ->> 'export_id' = CAST(x.id AS text)
WHERE x.id = :id AND x.owner = :owner AND x.expires_at > now() AND x.job_id IS NOT NULL
""")
_LOCK = text("SELECT FROM predictq.exports WHERE id = :id FOR KEY SHARE")
_LOCK_FREE = text("SELECT FROM predictq.exports WHERE id = :id")
_ADD_PIECE = text("""
INSERT INTO predictq.export_pieces (export_id, number, content) VALUES (:id, :number, :content)
ON CONFLICT (export_id, number) DO NOTHING
""")
_END = text("""
UPDATE predictq.exports SET size = :size, row_count = :rows, is_whole = :is_whole, is_complete = true WHERE id = :id
""")
_PIECE = text("SELECT content FROM predictq.export_pieces WHERE export_id = :id AND number = :number")
