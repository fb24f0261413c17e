"""Which workers are alive, what they can load, and what they do now: each says so itself, every few seconds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.models.requirements import lacking

ALIVE_SECONDS = 30  # since a worker was heard of last, after which it counts as gone
_FORGOTTEN_SECONDS = 3600  # after which a worker that ended without a word leaves the table

_MOST_REASONS = 3  # that an error names


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as it described itself last."""

    name: str
    processes: int
    queues: list[str]
    models: list[str] | None  # None: it takes all
    requirements: list[str]  # of the versions that are registered those that it meets
    libraries: Mapping[str, str]
    loaded_versions: list[int] = field(default_factory=list)  # by their numbers in the database
    current_batches: list[int] = field(default_factory=list)
    rows_per_second: float | None = None
    started_at: datetime | None = None
    heartbeat_at: datetime | None = None

    def lacks(self, model: str, requirements: str) -> list[str]:
        """Why it takes no work of such a version, in words; empty where it does.

        No other model is named: whoever may use this one may read it.
        """
        if self.models is not None and model not in self.models:
            return [f"work of {model} (it takes other models alone)"]
        return lacking(requirements, self.libraries)


def beat(connection: Connection, worker: Worker) -> None:
    """Write what a worker says of itself, and forget those that have been silent for long."""
    connection.execute(
        _BEAT,
        {
            "name": worker.name,
            "processes": worker.processes,
            "queues": worker.queues,
            "models": worker.models,
            "requirements": worker.requirements,
            "libraries": dict(worker.libraries),
            "loaded": worker.loaded_versions,
            "rate": worker.rows_per_second,
        },
    )
    connection.execute(_FORGET, {"seconds": _FORGOTTEN_SECONDS})


# Which batches it holds is told by the batches.
_BEAT = text("""
INSERT INTO predictq.workers AS w (name, processes, queues, models, requirements, libraries, loaded_versions,
                                   current_batches, rows_per_second)
SELECT :name, :processes, CAST(:queues AS text[]), CAST(:models AS text[]), CAST(:requirements AS text[]), :libraries,
       CAST(:loaded AS integer[]), ARRAY(
           SELECT b.id FROM predictq.prediction_batches b
           WHERE b.status = 'running' AND b.lease_until > clock_timestamp() AND starts_with(b.worker, :name || '/')
           ORDER BY b.id), :rate
ON CONFLICT (name) DO UPDATE SET
    processes = excluded.processes, queues = excluded.queues, models = excluded.models,
    requirements = excluded.requirements, libraries = excluded.libraries, loaded_versions = excluded.loaded_versions,
    current_batches = excluded.current_batches, rows_per_second = excluded.rows_per_second,
    heartbeat_at = clock_timestamp(),
    -- A name that was silent for so long is another worker's now.
    started_at = CASE WHEN w.heartbeat_at < clock_timestamp() - interval '1 minute' THEN clock_timestamp()
                      ELSE w.started_at END
""").bindparams(bindparam("libraries", type_=JSONB))
_FORGET = text("DELETE FROM predictq.workers WHERE heartbeat_at < clock_timestamp() - make_interval(secs => :seconds)")


def leave(connection: Connection, name: str) -> None:
    """A worker has ended in good order."""
    connection.execute(text("DELETE FROM predictq.workers WHERE name = :name"), {"name": name})


def living_workers(connection: Connection) -> list[Worker]:
    """The workers that were heard of lately, by name."""
    return [_worker(row) for row in connection.execute(_ALIVE, {"alive": ALIVE_SECONDS})]


_ALIVE = text("""
SELECT name, processes, queues, models, requirements, libraries, loaded_versions, current_batches, rows_per_second,
       started_at, heartbeat_at
FROM predictq.workers WHERE heartbeat_at > clock_timestamp() - make_interval(secs => :alive) ORDER BY name
""")


def connected_workers(connection: Connection) -> list[str]:
    """The names of workers that have a connection to PostgreSQL, heard of or not: their role may not write, say.

    One that was never heard of is known by the role of its connection, where the services have roles of their own.
    """
    return list(connection.execute(_CONNECTED).scalars())


# Other processes of a worker have names without a machine, or go on after it.
_CONNECTED = text("""
SELECT DISTINCT application_name FROM pg_stat_activity a
WHERE a.datname = current_database() AND (
    EXISTS (SELECT FROM predictq.workers w WHERE left(w.name, 63) = a.application_name)
    OR a.application_name LIKE '%@%'
        AND a.usename IN (SELECT d.name FROM predictq.database_roles d WHERE d.duty = 'worker'))
ORDER BY application_name
""")


def _worker(row: Any) -> Worker:
    return Worker(**row._asdict())


@dataclass(frozen=True, slots=True)
class Named:
    """What a number of a worker's stands for: a version, and of a batch that is under way the bulk job, too."""

    model: str
    version: int
    job_id: UUID | None = None  # None: of single predictions, or of a version alone
    owner: str = ""  # whose job that is


def name_versions(connection: Connection, version_ids: Collection[int]) -> dict[int, Named]:
    """The versions with these numbers."""
    rows = connection.execute(_VERSIONS, {"ids": sorted(version_ids)})
    return {row.id: Named(row.model, row.version) for row in rows}


def name_batches(connection: Connection, batch_ids: Collection[int]) -> dict[int, Named]:
    """Those of these batches that are under way; what has ended since a worker told of it is left out."""
    rows = connection.execute(_BATCHES, {"ids": sorted(batch_ids)})
    return {row.id: Named(row.model, row.version, row.job_id, row.owner) for row in rows}


_VERSIONS = text("SELECT id, model, version FROM predictq.model_versions WHERE id = ANY (CAST(:ids AS integer[]))")
_BATCHES = text("""
SELECT b.id, v.model, v.version, b.job_id, b.owner
FROM predictq.prediction_batches b JOIN predictq.model_versions v ON v.id = b.model_version_id
WHERE b.id = ANY (CAST(:ids AS bigint[])) AND b.status = 'running'
""")


def why_nobody(workers: Sequence[Worker], model: str, requirements: str) -> str | None:
    """Why none of these workers takes work of such a version, in words; None where one does, or where there is none."""
    reasons = {worker.name: worker.lacks(model, requirements) for worker in workers}
    if not reasons or not all(reasons.values()):
        return None
    told = [f"{name} lacks {', '.join(words)}" for name, words in list(reasons.items())[:_MOST_REASONS]]
    return "; ".join(told) + (f"; and {len(reasons) - _MOST_REASONS} more" if len(reasons) > _MOST_REASONS else "")
