"""What needs a person: each a code, since when, and the figures. Doctor, /health and screens put it in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from shared.batches.stalls import read_late, read_stalls
from shared.batches.unloadable import read_unloadable
from shared.config import Settings
from shared.models.registry import live_versions
from shared.models.signature import missing_columns
from shared.pauses import list_pauses
from shared.sources.source import list_sources
from shared.status import Queue
from shared.storage.disk import read_disk
from shared.storage.upkeep_state import read_upkeep_state
from shared.storage.usage import read_lately
from shared.watching.upkeep import upkeep_troubles
from shared.watching.workers import connected_workers, living_workers, why_nobody

_WAITED_SECONDS = 10.0  # before a batch that nobody can load is worth a word
_MOST_NAMES = 10
_FEW_ROWS, _SMALL_SHARE = 100, 0.1  # with an error: fewer, or a smaller part, are their callers' to mend


class Concern(StrEnum):
    """What may need a person."""

    NO_WORKER = "no_worker"  # none is alive: jobs are accepted and wait
    SILENT_WORKERS = "silent_workers"  # some run and are connected, and none can write that it is alive
    UNLOADABLE = "unloadable"  # batches that no living worker can load
    FAILING = "failing"  # batches that were tried and failed, and are tried again
    ROWS_FAIL = "rows_fail"  # a good part of a model's rows had an error in the last hour
    STALLED = "stalled"  # rows wait and none is answered
    LATE = "late"  # rows are answered, and others wait for long
    SOURCE_AWAY = "source_away"  # a source does not answer
    SOURCE_REFUSES = "source_refuses"  # a right, the relation or a column was gone or another when it was read last
    SOURCE_CHANGED = "source_changed"  # a live version needs what its source has no more, or has otherwise
    DATABASE_FULL = "database_full"  # a gateway's last write found no room on PostgreSQL's disk
    REDIS = "redis"  # a gateway's messages do not reach Redis: it is away, full, or refuses it
    DISK = "disk"  # full, or nearly, or within a month at the present rate
    UPKEEP = "upkeep"  # it does not run, or a duty of it fails, hangs or is late
    PAUSED = "paused"  # work is held back on purpose


@dataclass(frozen=True, slots=True)
class NeedsPerson:
    """One matter. `about` are the figures and names that its sentence is made of, all of them JSON."""

    code: Concern
    since: datetime | None
    about: Mapping[str, Any] = field(default_factory=dict)


def read_attention(connection: Connection, settings: Settings) -> list[NeedsPerson]:
    """All that needs a person now, the gravest first."""
    return [
        *_work(connection, settings),
        *_sources(connection),
        *_rows_fail(connection),
        *_storage(connection, settings.disk_bytes),
        *_pauses(connection),
    ]


def read_failures(connection: Connection) -> list[NeedsPerson]:
    """Of these the batches that fail or that nobody can load: few rows are read, so that it may be asked often."""
    return [*_unloadable(connection), *_failing(connection)]


def _work(connection: Connection, settings: Settings) -> list[NeedsPerson]:
    found = [*_no_worker(connection), *read_failures(connection)]
    if not found:  # else it is said already why
        found += _waiting_for_long(connection, settings)
    return found


def _waiting_for_long(connection: Connection, settings: Settings) -> Iterator[NeedsPerson]:
    """The queues that stand still, and of the others those that are late."""
    stalls = read_stalls(connection, settings.stall_seconds)
    for stall in stalls:
        yield NeedsPerson(Concern.STALLED, None, {"queue": stall.queue.value, "seconds": stall.seconds})
    limits = dict.fromkeys(Queue, settings.late_bulk_seconds) | {Queue.INTERACTIVE: settings.late_interactive_seconds}
    for late in read_late(connection, limits):
        if late.queue not in [stall.queue for stall in stalls]:
            about = {"queue": late.queue.value, "seconds": late.seconds, "rows": late.rows}
            yield NeedsPerson(Concern.LATE, None, about)


def _no_worker(connection: Connection) -> Iterator[NeedsPerson]:
    if living_workers(connection):
        return
    row = connection.execute(_WAITING).one()
    about = {"batches": row.batches, "rows": int(row.rows)}
    if connected := connected_workers(connection):
        yield NeedsPerson(Concern.SILENT_WORKERS, row.since, {"workers": connected[:_MOST_NAMES], **about})
    else:
        yield NeedsPerson(Concern.NO_WORKER, row.since, about)


_WAITING = text("""
SELECT count(*) AS batches, coalesce(sum(request_count), 0) AS rows, min(created_at) AS since
FROM predictq.prediction_batches
""")


def _unloadable(connection: Connection) -> Iterator[NeedsPerson]:
    waiting = read_unloadable(connection, list(Queue), patience_seconds=_WAITED_SECONDS)
    workers = living_workers(connection) if waiting else []
    for needs in waiting:
        why = why_nobody(workers, needs.model, needs.requirements)
        about = {"model": needs.model, "requirements": needs.requirements, "batches": needs.batches, "why": why or ""}
        yield NeedsPerson(Concern.UNLOADABLE, needs.since, about)


def _failing(connection: Connection) -> Iterator[NeedsPerson]:
    for row in connection.execute(_FAILING):
        about = {"model": row.model, "version": row.version, "batches": row.batches, "error": row.error}
        yield NeedsPerson(Concern.FAILING, row.since, about)


_FAILING = text("""
SELECT v.model, v.version, count(*) AS batches, min(b.claimed_at) AS since,
       (array_agg(b.last_error ORDER BY b.id DESC))[1] AS error
