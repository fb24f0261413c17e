"""What a bulk job has come to so far: how its answers spread, its errors by code, who worked on it, and how fast.

Whatever the size of the job, this reads a bounded number of pages: answers out of pages evenly spread over the job,
errors out of the first pages that have any. What is no count of the whole says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from shared.jobs.deadlines import BY_DEADLINE
from shared.jobs.error_counts import ErrorGroup, read_errors
from shared.jobs.given import ROWS_WERE_WRITTEN
from shared.jobs.results import read_shape
from shared.models.task import Task

ANSWER_PAGES = 20  # of whose answers a spread is made
BINS = 40
_MOST = 1e300  # where bins end: the width of larger ones is no number, and the last one holds what lies beyond
STRIP_CELLS = 80
MOST_FEATURES = 50  # whose unknown categories are told


@dataclass(frozen=True, slots=True)
class Bin:
    """How many answers lie from `low` to `high`; of the last bin, `high` is included."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Spread:
    """How the answers of the pages that were looked at spread: in bins, or by label where there are more than two."""

    task: Task
    answers: int
    is_whole: bool  # whether these are all answers so far
    bins: Sequence[Bin]
    labels: Sequence[tuple[Any, int]]
    threshold: float | None
    above: int | None  # answers at or above the threshold


@dataclass(frozen=True, slots=True)
class UnknownWords:
    """How many values of a feature the model's encoder does not know and ignores: their rows are scored."""

    feature: str
    count: int


@dataclass(frozen=True, slots=True)
class Part:
    """Batches that follow each other, and how many of them stand how."""

    done: int
    failed: int  # done, with rows that have an error
    running: int
    waiting: int
    rows: int  # of those that are done
    failed_rows: int  # of these, with an error
    first_batch: int
    last_batch: int
    first_at: datetime | None  # when the first of them was begun
    last_at: datetime | None  # when the last of those that are done ended
    workers: Sequence[str]  # the processes that did them or have them now, three at most
    worker_count: int


@dataclass(frozen=True, slots=True)
class WorkerShare:
    """What one process of a worker did of a job."""

    worker: str
    batches: int
    rows: int
    seconds: float  # of work
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything of one job."""

    spread: Spread
    errors: Sequence[ErrorGroup]
    errors_are_whole: bool
    unknown_categories: Sequence[UnknownWords]
    batches: int
    tried_again: int
    strip: Sequence[Part]
    workers: Sequence[WorkerShare]
    rows_per_second: float | None  # in the last ten seconds; of a job that has ended, while a worker had a batch of it
    brought_features: bool  # whether its rows came with their features, so that nothing can be mended in a source


def read_summary(connection: Connection, job_id: UUID) -> Summary:
    """A bulk job's summary. Whose job it is, is asked before. Raises JobUnknown."""
    shape = read_shape(connection, job_id)
    begin = connection.execute(_BEGIN, {"id": str(job_id)}).one_or_none()
    first: int = (begin and begin.first_batch_id) or 0
    values = {
        "id": str(job_id),
        "first": first,
        "most": ANSWER_PAGES,
        "cells": STRIP_CELLS,
        "nobody": BY_DEADLINE,
    }
    spread = _read_spread(connection, shape.task, shape.classes, values)
    errors, errors_are_whole = read_errors(connection, job_id, first)
    parts = connection.execute(_STRIP, values).all()
    return Summary(
        spread,
        errors,
        errors_are_whole=errors_are_whole,
        unknown_categories=[UnknownWords(*row) for row in connection.execute(_UNKNOWN, values)],
        batches=sum(row.batches for row in parts),
        tried_again=sum(row.tried_again for row in parts),
        strip=[_part(row) for row in parts],
        workers=[WorkerShare(*row) for row in connection.execute(_WORKERS, values)],
        rows_per_second=connection.execute(_RATE, values).scalar_one(),
        brought_features=bool(begin and begin.brought_features),
    )


