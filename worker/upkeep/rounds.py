"""The rounds of the upkeep process: each duty when its time has come, and a note of what it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

from shared.errors import PredictqError
from shared.logging import get_logger
from shared.postgres.engine import transaction
from shared.postgres.outages import reason
from worker.upkeep.duty import Clock, Duty

log = get_logger(__name__)

RETRY_SECONDS = 60.0  # after a run that failed, where the duty itself does not come round sooner
_LONGEST_RETRY_SECONDS = 3600.0  # each further failure doubles the pause, up to this


class Rounds:
    """Runs duties by turns. When each ran last is in PostgreSQL, so that a restart neither skips nor repeats a day."""

    def __init__(
        self, engine: Engine, duties: Sequence[Duty], clock: Clock, *, patience_seconds: float = 600.0
    ) -> None:
        """`patience_seconds` is how long a run may take, or a duty wait for the others, before somebody should look."""
        self._engine = engine
        self._duties = duties
        self._clock = clock
        self._patience = patience_seconds

    def run_due(self, is_stopped: Callable[[], bool] = lambda: False) -> list[str]:
        """Run each duty whose time has come; returns their names. A duty that fails keeps none of the others back."""
        ran = []
        with transaction(self._engine) as connection:
            last = {row.name: row for row in connection.execute(_LAST)}
        for duty in self._duties:
            if is_stopped():
                break
            before = last.get(duty.name)
            if before is None or _is_due(duty, before.ran_at, self._clock(), failures=before.failures):
                self._run(duty)
                ran.append(duty.name)
        return ran

    def _run(self, duty: Duty) -> None:
        began = self._clock()
        with transaction(self._engine) as connection:
            connection.execute(_NEED_NOT_LAST)
            connection.execute(_BEGIN, {**self._values(duty), "began_at": began})
        try:
            outcome, is_ok = duty.run(self._engine, self._clock), True
        except PredictqError as error:
            outcome, is_ok = str(error), False
            log.warning("duty failed", duty=duty.name, reason=outcome)
        except Exception as error:
            # A duty that has a fault of its own must not end the others. Its message may quote a row: it is not kept,
            # but for what PostgreSQL says of a right or a table that is missing.
            outcome, is_ok = reason(error), False
            log.exception("duty failed", duty=duty.name)
        if is_ok and outcome:
            log.info("duty done", duty=duty.name, outcome=outcome)
        with transaction(self._engine) as connection:
            values = {**self._values(duty), "ran_at": began, "outcome": outcome[:1000], "is_ok": is_ok}
            connection.execute(_NOTE, values)

    def _values(self, duty: Duty) -> dict[str, Any]:
        return {"name": duty.name, "every": duty.every_seconds, "patience": self._patience}


def _is_due(duty: Duty, ran_at: datetime | None, now: datetime, *, failures: int) -> bool:
    """Also where it ran at a time that is still to come: a clock was ahead, and was put right."""
    return ran_at is None or ran_at > now or now >= ran_at + timedelta(seconds=_pause(duty, failures))


def _pause(duty: Duty, failures: int) -> float:
    """The seconds from the beginning of a run to that of the next one, after so many failures in a row."""
    if not failures:
        return duty.every_seconds
    longest = min(max(duty.every_seconds, RETRY_SECONDS), _LONGEST_RETRY_SECONDS)
    return float(min(min(duty.every_seconds, RETRY_SECONDS) * 2.0 ** min(failures - 1, 12), longest))


_LAST = text("SELECT name, ran_at, failures FROM predictq.duties")
# That a run began is worth knowing while it goes on: after a crash of the server nobody needs it.
_NEED_NOT_LAST = text("SET LOCAL synchronous_commit = off")
_BEGIN = text("""
INSERT INTO predictq.duties (name, began_at, every_seconds, patience_seconds)
VALUES (:name, :began_at, :every, :patience)
ON CONFLICT (name) DO UPDATE SET began_at = excluded.began_at, every_seconds = excluded.every_seconds,
    patience_seconds = excluded.patience_seconds
""")
# What was done last stays to be read when a later run finds nothing to do.
_NOTE = text("""
INSERT INTO predictq.duties AS d (name, ran_at, outcome, is_ok, failures, every_seconds, patience_seconds)
VALUES (:name, :ran_at, :outcome, :is_ok, CASE WHEN :is_ok THEN 0 ELSE 1 END, :every, :patience)
ON CONFLICT (name) DO UPDATE SET ran_at = excluded.ran_at, began_at = NULL, is_ok = excluded.is_ok,
    failures = CASE WHEN excluded.is_ok THEN 0 ELSE d.failures + 1 END,
    outcome = CASE WHEN excluded.is_ok AND excluded.outcome = '' AND d.is_ok THEN d.outcome ELSE excluded.outcome END
""")
