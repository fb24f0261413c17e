"""The rows of an earlier job, to be asked once more: all of them, or those that failed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text

from shared.errors import JobUnknown
from shared.jobs.given import ROWS_WERE_WRITTEN
from shared.uploads.key_lines import KeyLines, array_element


@dataclass(frozen=True, slots=True)
class EarlierJob:
    """What an earlier bulk job was: `where` of a selection, else how its keys are stored (None: it has none)."""

    model: str
    version: int
    name: str | None
    is_ended: bool
    where: dict[str, Any] | None
    source_id: int | None
    storage: str | None
    has_features: bool
    page_rows: int  # of its first page; 0 where it has none


class _Row(NamedTuple):
    key: str | None
    spelled: Any
    given: str | None


def read_earlier(
    connection: Connection, job_id: UUID, owner: str, *, models: Collection[str] | None = None
) -> EarlierJob:
    """A bulk job of `owner`; with `models`, of one of them. Raises JobUnknown, also where it is a single one."""
    row = connection.execute(_JOB, {"id": str(job_id), "owner": owner}).one_or_none()
    if row is None or (models is not None and row.model not in models):
        raise JobUnknown(job_id)
    is_listed = row.selection is None or "upload" in row.selection  # its rows are kept: they are asked again
    where = None if is_listed else dict(row.selection.get("where") or {})
    return EarlierJob(
        row.model,
        row.version,
        row.name,
        row.status is not None,
        where,
        row.source_id,
        row.storage,
        bool(row.has_features),
        row.page_rows or 0,
    )


def earlier_rows(connection: Connection, job_id: UUID, *, only_failed: bool) -> Iterator[KeyLines]:
    """The rows of a job in their order, in parts; erased and deleted ones are left out.

    The transaction, which must have begun with this, becomes one snapshot that only reads.
    """
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    values = {"id": str(job_id), "only_failed": only_failed}
    for batch_id in connection.execute(_BATCHES, values).scalars().all():
        rows = connection.execute(_ROWS, {**values, "batch": batch_id}).all()
        if rows:
            yield _part([_Row(row.key, row.spelled, row.given) for row in rows])


def _part(rows: list[_Row]) -> KeyLines:
    """Rows of one batch. Quotes around a number or a uuid do no harm in the array that they become an element of."""
    keys = b"" if rows[0].key is None else _lines([row.key or "" for row in rows])
    spelled = {number: row.spelled for number, row in enumerate(rows) if row.spelled is not None}
    given = b"" if rows[0].given is None else _lines([row.given or "" for row in rows])
    return KeyLines(keys, len(rows), spelled=spelled, given=given)


def _lines(texts: list[str]) -> bytes:
    return "".join([f"{array_element(each)}\n" for each in texts]).encode()


_JOB = text(f"""
SELECT v.model, v.version, j.name, j.status, j.selection, j.source_id, r.storage, r.has_features,
       r.page_rows
FROM predictq.jobs j JOIN predictq.model_versions v ON v.id = j.model_version_id
LEFT JOIN LATERAL (
    SELECT CASE WHEN r.keys_int8 IS NOT NULL THEN 'int8' WHEN r.keys_uuid IS NOT NULL THEN 'uuid'
                WHEN r.keys_text IS NOT NULL THEN 'text' END AS storage,
           r.given IS NOT NULL AND {ROWS_WERE_WRITTEN} AS has_features,
           r.request_count AS page_rows
    FROM predictq.batch_requests r WHERE r.job_id = j.id AND r.batch_id >= j.first_batch_id
    ORDER BY r.batch_id LIMIT 1) r ON true
WHERE j.id = :id AND j.owner = :owner AND j.kind = 'bulk'
""")
# A row that was erased has neither key nor features any more. What a selection read along is read anew.
_WANTED = """
FROM predictq.jobs j
JOIN predictq.batch_requests r ON r.job_id = j.id AND r.batch_id >= j.first_batch_id
LEFT JOIN predictq.batch_outputs o ON o.batch_id = r.batch_id
CROSS JOIN LATERAL ROWS FROM (
    unnest(r.keys_int8::text[]), unnest(r.keys_uuid::text[]), unnest(r.keys_text), unnest(r.given)
) WITH ORDINALITY AS u (key_int8, key_uuid, key_text, given, n)
WHERE j.id = :id AND coalesce(u.key_int8, u.key_uuid, u.key_text, u.given) IS NOT NULL
  AND (NOT :only_failed OR (u.n - 1 = ANY (o.error_rows)
                            AND (o.cancelled_rows IS NULL OR u.n - 1 <> ALL (o.cancelled_rows))))
  AND (o.gone_rows IS NULL OR u.n - 1 <> ALL (o.gone_rows))
  AND (o.erased_rows IS NULL OR u.n - 1 <> ALL (o.erased_rows))
"""
_BATCHES = text("""
SELECT r.batch_id FROM predictq.jobs j JOIN predictq.batch_requests r
    ON r.job_id = j.id AND r.batch_id >= j.first_batch_id
WHERE j.id = :id ORDER BY r.batch_id
""")
_ROWS = text(f"""
SELECT coalesce(u.key_int8, u.key_uuid, u.key_text) AS key, r.spelled -> CAST(u.n - 1 AS text) AS spelled,
       CASE WHEN {ROWS_WERE_WRITTEN} THEN u.given END AS given
{_WANTED} AND r.batch_id = :batch ORDER BY u.n
""")
