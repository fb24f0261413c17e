"""Loading a version in the processes of workers before it goes live, so that the first call does not wait for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_OPEN_SECONDS = 60  # for which processes look after what was asked for
ENDED = (
    "the process that loaded it ended: it takes more memory than there is, or longer than "
    "PREDICTQ_BATCH_TIMEOUT_SECONDS, or it ends whatever loads it. The worker's log says more"
)


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How far it is: processes that hold the version, that are at it, and what the others have met."""

    loaded: int
    loading: int
    errors: list[str]


def ask(connection: Connection, version_id: int) -> None:
    """Let all processes that can load a version."""
    connection.execute(text("DELETE FROM predictq.warm_ups WHERE model_version_id = :id"), {"id": version_id})
    connection.execute(
        text("INSERT INTO predictq.warm_ups (model_version_id, process) VALUES (:id, '')"), {"id": version_id}
    )


def end(connection: Connection, version_id: int) -> None:
    """Nobody asks any more; also for those that ended without a word."""
    connection.execute(
        text("""DELETE FROM predictq.warm_ups
                WHERE model_version_id = :id OR at < clock_timestamp() - interval '1 hour'"""),
        {"id": version_id},
    )


def wanted(connection: Connection, worker: str | None = None) -> dict[int, datetime]:
    """The versions that are asked for now, by their numbers in the database, and when each was.

    With the name of a `worker` without those that have ended a process of that worker.
    """
    values = {"seconds": _OPEN_SECONDS, "worker": worker, "ended": ENDED}
    return {row.model_version_id: row.at for row in connection.execute(_WANTED, values)}


_WANTED = text("""
SELECT w.model_version_id, w.at FROM predictq.warm_ups w
WHERE w.process = '' AND w.at > clock_timestamp() - make_interval(secs => :seconds) AND NOT EXISTS (
    SELECT FROM predictq.warm_ups e
    WHERE e.model_version_id = w.model_version_id AND e.error = :ended
        AND starts_with(e.process, CAST(:worker AS text) || '/'))
ORDER BY w.at
""")


def loading(connection: Connection, worker: str) -> list[tuple[int, str]]:
    """Which processes of a worker are at which versions, by what they have said: version and process."""
    return [(row.model_version_id, row.process) for row in connection.execute(_LOADING, {"worker": worker})]


_LOADING = text("""
SELECT model_version_id, process FROM predictq.warm_ups
WHERE starts_with(process, CAST(:worker AS text) || '/') AND NOT is_loaded AND error IS NULL
""")


def report(
    connection: Connection, version_id: int, process: str, *, is_loaded: bool = False, error: str | None = None
) -> None:
    """Say how far a process is: it has begun, has `is_loaded` it, or has failed."""
    connection.execute(
        text("""INSERT INTO predictq.warm_ups (model_version_id, process, is_loaded, error)
                VALUES (:id, :process, :loaded, :error)
                ON CONFLICT (model_version_id, process)
                DO UPDATE SET is_loaded = excluded.is_loaded, error = excluded.error, at = clock_timestamp()"""),
        {"id": version_id, "process": process, "loaded": is_loaded, "error": error and error[:2000]},
    )


def progress(connection: Connection, version_id: int) -> WarmUp:
    """What the processes have said."""
    rows = connection.execute(
        text("SELECT is_loaded, error FROM predictq.warm_ups WHERE model_version_id = :id AND process <> ''"),
        {"id": version_id},
    ).all()
    return WarmUp(
        loaded=sum(row.is_loaded for row in rows),
        loading=sum(not row.is_loaded and row.error is None for row in rows),
        errors=[row.error for row in rows if row.error is not None],
    )
