"""What has an end of its own: files on their way in and out, errands, keys of calls, figures, workers that are gone."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from shared.retention.statements import insist_on
from shared.uploaded_files import EXPIRED_SQL
from worker.upkeep.duty import Clock

_STEP = 2_000  # rows in one transaction


@dataclass(frozen=True, slots=True)
class _Expiring:
    """Rows of a table that are deleted where `condition` holds at :now, so many at a time."""

    words: str
    table: str
    condition: str
    step: int = _STEP


# A key lives as long as its job, 30 days at least. A job that is deleted takes its key along. What is left are keys of
# jobs whose partition was dropped, which is seen by the oldest partition that there is.
_OLDEST_JOB = """(SELECT predictq.first_uuid_of(min(first_week) AT TIME ZONE 'UTC') FROM predictq.partitions
                  WHERE parent = 'jobs' AND leaving_at IS NULL)"""
_ALL = (
    _Expiring("uploads", "uploads", EXPIRED_SQL.format(now=":now"), step=10),  # a megabyte for each of their pieces
    _Expiring("exports", "exports", "expires_at < :now", step=10),
    _Expiring(
        "errands",
        "errands",
        "finished_at < CAST(:now AS timestamptz) - interval '1 hour' "
        "OR created_at < CAST(:now AS timestamptz) - interval '1 day'",
    ),
    _Expiring(
        "idempotency keys",
        "idempotency_keys",
        f"created_at < CAST(:now AS timestamptz) - interval '30 days' AND job_id < {_OLDEST_JOB} "
        f"AND created_at < predictq.time_of({_OLDEST_JOB}) + interval '1 day'",
    ),
    _Expiring("samples", "samples", "at < CAST(:now AS timestamptz) - interval '2 days'"),
    _Expiring("workers", "workers", "heartbeat_at < CAST(:now AS timestamptz) - interval '1 hour'"),
    _Expiring("retention runs", "retention_runs", "finished_at < CAST(:now AS timestamptz) - interval '1 year'"),
)


@dataclass(frozen=True, slots=True)
class Expiry:
    """Deletes what has expired, in small steps."""

    name: str = "expiry"
    every_seconds: float = 300

    def run(self, engine: Engine, clock: Clock) -> str:
        """Delete what has expired by now."""
        done = [(expiring.words, _delete(engine, clock, expiring)) for expiring in _ALL]
        return ", ".join(f"{count:,} {words}" for words, count in done if count)


def _delete(engine: Engine, clock: Clock, expiring: _Expiring) -> int:
    statement = text(f"""
DELETE FROM predictq.{expiring.table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM predictq.{expiring.table} WHERE {expiring.condition} LIMIT {expiring.step} FOR UPDATE SKIP LOCKED))
""")

    def step(connection: Connection) -> int:
        return connection.execute(statement, {"now": clock()}).rowcount

    total = 0
    while deleted := insist_on(engine, step):
        total += deleted
        if deleted < expiring.step:
            break
    return total
