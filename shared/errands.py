"""Errands: what a worker does for a caller who waits, because workers alone open sources and models.

An errand is a row: submitted by the gateway, claimed under a lease and a fence by a worker, and kept for an hour
after its end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from uuid_utils.compat import uuid7

from shared.postgres.engine import autocommit
from shared.watching.workers import ALIVE_SECONDS

KINDS = (
    "describe_source",
    "check_source",
    "count",
    "register_model",
    "check_model",
    "look_at_upload",
    "read_features",
    "write_export",
    "read_rows",
)
MOST_CLAIMS = 3  # of one errand, whose worker ended each time


@dataclass(frozen=True, slots=True)
class Errand:
    """An errand as its caller sees it. `result` of one that failed is `{"code": …, "detail": …}`."""

    id: UUID
    kind: str
    owner: str
    status: str  # queued, running, done, failed
    result: dict[str, Any] | None

    @property
    def is_ended(self) -> bool:
        """Whether there is a result."""
        return self.status in ("done", "failed")


@dataclass(frozen=True, slots=True)
class ClaimedErrand:
    """An errand in the hands of a worker until its lease runs out. Only the newest fence may finish it."""

    id: UUID
    kind: str
    owner: str
    arguments: dict[str, Any]
    fence: int


def submit(connection: Connection, kind: str, owner: str, arguments: dict[str, Any]) -> UUID:
    """Ask a worker for something. Errands go an hour after their end, or after nobody has begun; never in hand."""
    if kind not in KINDS:
        raise ValueError(f"{kind} is no kind of errand")
    errand_id = UUID(str(uuid7()))
    connection.execute(_FORGET)
    connection.execute(_SUBMIT, {"id": str(errand_id), "kind": kind, "owner": owner, "arguments": arguments})
    return errand_id


def read(connection: Connection, errand_id: UUID) -> Errand | None:
    """What became of an errand; None where there is none, or none any more."""
    return read_all(connection, [errand_id]).get(errand_id)


def read_all(connection: Connection, errand_ids: Sequence[UUID]) -> dict[UUID, Errand]:
    """What became of errands, by their ids; those that are not there are left out."""
    rows = connection.execute(
        text("SELECT id, kind, owner, status, result FROM predictq.errands WHERE id = ANY(CAST(:ids AS uuid[]))"),
        {"ids": list(map(str, errand_ids))},
    )
    return {errand.id: errand for errand in (Errand(UUID(str(id_)), *rest) for id_, *rest in rows)}


def withdraw(connection: Connection, errand_id: UUID) -> None:
    """Nobody waits for it any more. One that a worker has is done all the same."""
    connection.execute(
        text("DELETE FROM predictq.errands WHERE id = :id AND status = 'queued'"), {"id": str(errand_id)}
    )


def wait(engine: Engine, errand_id: UUID, *, seconds: float) -> Errand | None:
    """What became of an errand once it has ended, or as it stands when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        with autocommit(engine) as connection:
            found = read(connection, errand_id)
        if found is None or found.is_ended or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def claim_errand(
    connection: Connection,
    *,
    worker: str,
    lease_seconds: float,
    kinds: Sequence[str] = KINDS,
    requirements: Sequence[str] | None = None,
) -> ClaimedErrand | None:
    """The errand of these kinds that is next: by turns of owners, the oldest first, or one whose worker ended.

    A version that needs more than `requirements`, if they are named, is left to a worker that can load it. Where none
    is alive it is taken all the same, for the caller to be told what lacks. One whose workers all ended is given up.
    """
    connection.execute(_GIVE_UP)
    values = {
        "worker": worker,
        "lease": lease_seconds,
        "kinds": list(kinds),
        "requirements": None if requirements is None else list(requirements),
    }
    row = connection.execute(_CLAIM, values).one_or_none()
    if row is None:
        return None
    return ClaimedErrand(UUID(str(row.id)), row.kind, row.owner, row.arguments, row.fence)


def extend_errand(connection: Connection, held: ClaimedErrand, *, lease_seconds: float) -> bool:
    """Hold an errand for longer. Returns whether it still is this claim's."""
    values = {"id": str(held.id), "fence": held.fence, "lease": lease_seconds}
    return connection.execute(_EXTEND, values).rowcount == 1


def finish_errand(connection: Connection, held: ClaimedErrand, result: dict[str, Any], *, failed: bool = False) -> bool:
    """Store the result, if the claim is still the newest. Returns whether it was."""
    values = {"id": str(held.id), "fence": held.fence, "result": result, "status": "failed" if failed else "done"}
    return connection.execute(_FINISH, values).rowcount == 1


