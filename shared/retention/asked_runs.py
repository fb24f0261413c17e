"""Runs of retention that somebody asked for: the gateway writes them down, the upkeep process carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.retention.rules.errors import RunUnknown


@dataclass(frozen=True, slots=True)
class AskedRun:
    """A run as it stands. `report` is what `Report.to_json` gives, or {"error": …}; None until the run has ended."""

    id: UUID
    actor: str
    status: str  # queued, running, done or failed
    report: dict[str, Any] | None
    created_at: datetime
    finished_at: datetime | None


_COLUMNS = "id, actor, status, report, created_at, finished_at"


def ask_run(connection: Connection, actor: str) -> AskedRun:
    """Ask for a run. One that is waiting is as good: it is returned, and no second is made."""
    waiting = connection.execute(_WAITING).one_or_none()
    return AskedRun(*(waiting or connection.execute(_ASK, {"actor": actor}).one()))


def read_run(connection: Connection, run_id: UUID) -> AskedRun:
    """One run. Raises RunUnknown."""
    row = connection.execute(_READ, {"id": str(run_id)}).one_or_none()
    if row is None:
        raise RunUnknown(run_id)
    return AskedRun(*row)


def take_run(connection: Connection) -> AskedRun | None:
    """The oldest run that waits, or that an upkeep process left when it ended. It is running from now on."""
    row = connection.execute(_TAKE).one_or_none()
    return None if row is None else AskedRun(*row)


def end_run(connection: Connection, run_id: UUID, report: Mapping[str, Any], *, is_ok: bool) -> None:
    """Write down what became of a run."""
    connection.execute(_END, {"id": str(run_id), "report": dict(report), "status": "done" if is_ok else "failed"})


_WAITING = text(f"SELECT {_COLUMNS} FROM predictq.retention_runs WHERE status = 'queued' ORDER BY created_at LIMIT 1")
_ASK = text(f"""
INSERT INTO predictq.retention_runs (id, actor) VALUES (gen_random_uuid(), :actor) RETURNING {_COLUMNS}
""")
_READ = text(f"SELECT {_COLUMNS} FROM predictq.retention_runs WHERE id = :id")
_TAKE = text(f"""
UPDATE predictq.retention_runs SET status = 'running' WHERE id = (
    SELECT id FROM predictq.retention_runs WHERE status IN ('queued', 'running') ORDER BY created_at LIMIT 1
    FOR UPDATE SKIP LOCKED
) RETURNING {_COLUMNS}
""")
_END = text("""
UPDATE predictq.retention_runs SET status = :status, report = :report, finished_at = clock_timestamp() WHERE id = :id
""").bindparams(bindparam("report", type_=JSONB))
