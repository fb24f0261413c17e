"""Legal holds: nothing of a model, a job or a client goes by age or is erased while one stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from shared.errors import ModelUnknown
from shared.retention.rules.errors import HoldRefused, HoldUnknown


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold that stands. One of model, job_id and client_key is given; the key stays out of every text of it."""

    id: int
    model: str | None
    job_id: UUID | None
    source: str | None  # of the client; None: of every source
    client_key: str | None = field(repr=False)
    reason: str
    actor: str
    created_at: datetime

    @property
    def kind(self) -> str:
        """What it holds, for the audit log, which gets no client key."""
        return "model" if self.model is not None else "job" if self.job_id is not None else "client"


_SELECT = """
SELECT h.id, h.model, h.job_id, s.name AS source, h.client_key, h.reason, h.actor, h.created_at
FROM predictq.holds h LEFT JOIN predictq.sources s ON s.id = h.source_id WHERE h.released_at IS NULL
"""


def list_holds(connection: Connection) -> list[Hold]:
    """The holds that stand, newest first."""
    return [Hold(*row) for row in connection.execute(text(f"{_SELECT} ORDER BY h.id DESC"))]


def get_hold(connection: Connection, hold_id: int) -> Hold:
    """One hold that stands. Raises HoldUnknown."""
    row = connection.execute(text(f"{_SELECT} AND h.id = :id"), {"id": hold_id}).one_or_none()
    if row is None:
        raise HoldUnknown(hold_id)
    return Hold(*row)


def add_hold(
    connection: Connection,
    *,
    reason: str,
    actor: str,
    model: str | None = None,
    job_id: UUID | None = None,
    client_key: str | None = None,
    source: str | None = None,
) -> Hold:
    """Hold a model, a job or a client (the key in its canonical form). Raises HoldRefused, ModelUnknown."""
    if sum(given is not None for given in (model, job_id, client_key)) != 1:
        raise HoldRefused("A hold names one thing: a model, a job or a client.")
    if source is not None and client_key is None:
        raise HoldRefused("Only a hold on a client names a source.")
    if model is not None and connection.execute(_MODEL, {"model": model}).first() is None:
        raise ModelUnknown(model)
    if job_id is not None and connection.execute(_JOB, {"job_id": str(job_id)}).first() is None:
        raise HoldRefused(f"There is no job {job_id} to hold.")
    source_id = None if source is None else connection.execute(_SOURCE, {"source": source}).scalar_one_or_none()
    if source is not None and source_id is None:
        raise HoldRefused(f"There is no source {source[:100]}.")
    values = {
        "model": model,
        "job_id": None if job_id is None else str(job_id),
        "source_id": source_id,
        "client_key": client_key,
        "reason": reason,
        "actor": actor,
    }
    return get_hold(connection, connection.execute(_ADD, values).scalar_one())


def standing_holds(connection: Connection) -> frozenset[int]:
    """The numbers of the holds that stand."""
    return frozenset(connection.execute(_STANDING).scalars())


def no_hold_can_come(connection: Connection) -> None:
    """Let nobody add a hold or set a period until the commit. Who was about to has: read the rules after this."""
    connection.execute(text("LOCK TABLE predictq.holds IN SHARE MODE"))


def wait_for_deletions(connection: Connection) -> None:
    """Wait for steps of retention that are being taken, and hold off others until the commit: as an added hold does."""
    connection.execute(text("LOCK TABLE predictq.holds IN ROW EXCLUSIVE MODE"))


def release_hold(connection: Connection, hold_id: int) -> Hold:
    """End a hold; it forgets its client key. Returns it as it stood. Raises HoldUnknown."""
    hold = get_hold(connection, hold_id)
    connection.execute(
        text("UPDATE predictq.holds SET released_at = clock_timestamp(), client_key = NULL WHERE id = :id"),
        {"id": hold_id},
    )
    return hold


_MODEL = text("SELECT FROM predictq.models WHERE name = :model")
_JOB = text("SELECT FROM predictq.jobs WHERE id = :job_id")
_SOURCE = text("SELECT id FROM predictq.sources WHERE name = :source")
_STANDING = text("SELECT id FROM predictq.holds WHERE released_at IS NULL")
_ADD = text("""
INSERT INTO predictq.holds (model, job_id, source_id, client_key, reason, actor)
VALUES (:model, :job_id, :source_id, :client_key, :reason, :actor) RETURNING id
""")