def hand_on(connection: Connection, held: ClaimedErrand, able: Sequence[str]) -> bool:
    """Put an errand back for one of the workers of these names, or for anybody where none of them is alive.

    Their names are in its arguments from then on, as `able`. Returns whether the claim was still the newest.
    """
    values = {"id": str(held.id), "fence": held.fence, "able": list(able)}
    return connection.execute(_HAND_ON, values).rowcount == 1


_LONG_SECONDS = 20  # for which a long errand may wait for a worker
# Whether the long errand `e` is in nobody's hands. One that waits behind another slow one is not forgotten.
FORGOTTEN_SQL = f"""
((e.status = 'queued' AND e.created_at < now() - interval '{_LONG_SECONDS} s'
    OR e.status = 'running' AND e.lease_until < clock_timestamp() - interval '{_LONG_SECONDS} s')
 AND NOT EXISTS (
    SELECT FROM predictq.errands o WHERE o.status = 'running' AND o.kind IN ('write_export', 'read_rows')
      AND o.lease_until > clock_timestamp()))"""

_FORGET = text("""
DELETE FROM predictq.errands
WHERE coalesce(finished_at, created_at) < now() - interval '1 hour'
  AND (status <> 'running' OR created_at < now() - interval '1 day')
""")

_SUBMIT = text("""
INSERT INTO predictq.errands (id, kind, owner, arguments) VALUES (:id, :kind, :owner, :arguments)
""").bindparams(bindparam("arguments", type_=JSONB))

_GIVE_UP = text(f"""
UPDATE predictq.errands SET status = 'failed', lease_until = NULL, finished_at = clock_timestamp(),
    result = '{{"code": "worker_ended", "detail": "The workers that tried ended at it. Ask the operator."}}'
WHERE status = 'running' AND lease_until < clock_timestamp() AND fence >= {MOST_CLAIMS}
""")

# Whether the errand `q` checks a version that another living worker can load, and whoever asks cannot.
_IS_FOR_OTHERS = f"""
q.kind = 'check_model' AND EXISTS (
    SELECT FROM predictq.model_versions v
    WHERE v.id = CAST(q.arguments ->> 'version_id' AS integer)
      AND v.requirements <> ALL (CAST(:requirements AS text[]))
      AND EXISTS (SELECT FROM predictq.workers w
                  WHERE w.heartbeat_at > clock_timestamp() - interval '{ALIVE_SECONDS} s'
                    AND v.requirements = ANY (w.requirements)))"""

# Whether the errand `q` was handed on to others, of whom one lives, and not to whoever asks.
_IS_HANDED_ON = f"""
q.arguments ? 'able'
AND NOT EXISTS (SELECT FROM jsonb_array_elements_text(q.arguments -> 'able') a (name)
                WHERE starts_with(:worker, a.name || '/'))
AND EXISTS (SELECT FROM predictq.workers w
            WHERE w.heartbeat_at > clock_timestamp() - interval '{ALIVE_SECONDS} s'
              AND q.arguments -> 'able' ? w.name)"""

_CLAIM = text(f"""
UPDATE predictq.errands e SET status = 'running', fence = e.fence + 1, worker = :worker,
    lease_until = clock_timestamp() + make_interval(secs => :lease)
WHERE e.id = (
    SELECT q.id FROM predictq.errands q
    WHERE q.kind = ANY(CAST(:kinds AS text[]))
      AND (q.status = 'queued' OR (q.status = 'running' AND q.lease_until < clock_timestamp()))
      AND (CAST(:requirements AS text[]) IS NULL OR NOT ({_IS_FOR_OTHERS}))
      AND NOT ({_IS_HANDED_ON})
    -- Of whom fewest were served in the last minute: a caller with hundreds holds up nobody else's one.
    ORDER BY (SELECT count(*) FROM predictq.errands d WHERE d.owner = q.owner AND d.status <> 'queued'
                AND coalesce(d.finished_at, clock_timestamp()) > clock_timestamp() - interval '1 minute'),
             q.created_at
    LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING e.id, e.kind, e.owner, e.arguments, e.fence
""")

_EXTEND = text("""
UPDATE predictq.errands SET lease_until = clock_timestamp() + make_interval(secs => :lease)
WHERE id = :id AND fence = :fence AND status = 'running'
""")

_HAND_ON = text("""
UPDATE predictq.errands SET status = 'queued', lease_until = NULL,
    arguments = arguments || jsonb_build_object('able', CAST(:able AS text[]))
WHERE id = :id AND fence = :fence AND status = 'running'
""")

_FINISH = text("""
UPDATE predictq.errands SET status = :status, result = :result, lease_until = NULL, finished_at = clock_timestamp()
WHERE id = :id AND fence = :fence AND status = 'running'
""").bindparams(bindparam("result", type_=JSONB))
