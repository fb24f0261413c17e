"""Pauses: work of a queue, or of a model, that is held back until somebody resumes it.

The claim asks for them, so every worker obeys. What is in hand is finished; what waits loses nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from shared.errors import ModelUnknown, PredictqError
from shared.plain_names import refuse_unprintable
from shared.sentences import Sentence
from shared.status import Queue

LONGEST_REASON = 500


class PauseUnknown(PredictqError):
    """There is nothing to resume."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not paused.")


class PauseRefused(PredictqError):
    """Work cannot be held back like this."""


@dataclass(frozen=True, slots=True)
class Pause:
    """What is held back: a queue, a model, or the work of one model in one queue."""

    id: int
    queue: Queue | None
    model: str | None
    reason: str
    actor: str
    created_at: datetime

    @property
    def what(self) -> str:
        """What is held back, in words."""
        return _words(self.queue, self.model)


def resume_command(queue: str | None, model: str | None) -> str:
    """What ends a pause, as it is typed."""
    given = [f"--{option} {value}" for option, value in (("queue", queue), ("model", model)) if value]
    return " ".join(["predictq resume", *given])


def _words(queue: str | None, model: str | None) -> str:
    of_queue = "" if queue is None else f"the queue {queue}"
    of_model = "" if model is None else f"the work of {model}"
    return f"{of_model} in {of_queue}" if queue and model else of_queue or of_model


def list_pauses(connection: Connection) -> list[Pause]:
    """What is held back at this moment, in the order in which it was."""
    return [_pause(row) for row in connection.execute(text(f"SELECT {_COLUMNS} FROM predictq.pauses ORDER BY id"))]


def begin_pause(
    connection: Connection, *, queue: Queue | None, model: str | None, reason: str, actor: str
) -> tuple[Pause, bool]:
    """Hold work back from now on. Returns the pause, and whether it is new: what is paused already stays as it was.

    Raises PauseRefused and ModelUnknown.
    """
    if queue is None and model is None:
        raise PauseRefused(Sentence("Say what to pause: a queue, a model, or both.", "nothing-to-pause"))
    if not reason.strip():
        raise PauseRefused(Sentence("Say why: whoever waits will ask.", "pause-without-reason"))
    if (flaw := refuse_unprintable("A reason", reason, LONGEST_REASON)) is not None:
        raise PauseRefused(flaw)
    known = text("SELECT FROM predictq.models WHERE name = :model")
    if model is not None and connection.execute(known, {"model": model}).first() is None:
        raise ModelUnknown(model)
    values = {"queue": queue and queue.value, "model": model, "reason": reason, "actor": actor}
    row = connection.execute(_BEGIN, values).one_or_none()
    if row is not None:
        return _pause(row), True
    return _pause(connection.execute(_STANDS, values).one()), False


def end_pause(connection: Connection, pause_id: int, *, models: Collection[str] | None = None) -> Pause:
    """Let work go on. Raises PauseUnknown; with `models` for the pause of any other model, too.

    Time that work was held back counts neither as a wait for a worker nor for a source that is away.
    """
    allowed = None if models is None else list(models)
    row = connection.execute(_END, {"id": pause_id, "models": allowed}).one_or_none()
    if row is None:
        raise PauseUnknown(f"Number {pause_id}")
    ended = _pause(row)
    values = {"queue": ended.queue and ended.queue.value, "model": ended.model, "since": ended.created_at}
    connection.execute(_NOTE_RESUMPTION, values)
    connection.execute(_FORGIVE_SOURCES, values)
    return ended


def _pause(row: tuple[object, ...]) -> Pause:
    pause_id, queue, *others = row
    return Pause(pause_id, None if queue is None else Queue(queue), *others)  # type: ignore[arg-type]  # as selected


_COLUMNS = "id, queue, model, reason, actor, created_at"
_BEGIN = text(f"""
INSERT INTO predictq.pauses (queue, model, reason, actor) VALUES (:queue, :model, :reason, :actor)
ON CONFLICT (queue, model) DO NOTHING RETURNING {_COLUMNS}
""")
_STANDS = text(f"""
SELECT {_COLUMNS} FROM predictq.pauses
WHERE queue IS NOT DISTINCT FROM CAST(:queue AS text) AND model IS NOT DISTINCT FROM CAST(:model AS text)
""")
_END = text(f"""
DELETE FROM predictq.pauses
WHERE id = :id
  AND (CAST(:models AS text[]) IS NULL OR model IS NULL OR model = ANY (CAST(:models AS text[]))) RETURNING {_COLUMNS}
""")
_NOTE_RESUMPTION = text("""
INSERT INTO predictq.resumptions (queue, model) VALUES (:queue, :model)
ON CONFLICT (queue, model) DO UPDATE SET at = clock_timestamp()
""")
# Nobody has asked them meanwhile.
_FORGIVE_SOURCES = text("""
UPDATE predictq.sources
SET away_since = away_since + (clock_timestamp() - greatest(away_since, CAST(:since AS timestamptz)))
WHERE away_since IS NOT NULL AND NOT is_given_up
  AND (CAST(:model AS text) IS NULL OR id IN (
      SELECT v.source_id FROM predictq.model_versions v WHERE v.model = CAST(:model AS text)))
""")
