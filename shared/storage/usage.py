"""Bytes by model and month: whole partitions, with TOAST and indexes, shared out by the sizes of the pages in them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class ModelMonth:
    """What the answers of one model and month take, with their requests and jobs."""

    model: str
    month: date  # its first day
    answers: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What everything takes. `other_bytes` are the tables that hold no answers, of which artefacts are the largest."""

    months: tuple[ModelMonth, ...]
    other_bytes: int
    total_bytes: int
    lately_bytes: int  # of the last 30 days


_PARTITIONS = text("""
SELECT first_batch_id FROM predictq.partitions
WHERE parent = 'batch_outputs' AND leaving_at IS NULL
  AND first_batch_id <= (SELECT last_value FROM predictq.batch_ids) ORDER BY 1
""")
# pg_column_size is what is stored, compressed and out of line as it may be; no page is opened.
_PAGES = """
SELECT v.model, date_trunc('month', p.created_at, 'UTC')::date AS month, sum(p.answers) AS answers,
       sum(p.single_rows) AS single_rows, sum(p.bytes) AS bytes,
       coalesce(sum(p.bytes) FILTER (WHERE p.created_at > clock_timestamp() - interval '30 days'), 0) AS lately,
       {size} AS table_bytes
FROM (
    SELECT o.model_version_id, o.created_at, o.succeeded + o.failed AS answers,
           CASE WHEN o.job_id IS NULL THEN o.request_count ELSE 0 END AS single_rows,
           200 + coalesce(pg_column_size(o."values"), 0) + coalesce(pg_column_size(o.features), 0)
           + coalesce(pg_column_size(o.scores), 0) + coalesce(pg_column_size(o.labels), 0)
           + coalesce(pg_column_size(o.key_filter), 0) + coalesce(pg_column_size(o.error_details), 0)
           + coalesce(pg_column_size(r.keys_int8), 0) + coalesce(pg_column_size(r.keys_uuid), 0)
           + coalesce(pg_column_size(r.keys_text), 0) + coalesce(pg_column_size(r.given), 0)
           + coalesce(pg_column_size(r.job_ids), 0) AS bytes
    FROM predictq.batch_outputs_{first} o LEFT JOIN predictq.batch_requests_{first} r ON r.batch_id = o.batch_id
) p JOIN predictq.model_versions v ON v.id = p.model_version_id GROUP BY 1, 2
"""
_SIZE = " + ".join(
    f"coalesce(pg_total_relation_size(to_regclass('predictq.{parent}_{{first}}')), 0)"
    for parent in ("batch_outputs", "batch_requests", "key_hashes")
)
_JOBS = text("""
SELECT coalesce(sum(pg_total_relation_size(to_regclass('predictq.' || quote_ident(name)))), 0)
FROM predictq.partitions WHERE parent = 'jobs' AND leaving_at IS NULL
""")


def read_usage(connection: Connection) -> Usage:
    """Read all pages' sizes, one partition after the other. It takes a second for some hundred thousand pages."""
    answers: dict[tuple[str, date], int] = defaultdict(int)
    singles: dict[tuple[str, date], int] = defaultdict(int)
    sizes: dict[tuple[str, date], float] = defaultdict(float)
    lately = 0.0
    for first in connection.execute(_PARTITIONS).scalars().all():
        rows = connection.execute(text(_PAGES.format(first=first, size=_SIZE.format(first=first)))).all()
        pages = sum(int(row.bytes) for row in rows)
        for row in rows:
            share = int(row.table_bytes) / max(1, pages)
            answers[row.model, row.month] += int(row.answers)
            singles[row.model, row.month] += int(row.single_rows)
            sizes[row.model, row.month] += int(row.bytes) * share
            lately += int(row.lately) * share
    jobs = int(connection.execute(_JOBS).scalar_one())
    total = int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    all_singles = sum(singles.values())
    months = [
        ModelMonth(*key, answers[key], int(size + jobs * (singles[key] / all_singles if all_singles else 0)))
        for key, size in sorted(sizes.items())
    ]
    lately += jobs * lately / max(1.0, sum(sizes.values()))
    return Usage(tuple(months), max(0, total - sum(month.bytes for month in months)), total, int(lately))


def read_lately(connection: Connection) -> int:
    """What the last 30 days take, roughly. Two rows of each partition are read, so that it may be asked often.

    A partition that spans the beginning of these days is shared out as if it had grown evenly.
    """
    return int(connection.execute(_LATELY).scalar_one())


_LATELY = text("""
WITH sizes AS (
    SELECT p.parent, p.first_batch_id, p.end_batch_id, p.first_week,
           pg_total_relation_size(to_regclass('predictq.' || quote_ident(p.name))) AS bytes
    FROM predictq.partitions p WHERE p.leaving_at IS NULL
), spans AS (
    SELECT (SELECT o.created_at FROM predictq.batch_outputs o
            WHERE o.batch_id >= s.first_batch_id AND o.batch_id < s.end_batch_id
            ORDER BY o.batch_id LIMIT 1) AS begins,
           (SELECT o.created_at FROM predictq.batch_outputs o
            WHERE o.batch_id >= s.first_batch_id AND o.batch_id < s.end_batch_id
            ORDER BY o.batch_id DESC LIMIT 1) AS ends,
           (SELECT sum(b.bytes) FROM sizes b WHERE b.first_batch_id = s.first_batch_id) AS bytes
    FROM sizes s WHERE s.parent = 'batch_outputs'
    UNION ALL
    SELECT w.begins, least(w.begins + interval '7 days', clock_timestamp()), s.bytes
    FROM sizes s, LATERAL (SELECT s.first_week AT TIME ZONE 'UTC' AS begins) w
    WHERE s.parent = 'jobs' AND w.begins < clock_timestamp()
), since AS (SELECT clock_timestamp() - interval '30 days' AS moment)
SELECT coalesce(sum(bytes * CASE WHEN ends <= moment THEN 0 WHEN begins >= moment THEN 1
                                 ELSE extract(epoch FROM ends - moment) / extract(epoch FROM ends - begins) END), 0)
FROM spans, since WHERE begins IS NOT NULL
""")