def _read_spread(connection: Connection, task: Task, classes: Sequence[Any], values: dict[str, Any]) -> Spread:
    found = connection.execute(_EXTREMES, values).one()
    count, low, high = found.answers, found.low, found.high
    bins: list[Bin] = []
    labels: list[tuple[Any, int]] = []
    if task is Task.MULTICLASS:
        counts = {row.label: row.answers for row in connection.execute(_LABELS, values)}
        labels = [(label, counts.get(number, 0)) for number, label in enumerate(classes)]
    elif count:
        if task is Task.BINARY:
            low, high = 0.0, 1.0
        bins = _read_bins(connection, low, high, values)
    is_binary = task is Task.BINARY
    threshold = found.threshold if is_binary else None
    return Spread(task, count, found.is_whole, bins, labels, threshold, found.above if is_binary else None)


def _read_bins(connection: Connection, low: float, high: float, values: dict[str, Any]) -> list[Bin]:
    low, high = max(low, -_MOST), min(high, _MOST)
    if low >= high:  # one value, or only such as are larger than that
        low, high = (low, low + (abs(low) or 1.0)) if low < _MOST else (0.0, _MOST)
    counts = {row.bin: row.answers for row in connection.execute(_BINS, {**values, "low": low, "high": high})}
    width = (high - low) / BINS
    return [Bin(low + width * n, low + width * (n + 1), counts.get(n + 1, 0)) for n in range(BINS)]


def _part(row: Any) -> Part:
    values = {field.name: getattr(row, field.name) for field in fields(Part)}
    return Part(**{**values, "workers": row.workers or []})


