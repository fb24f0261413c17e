"""The first step of an erasure: no worker finishes, and no planner goes on, with what it has read of the client.

A batch that is open is rewritten and handed out anew under a higher fence. Its worker's answers are refused. The row
ends with the error `erased` (`predictq.finish` writes it).
"""

from __future__ import annotations

import time
from functools import partial
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from shared.erasure.client_holds import HoldGuard
from shared.erasure.keys import ClientKey
from shared.erasure.request_rows import erase_requests, note_jobs
from shared.postgres.engine import autocommit
from shared.retention.statements import insist_on


def restart_plans(engine: Engine, key: ClientKey) -> int:
    """Let every plan of her source that is at work be claimed anew; returns how many.

    Whoever writes pages of a plan holds its row: what was planned before is committed, and nothing follows.
    A plan that goes on after her key goes on after the one before, so that hers is not kept.
    """
    return insist_on(engine, partial(_restart_plans, key=key))


def _restart_plans(connection: Connection, key: ClientKey) -> int:
    plans = connection.execute(_LOCK_PLANS, {"source_id": key.source.id}).all()
    for plan in plans:
        connection.execute(_RESTART_PLAN, {"id": plan.id})
        if plan.planned_key == key.text:
            before = _planned_before(connection, key, plan.job_id)
            connection.execute(_GO_ON_AFTER, {"id": plan.id, "key": before})
    return len(plans)


_LOCK_PLANS = text("""
SELECT b.id, b.job_id, b.planned_key FROM predictq.prediction_batches b JOIN predictq.jobs j ON j.id = b.job_id
WHERE b.queue = 'plan' AND j.source_id IS NOT DISTINCT FROM CAST(:source_id AS integer) AND b.fence > 0
ORDER BY b.id FOR UPDATE OF b
""")
_RESTART_PLAN = text("""
UPDATE predictq.prediction_batches
SET fence = fence + 1, status = 'queued', lease_until = NULL, attempts = greatest(attempts - 1, 0)
WHERE id = :id AND status = 'running'
""")
_GO_ON_AFTER = text("UPDATE predictq.prediction_batches SET planned_key = :key WHERE id = :id")


def _planned_before(connection: Connection, key: ClientKey, job_id: UUID) -> str | None:
    """The last key that the job has planned but hers."""
    query = _LAST_KEYS.format(column=key.column, type=key.sql_type)
    return connection.execute(text(query), {"job_id": job_id, "value": key.value}).scalars().first()


_LAST_KEYS = """
SELECT CAST(u.planned AS text) FROM (
    SELECT batch_id, {column} FROM predictq.batch_requests WHERE job_id = :job_id ORDER BY batch_id DESC LIMIT 20
) p CROSS JOIN LATERAL unnest(p.{column}) WITH ORDINALITY AS u (planned, n)
WHERE u.planned <> CAST(:value AS {type}) ORDER BY p.batch_id DESC, u.n DESC LIMIT 1
"""


def settle(engine: Engine, *, patience_seconds: float = 60) -> int | None:
    """The last batch id that was drawn before now, once everybody who has drawn one up to it has committed.

    None when somebody's transaction goes on for longer than `patience_seconds`. Ids are drawn in statements that write
    to `prediction_batches`, and so under a lock on it, which can be seen.
    """
    with autocommit(engine) as connection:
        last = int(connection.execute(text("SELECT last_value FROM predictq.batch_ids")).scalar_one())
        left = set(connection.execute(_WRITERS).scalars())
        deadline = time.monotonic() + patience_seconds
        while left:
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)
            left &= set(connection.execute(_WRITERS).scalars())
    return last


_WRITERS = text("""
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'predictq.prediction_batches'::regclass AND mode = 'RowExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


def erase_open_batch(guard: HoldGuard, batch_id: int) -> bool:
    """Take her out of an open batch and put it back. False where it is open no more: then it is a page.

    Raises ClientHeld.
    """

    def erase(connection: Connection) -> bool:
        if connection.execute(_LOCK, {"id": batch_id}).first() is None:
            return False
        erased = erase_requests(connection, guard.key, batch_id)
        if erased is not None:
            connection.execute(_HAND_OUT_ANEW, {"id": batch_id, "rows": list(erased.rows)})
            note_jobs(connection, guard.erasure_id, erased.job_ids)
            connection.execute(_COUNT, {"id": str(guard.erasure_id), "answers": len(erased.rows)})
        return True

    return guard.do(erase)


_LOCK = text("SELECT FROM predictq.prediction_batches WHERE id = :id FOR UPDATE")
# The fence of a batch that nobody has claimed need not rise: nobody holds it. The claim that ends here is no attempt.
_HAND_OUT_ANEW = text("""
UPDATE predictq.prediction_batches
SET erased_rows = ARRAY(SELECT DISTINCT n FROM unnest(erased_rows || CAST(:rows AS integer[])) n ORDER BY n),
    fence = CASE WHEN fence > 0 THEN fence + 1 ELSE 0 END,
    attempts = CASE WHEN status = 'running' THEN greatest(attempts - 1, 0) ELSE attempts END,
    status = 'queued', lease_until = NULL, last_error = NULL
WHERE id = :id
""")
_COUNT = text("UPDATE predictq.erasures SET pages = pages + 1, answers = answers + :answers WHERE id = :id")
