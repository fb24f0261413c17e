"""The rounds of the upkeep process: each duty when its time has come, and a note of what it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, text

from shared.errors import PredictqError
from shared.logging import get_logger
from shared.postgres.engine import transaction
from worker.upkeep.duty import Clock, Duty

log = get_logger(__name__)

RETRY_SECONDS = 60.0  # after a run that failed, where the duty itself does not come round sooner


class Rounds:
    """Runs duties by turns. When each ran last is in PostgreSQL, so that a restart neither skips nor repeats a day."""

    def __init__(self, engine: Engine, duties: Sequence[Duty], clock: Clock) -> None:
        self._engine = engine
        self._duties = duties
        self._clock = clock

    def run_due(self, is_stopped: Callable[[], bool] = lambda: False) -> list[str]:
        """Run each duty whose time has come; returns their names. A duty that fails keeps none of the others back."""
        ran = []
        with transaction(self._engine) as connection:
            last = {row.name: row for row in connection.execute(_LAST)}
        for duty in self._duties:
            if is_stopped():
                break
            before = last.get(duty.name)
            if before is None or _is_due(duty, before.ran_at, self._clock(), is_ok=before.is_ok):
                self._run(duty)
                ran.append(duty.name)
        return ran

    def _run(self, duty: Duty) -> None:
        began = self._clock()
        try:
            outcome, is_ok = duty.run(self._engine, self._clock), True
        except PredictqError as error:
            outcome, is_ok = str(error), False
            log.warning("duty failed", duty=duty.name, reason=outcome)
        except Exception as error:
            # A duty that has a fault of its own must not end the others. Its message may quote a row: it is not kept.
            outcome, is_ok = type(error).__name__, False
            log.exception("duty failed", duty=duty.name)
        if is_ok and outcome:
            log.info("duty done", duty=duty.name, outcome=outcome)
        with transaction(self._engine) as connection:
            _note(connection, duty.name, began, outcome, is_ok=is_ok)


def _is_due(duty: Duty, ran_at: datetime, now: datetime, *, is_ok: bool) -> bool:
    pause = duty.every_seconds if is_ok else min(duty.every_seconds, RETRY_SECONDS)
    return now >= ran_at + timedelta(seconds=pause)


def _note(connection: Connection, name: str, ran_at: datetime, outcome: str, *, is_ok: bool) -> None:
    values = {"name": name, "ran_at": ran_at, "outcome": outcome[:1000], "is_ok": is_ok}
    connection.execute(_NOTE, values)


_LAST = text("SELECT name, ran_at, is_ok FROM predictq.duties")
# What was done last stays to be read when a later run finds nothing to do.
_NOTE = text("""
INSERT INTO predictq.duties AS d (name, ran_at, outcome, is_ok) VALUES (:name, :ran_at, :outcome, :is_ok)
ON CONFLICT (name) DO UPDATE SET ran_at = excluded.ran_at, is_ok = excluded.is_ok,
    outcome = CASE WHEN excluded.is_ok AND excluded.outcome = '' AND d.is_ok THEN d.outcome ELSE excluded.outcome END
""")
