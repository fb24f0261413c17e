"""Loading a version in the processes of workers before it goes live, so that the first call does not wait for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_OPEN_SECONDS = 60  # for which processes look after what was asked for


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


def wanted(connection: Connection) -> dict[int, datetime]:
    """The versions that are asked for now, by their numbers in the database, and when each was."""
    return {row.model_version_id: row.at for row in connection.execute(_WANTED, {"seconds": _OPEN_SECONDS})}


_WANTED = text("""
SELECT model_version_id, at FROM predictq.warm_ups
WHERE process = '' AND at > clock_timestamp() - make_interval(secs => :seconds) ORDER BY at
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
