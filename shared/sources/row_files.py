"""Rows of a source on their way to whoever trains a model: a worker reads them, and they are kept for an hour.

They lie where files of answers lie, without a job. Any erasure deletes them all: who is in them is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

from shared.errands import FORGOTTEN_SQL, submit
from shared.sources.errors import SourceError
from shared.sources.source import Source, read_source

MEDIA_TYPE = "application/vnd.apache.arrow.file"
MOST_ROWS = 1_000_000


class RowsUnknown(SourceError):
    """The owner has no such rows, or none any more."""

    def __init__(self) -> None:
        super().__init__("There are no such rows: they were deleted, or an hour has passed. Ask for them again.")


@dataclass(frozen=True, slots=True)
class RowFile:
    """Rows that were asked for. `failure`: why there are none, `failure_code`: the same for programs.

    `is_forgotten`: no worker has them in hand.

    `source` is None where the errand is forgotten, which is after the rows are.
    """

    id: UUID
    size: int
    rows: int
    is_complete: bool
    failure: str | None
    failure_code: str | None
    is_forgotten: bool
    source: str | None


def ask_for_rows(
    connection: Connection, name: str, owner: str, columns: list[str], *, rows: int | None, seed: int
) -> tuple[UUID, list[str]]:
    """Have a worker read columns of a source, all features where none is named: `rows` rows, drawn by `seed`; or all.

    Returns their id, and the columns. Raises SourceUnknown, ColumnUnknown.
    """
    source = read_source(connection, name)
    readable = [column.name for column in (*source.columns, *source.filters)]
    for column in columns:
        if column not in readable:
            raise ColumnUnknown(source, column)
    columns = columns or [column.name for column in source.columns]
    file_id = UUID(str(uuid7()))
    connection.execute(_BEGIN, {"id": str(file_id), "owner": owner, "media_type": MEDIA_TYPE})
    asked = {"export_id": str(file_id), "source_id": source.id, "columns": columns, "rows": rows, "seed": seed}
    submit(connection, "read_rows", owner, asked)
    return file_id, columns


class ColumnUnknown(SourceError):
    """The source does not have, or does not offer, a column of this name."""

    def __init__(self, source: Source, column: str) -> None:
        names = [one.name for one in (*source.columns, *source.filters)]
        is_key = column in [one.name for one in source.key]
        why = "is its key" if is_key else "is none that it offers"
        super().__init__(f"The source {source.name!r}: {column[:100]!r} {why}. It has: {', '.join(names[:40])}.")


def find_rows(connection: Connection, file_id: UUID, owner: str) -> RowFile:
    """What became of rows that were asked for. Raises RowsUnknown."""
    row = connection.execute(_READ, {"id": str(file_id), "owner": owner}).one_or_none()
    if row is None:
        raise RowsUnknown
    return RowFile(
        file_id,
        row.size,
        row.row_count,
        row.is_complete,
        row.failure,
        row.failure_code,
        bool(row.is_forgotten),
        row.source,
    )


def drop_rows(connection: Connection, file_id: UUID, owner: str) -> None:
    """Delete them; where no worker has begun, none begins. Raises RowsUnknown."""
    if not connection.execute(_DROP, {"id": str(file_id), "owner": owner}).rowcount:
        raise RowsUnknown
    connection.execute(_DROP_ERRAND, {"id": str(file_id)})


def keep_for_an_hour(connection: Connection, file_id: UUID) -> None:
    """From now on, when they are there: reading them may have taken long."""
    connection.execute(_KEEP, {"id": str(file_id)})


_BEGIN = text("""
INSERT INTO predictq.exports (id, owner, media_type, expires_at)
VALUES (:id, :owner, :media_type, now() + interval '3 hours')
""")
_KEEP = text("UPDATE predictq.exports SET expires_at = clock_timestamp() + interval '1 hour' WHERE id = :id")
# Errands are kept for an hour after their end.
_READ = text(f"""
SELECT x.size, x.row_count, x.is_complete,
       CASE WHEN x.is_complete THEN NULL WHEN e.status = 'failed' THEN e.result ->> 'detail'
            WHEN e.id IS NULL THEN 'The rows were not read. Ask for them again.' END AS failure,
       e.result ->> 'code' AS failure_code,
       {FORGOTTEN_SQL} AS is_forgotten,
       (SELECT s.name FROM predictq.sources s WHERE s.id = CAST(e.arguments ->> 'source_id' AS integer)) AS source
FROM predictq.exports x
LEFT JOIN predictq.errands e ON e.kind = 'read_rows' AND e.arguments ->> 'export_id' = CAST(x.id AS text)
WHERE x.id = :id AND x.owner = :owner AND x.expires_at > now() AND x.job_id IS NULL
""")
_DROP = text("DELETE FROM predictq.exports WHERE id = :id AND owner = :owner AND job_id IS NULL")
_DROP_ERRAND = text("""
DELETE FROM predictq.errands WHERE kind = 'read_rows' AND status = 'queued' AND arguments ->> 'export_id' = :id
""")
