"""What the upkeep process does of erasure: carry out what was asked for, and compact at night."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from shared.erasure.compact import NIGHT, compact
from shared.erasure.errors import WAITS_FOR_OLDER, ErasureBlocked, ErasureError, ErasuresWait
from shared.erasure.kept_hashes import KeptHashes
from shared.errors import DatabaseBlocked
from shared.retention.statements import upkeep_transaction
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
        """Do what is open; says how much, and what has to wait. Why one waits is noted with it, for whoever asks.

        One that cannot go on keeps none of the others back: it is put aside until the next round, and what stopped it
        is raised at the end. Raises ErasureError, DatabaseUnavailable.
        """
        ended = 0
        waiting: set[UUID] = set()
        problems: list[ErasureError] = []
        while (row := _next(engine, waiting)) is not None:
            try:
                is_over = self._carry_out(engine, row)
            except ErasureError as error:
                is_over = False
                problems.append(error)
                _tell(engine, row.id, str(error))
                if sum(isinstance(each, ErasureBlocked) for each in problems) == _MOST_BLOCKED:
                    break
            else:
                if not is_over:
                    _tell(engine, row.id, WAITS_FOR_OLDER)
            ended += is_over
            if not is_over:
                waiting.add(row.id)
        if problems:
            raise problems[0] if len(problems) == 1 else ErasuresWait(problems)
        if not ended and not waiting:
            return ""
        left = f", {len(waiting)} wait for older transactions" if waiting else ""
        return f"{ended} erasures ended{left}"

    def _carry_out(self, engine: Engine, row: Any) -> bool:
        if row.kind == "replay":
            return replay(engine, self._kept, row.id)
        return Eraser(engine, self._kept).erase(row.id)


def _next(engine: Engine, waiting: Iterable[UUID]) -> Any:
    with upkeep_transaction(engine) as connection:
        return connection.execute(_NEXT, {"waiting": [str(item) for item in waiting]}).first()


def _tell(engine: Engine, erasure_id: UUID, why: str) -> None:
    """Note why it waits. Where even that is blocked, the next round will."""
    with suppress(DatabaseBlocked), upkeep_transaction(engine) as connection:
        connection.execute(_WHY, {"id": str(erasure_id), "why": why})


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


_MOST_BLOCKED = 3  # erasures of one round that a lock stops, after ten seconds each: it is most likely the same one

# Replays first: they bring persons. Those that had to wait last: what stopped them may take its time once more.
_NEXT = text("""
SELECT id, kind FROM predictq.erasures
WHERE status IN ('queued', 'running') AND id <> ALL (CAST(:waiting AS uuid[]))
ORDER BY kind = 'person', error IS NOT NULL, created_at, id LIMIT 1
""")
_WHY = text("""
UPDATE predictq.erasures SET error = :why
WHERE id = :id AND status IN ('queued', 'running') AND error IS DISTINCT FROM :why
""")
