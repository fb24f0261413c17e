"""What the upkeep process does of erasure: carry out what was asked for, and compact at night."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, text

from shared.erasure.compact import NIGHT, compact
from shared.erasure.kept_hashes import KeptHashes
from shared.postgres.engine import transaction
from shared.sentences import count_of
from worker.erasure.replay import replay
from worker.erasure.runner import Eraser


class ErasureDuty:
    """Carries out all erasures and replays that are open, oldest first. Cheap when there is none."""

    name = "erasures"
    every_seconds = 1.0

    def __init__(self, directory: Path | None) -> None:
        """`directory` is where hashes of erased keys are kept, outside the database; None keeps none."""
        self._kept = None if directory is None else KeptHashes(directory)

    def run(self, engine: Engine, _clock: object = None) -> str:
        """Do what is open; says how much, and what has to wait. Raises ErasureInterrupted, DatabaseUnavailable."""
        ended = 0
        waiting: set[UUID] = set()
        while True:
            with transaction(engine) as connection:
                row = connection.execute(_NEXT, {"waiting": [str(item) for item in waiting]}).first()
            if row is None:
                break
            is_over = (
                replay(engine, self._kept, row.id) if row.kind == "replay" else Eraser(engine, self._kept).erase(row.id)
            )
            ended += is_over
            if not is_over:
                waiting.add(row.id)
        if not ended and not waiting:
            return ""
        left = f", {len(waiting)} wait for older transactions" if waiting else ""
        return f"{ended} erasures ended{left}"


class CompactionDuty:
    """Takes the old bytes of erased persons out of the table files, at night: readers of a partition wait meanwhile."""

    name = "compaction"
    every_seconds = 600.0

    def run(self, engine: Engine, clock: Callable[[], datetime]) -> str:
        """Compact what is marked, once in the hours of the night (UTC); says what was done and what is left."""
        if clock().astimezone(UTC).hour not in NIGHT:
            return ""
        report = compact(engine, patience_seconds=10, is_night=True)
        if not report.compacted and not report.left:
            return ""
        left = "".join(f"; {table} left: {why}" for table, why in report.left.items())
        return f"{count_of(len(report.compacted), 'table')} compacted{left}"


# Replays first: they bring persons.
_NEXT = text("""
SELECT id, kind FROM predictq.erasures
WHERE status IN ('queued', 'running') AND id <> ALL (CAST(:waiting AS uuid[]))
ORDER BY kind = 'person', created_at, id LIMIT 1
""")