_BEGIN = text(f"""
SELECT j.first_batch_id, {ROWS_WERE_WRITTEN} AND (
    SELECT r.given IS NOT NULL FROM predictq.batch_requests r WHERE r.job_id = j.id AND r.batch_id >= j.first_batch_id
    ORDER BY r.batch_id LIMIT 1) AS brought_features
FROM predictq.jobs j WHERE j.id = :id
""")
# Every so many pages one, evenly over the job, by the index alone.
_CHOSEN = """
numbered AS (
    SELECT batch_id, row_number() OVER (ORDER BY batch_id) AS n, count(*) OVER () AS pages
    FROM predictq.batch_outputs WHERE job_id = :id AND batch_id >= :first AND succeeded > 0
), chosen AS (
    SELECT array_agg(batch_id) AS ids, coalesce(max(pages) <= :most, true) AS is_whole FROM numbered
    WHERE n * CAST(:most AS bigint) / pages <> (n - 1) * CAST(:most AS bigint) / pages OR pages <= :most
)"""
_CHOSEN_PAGES = """
FROM chosen c JOIN predictq.batch_outputs o ON o.batch_id = ANY (c.ids) AND o.batch_id >= :first"""
_EXTREMES = text(f"""
WITH {_CHOSEN}
SELECT count(u.value) AS answers, min(u.value) AS low, max(u.value) AS high, max(o.threshold) AS threshold,
       count(*) FILTER (WHERE u.value >= o.threshold) AS above, coalesce(bool_and(c.is_whole), true) AS is_whole
{_CHOSEN_PAGES}
CROSS JOIN LATERAL unnest(o."values") AS u(value)
WHERE u.value < 'Infinity'
""")
_BINS = text(f"""
WITH {_CHOSEN}
SELECT greatest(1, least({BINS}, width_bucket(u.value, :low, :high, {BINS}))) AS bin, count(*) AS answers
{_CHOSEN_PAGES}
CROSS JOIN LATERAL unnest(o."values") AS u(value)
WHERE u.value < 'Infinity' GROUP BY 1
""")
_LABELS = text(f"""
WITH {_CHOSEN}
SELECT u.label, count(*) AS answers
{_CHOSEN_PAGES}
CROSS JOIN LATERAL ROWS FROM (unnest(o.labels), unnest(o."values")) AS u(label, value)
WHERE u.value IS NOT NULL GROUP BY 1
""")
# Counted where the rows were scored, and kept beside each page.
_UNKNOWN = text(f"""
SELECT counted.feature, CAST(sum(CAST(counted.words AS bigint)) AS bigint) AS words
FROM predictq.batch_outputs o
CROSS JOIN LATERAL jsonb_each(o.notes -> 'unknown_categories') AS counted(feature, words)
WHERE o.job_id = :id AND o.batch_id >= :first AND o.notes IS NOT NULL
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST_FEATURES}
""")
_STRIP = text("""
WITH batches AS (
    SELECT batch_id AS id, failed, succeeded + failed AS rows, 'done' AS status, attempts, claimed_at AS begun_at,
           created_at AS ended_at, worker
    FROM predictq.batch_outputs WHERE job_id = :id AND batch_id >= :first AND succeeded + failed > 0
    UNION ALL
    SELECT id, 0, 0, status, attempts, CASE status WHEN 'running' THEN claimed_at END, NULL,
           CASE status WHEN 'running' THEN worker END
    FROM predictq.prediction_batches WHERE job_id = :id AND queue <> 'plan'
), numbered AS (
    SELECT *, row_number() OVER (ORDER BY id) - 1 AS n, count(*) OVER () AS total FROM batches
)
SELECT n * least(CAST(:cells AS bigint), total) / total AS cell, count(*) AS batches,
       count(*) FILTER (WHERE attempts > 1) AS tried_again, count(*) FILTER (WHERE status = 'done') AS done,
       count(*) FILTER (WHERE failed > 0) AS failed, count(*) FILTER (WHERE status = 'running') AS running,
       count(*) FILTER (WHERE status = 'queued') AS waiting, CAST(sum(rows) AS bigint) AS rows,
       CAST(sum(failed) AS bigint) AS failed_rows, min(id) AS first_batch, max(id) AS last_batch,
       min(begun_at) AS first_at, max(ended_at) AS last_at, count(DISTINCT worker) AS worker_count,
       (array_agg(DISTINCT worker) FILTER (WHERE worker IS NOT NULL))[1:3] AS workers
FROM numbered GROUP BY 1 ORDER BY 1
""")
_WORKERS = text("""
SELECT worker, count(*) AS batches, CAST(sum(succeeded + failed) AS bigint) AS rows,
       CAST(extract(epoch FROM sum(created_at - claimed_at)) AS double precision) AS seconds,
       min(claimed_at) AS first_at, max(created_at) AS last_at
FROM predictq.batch_outputs
WHERE job_id = :id AND batch_id >= :first AND succeeded + failed > 0 AND worker <> :nobody
    AND claimed_at IS NOT NULL
GROUP BY worker ORDER BY batches DESC, worker LIMIT 50
""")
# Rows that workers answered. Of a job that has ended, over the time for which at least one of its batches was in hand:
# pauses and the wait for other jobs are no part of it. A batch that was tried again does not say since when it was.
_RATE = text("""
SELECT CASE
    WHEN j.finished_at IS NULL THEN (
        SELECT sum(o.succeeded + o.failed)
               / greatest(0.5, extract(epoch FROM clock_timestamp() - greatest(min(o.claimed_at),
                                                                              clock_timestamp() - interval '10 s')))
        FROM predictq.batch_outputs o
        WHERE o.job_id = :id AND o.batch_id >= :first AND o.created_at > clock_timestamp() - interval '10 s'
            AND o.worker <> :nobody)
    ELSE (
        SELECT done.rows / nullif((SELECT sum(extract(epoch FROM upper(span) - lower(span)))
                                   FROM unnest(done.spans) AS span), 0)
        FROM (SELECT sum(o.succeeded + o.failed) AS rows, range_agg(tstzrange(o.claimed_at, o.created_at)) AS spans
              FROM predictq.batch_outputs o
              WHERE o.job_id = :id AND o.batch_id >= :first AND o.worker <> :nobody AND o.attempts = 1
                  AND o.claimed_at < o.created_at) done)
    END::double precision
FROM predictq.jobs j WHERE j.id = :id
""")