FROM predictq.prediction_batches b JOIN predictq.model_versions v ON v.id = b.model_version_id
WHERE b.status = 'running' AND b.last_error IS NOT NULL AND b.attempts > 0
GROUP BY v.model, v.version ORDER BY v.model, v.version
""")


def _rows_fail(connection: Connection) -> Iterator[NeedsPerson]:
    """The models of whose rows many had an error: a caller's list may be wrong, or a source or the model itself."""
    for row in connection.execute(_ROWS_FAIL, {"few": _FEW_ROWS, "share": _SMALL_SHARE}):
        about = {"model": row.model, "failed": row.failed, "rows": row.rows, "error_code": row.error_code}
        yield NeedsPerson(Concern.ROWS_FAIL, row.since, about)


# By what the upkeep process wrote down each minute. The code is the most frequent one in the worst of these minutes, as
# far as some pages of it tell: no more of them are read, however many rows have failed.
_ROWS_FAIL = text("""
WITH figures AS (
    SELECT model, CAST(round(sum(value) FILTER (WHERE name = 'rows_per_second') * 60) AS bigint) AS rows,
           CAST(round(sum(value) FILTER (WHERE name = 'errors_per_second') * 60) AS bigint) AS failed,
           min(at) FILTER (WHERE name = 'errors_per_second') AS since,
           (array_agg(at ORDER BY value DESC) FILTER (WHERE name = 'errors_per_second'))[1] AS worst
    FROM predictq.samples
    WHERE at > clock_timestamp() - interval '1 hour' AND name IN ('rows_per_second', 'errors_per_second')
    GROUP BY model
)
SELECT f.model, f.rows, f.failed, f.since, (
    SELECT mode() WITHIN GROUP (ORDER BY e.code) FROM (
        SELECT o.error_codes[1:100] AS codes FROM predictq.batch_outputs o
        JOIN predictq.model_versions v ON v.id = o.model_version_id
        WHERE v.model = f.model AND o.failed > 0
            AND o.created_at >= f.worst - interval '1 minute' AND o.created_at < f.worst
        LIMIT 20) page
    CROSS JOIN LATERAL unnest(page.codes) AS e (code)) AS error_code
FROM figures f WHERE f.failed >= :few AND f.failed >= :share * f.rows
ORDER BY f.failed DESC, f.model LIMIT 10
""")


def away_sources(connection: Connection) -> list[NeedsPerson]:
    """A concern for each source in use that does not answer, the longest away first."""
    return [
        NeedsPerson(Concern.SOURCE_AWAY, row.since, {"source": row.name, "is_given_up": row.is_given_up})
        for row in connection.execute(_AWAY)
    ]


def refusing_sources(connection: Connection) -> list[NeedsPerson]:
    """A concern for each source in use that could not be read for a right, its relation or a column."""
    return [
        NeedsPerson(Concern.SOURCE_REFUSES, row.since, {"source": row.name}) for row in connection.execute(_REFUSING)
    ]


def _sources(connection: Connection) -> Iterator[NeedsPerson]:
    yield from away_sources(connection)
    yield from refusing_sources(connection)
    sources = {source.id: source for source in list_sources(connection)}
    for version in live_versions(connection):
        source = sources.get(version.source_id or 0)
        if source is None:
            continue
        lacking = missing_columns(version.signature, [column.name for column in source.columns])
        otherwise = [
            name
            for broken in source.measured.get("broken", ())
            if (broken["model"], broken["version"]) == (version.model, version.version)
            for name in broken["changed"]
        ]
        if lacking or otherwise:
            about = {
                "source": source.name,
                "model": version.model,
                "version": version.version,
                "lacking": lacking[:_MOST_NAMES],
                "changed": otherwise[:_MOST_NAMES],
            }
            yield NeedsPerson(Concern.SOURCE_CHANGED, None, about)


_AWAY = text("""
SELECT name, away_since AS since, is_given_up FROM predictq.sources
WHERE away_since IS NOT NULL AND removed_at IS NULL ORDER BY away_since
""")


_REFUSING = text("""
SELECT name, refused_since AS since FROM predictq.sources
WHERE refused_since IS NOT NULL AND removed_at IS NULL ORDER BY refused_since
""")


def _storage(connection: Connection, disk_bytes: int) -> Iterator[NeedsPerson]:
    disk = read_disk(connection, read_lately(connection), disk_bytes)
    if disk.needs_person:
        days = 0 if disk.is_low else disk.days_left
        about = {"free_bytes": disk.free_bytes, "bytes_per_day": disk.bytes_per_day, "days": days}
        yield NeedsPerson(Concern.DISK, None, about)
    upkeep = read_upkeep_state(connection)
    troubles = upkeep_troubles(upkeep.duties)
    if troubles is not None:
        yield NeedsPerson(Concern.UPKEEP, upkeep.ran_at, troubles)


def _pauses(connection: Connection) -> Iterator[NeedsPerson]:
    for pause in list_pauses(connection):
        about = {
            "queue": None if pause.queue is None else pause.queue.value,
            "model": pause.model,
            "reason": pause.reason,
            "actor": pause.actor,
        }
        yield NeedsPerson(Concern.PAUSED, pause.created_at, about)
