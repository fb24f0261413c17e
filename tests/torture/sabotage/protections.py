"""What a process of predictq is without one of its protections.

The product has no such switches: a sabotaged process is started through `tests.torture.sabotage.sabotaged`, which
replaces the piece in question before it runs, and what PostgreSQL does is changed in the run's own database. A torture
run in which nothing breaks then proves something. A piece that is not found where it is looked for is a LookupError:
nothing would have been taken away, and nothing proven.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.torture.sabotage.replacing import replace
from tests.torture.sabotage.scoring import compiled_unchecked, lying_trace, stale_features
from tests.torture.sabotage.statements import Change, changed, changes, drops_primary_key, grants


def _rewrite(module: Any, name: str, piece: str, other: str) -> None:
    """Change a module's statement, a text or SQLAlchemy's."""
    from sqlalchemy import TextClause, text

    statement = getattr(module, name)
    if not isinstance(statement, TextClause):
        setattr(module, name, changed(statement, piece, other))
        return
    rewritten = text(changed(statement.text, piece, other))
    kept = [bind for key, bind in statement._bindparams.items() if key in rewritten._bindparams]
    setattr(module, name, rewritten.bindparams(*kept))


def no_lease() -> None:
    """A claim lasts for ever; so does one that is renewed."""
    from shared.batches import claims

    def keep_all(*_: Any, **__: Any) -> list[Any]:
        return []

    replace(claims, "extend_leases", keep_all)


def no_sweeper() -> None:
    """Nobody looks for messages that were lost."""
    from worker.upkeep.sweeper import Sweeper

    def sweep_nothing(_self: Sweeper) -> int:
        return 0

    replace(Sweeper, "sweep_once", sweep_nothing)


def answer_before_commit() -> None:
    """The 202 goes out first, the job is committed a little later."""
    import threading
    import time
    from datetime import UTC, datetime

    from api.intake.single_jobs import Intake
    from shared.jobs.accepting.singles import Accepted, SingleJob
    from shared.pages.request_id import RequestId
    from shared.status import Queue

    commit = Intake._accept_group

    def accept_early(self: Intake, jobs: list[SingleJob]) -> list[Accepted]:
        def later() -> None:
            time.sleep(0.3)
            commit(self, jobs)

        threading.Thread(target=later, daemon=True).start()
        now = datetime.now(UTC)
        promised = RequestId(1, 0)
        return [Accepted(job.job_id, 1, Queue.INTERACTIVE, (), promised, created_at=now) for job in jobs]

    replace(Intake, "_accept_group", accept_early)


def publish_before_commit() -> None:
    """The message goes out first: a worker looks for work that is not there yet."""
    import time

    from api.intake.single_jobs import Intake
    from shared.jobs.accepting.singles import SingleJob
    from shared.status import Queue

    def accept_group(self: Intake, jobs: Sequence[SingleJob]) -> Sequence[Any]:
        self._publisher.put(1, Queue.INTERACTIVE)
        time.sleep(0.5)  # a busy machine may need most of it until a worker looks
        return self._accept(jobs)

    replace(Intake, "_accept_group", accept_group)


def early_acks() -> None:
    """A message is acknowledged when a worker begins, not when it has finished."""
    import worker.main
    from shared.messaging.celery_app import make_celery

    def make(settings: Any) -> Any:
        app = make_celery(settings)
        app.conf.update(task_acks_late=False, task_reject_on_worker_lost=False)
        return app

    replace(worker.main, "make_celery", make)


def no_health_checks() -> None:
    """Nothing asks whether a silent connection is still one."""
    from shared.messaging import celery_app, messages
    from shared.postgres import engine

    for options in (messages.REDIS_OPTIONS, celery_app._TRANSPORT):
        options.update(
            socket_timeout=None, socket_connect_timeout=None, health_check_interval=0, socket_keepalive=False
        )
    for name in ("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"):
        engine._CONNECT.pop(name)
    engine._CONNECT["keepalives"] = 0


def no_attempt_cap() -> None:
    """However often a batch has killed its worker, the next attempt is made in the same way."""
    from worker.scoring import scorer

    def answer(self: scorer.Scorer, claims: Any) -> Any:
        model = self.models.get(self.engine, claims[0].model_version_id)
        metadata = model.artefact.metadata
        rows = scorer.read_rows(self.sources, claims, metadata.signature)
        answers = scorer.predict_rows(rows, metadata.signature, self._watched(model.predict), task=metadata.task)
        return self._finish(claims, rows, answers, metadata, known_words=model.known_words)

    replace(scorer.Scorer, "_answer_apart", answer)


def no_watchdog() -> None:
    """A call of the model may take for ever, and its lease is renewed all the while."""
    from worker.scoring.lease_keeper import LeaseKeeper

    def never(_self: LeaseKeeper) -> bool:
        return False

    replace(LeaseKeeper, "_is_hung", never)


def keys_taken_over() -> None:
    """A repeated Idempotency-Key leads to another job, and forgets the first."""
    from shared.jobs.accepting import singles_sql as accept_singles_sql

    _rewrite(
        accept_singles_sql,
        "_ACCEPT_SINGLES",
        "ON CONFLICT (owner, key) DO NOTHING",
        "ON CONFLICT (owner, key) DO UPDATE SET job_id = excluded.job_id",
    )


def bulk_keys_taken_over() -> None:
    """The same of bulk calls."""
    from uuid import UUID

    from sqlalchemy import Connection, text

    from shared.jobs.accepting import bulk

    take_over = text("""
INSERT INTO predictq.idempotency_keys (owner, key, payload_hash, job_id) VALUES (:owner, :key, :hash, :job_id)
ON CONFLICT (owner, key) DO UPDATE SET job_id = excluded.job_id
""")

    def claim(connection: Connection, owner: str, key: str | None, payload_hash: str | None, job_id: UUID) -> None:
        values = {"owner": owner, "key": key, "hash": payload_hash, "job_id": str(job_id)}
        if key is not None:
            connection.execute(take_over, values)

    replace(bulk, "claim_idempotency_key", claim)


def cancel_unlocked() -> None:
    """A cancel looks whether its batch is open, and does not hold it open."""
    import inspect

    from sqlalchemy import text

    from shared.jobs import records

    lock = "WHERE id = :batch_id FOR UPDATE"
    changed(inspect.getsource(records._cancel_single), lock, "")  # it is built when it is run

    def unlocked(statement: str) -> Any:
        return text(statement.replace(lock, "WHERE id = :batch_id"))

    replace(records, "text", unlocked)


def no_session_timeouts() -> None:
    """PostgreSQL believes in a connection for as long as its kernel does, whatever the transaction holds."""
    from shared.postgres import engine

    replace(engine, "_SESSION", "-c idle_in_transaction_session_timeout=0")


def plan_unfenced() -> None:
    """Whoever plans may write pages, whichever claim is the newest."""
    from shared.jobs import planning

    _rewrite(planning, "_ADD_BATCHES", "b.id = :id AND b.fence = :fence AND b.status = 'running'", "b.id = :id")


def plan_unmarked() -> None:
    """Pages are written, and how far the plan has come is not."""
    from shared.jobs import planning

    _rewrite(planning, "_ADD_BATCHES", "SET planned_key = :key,", "SET planned_key = coalesce(b.planned_key, :key),")


def plan_unlocked() -> None:
    """A cancel does not wait for whoever is writing pages of the plan."""
    from shared.jobs import records

    _rewrite(records, "LOCK_PLAN", " FOR UPDATE", "")


def erased_batches_kept() -> None:
    """An open batch loses its erased client, and the worker that has read her features may finish it all the same."""
    from shared.erasure import open_batches

    _rewrite(open_batches, "_HAND_OUT_ANEW", "fence = CASE WHEN fence > 0 THEN fence + 1 ELSE 0 END,", "")
    _rewrite(open_batches, "_HAND_OUT_ANEW", "status = 'queued', lease_until = NULL, last_error", "last_error")


def planner_deaf() -> None:
    """A planner does not hear from its heartbeat that the plan is another's by now."""
    from worker.planning.lease_beat import LeaseBeat

    def hear_nothing(_self: LeaseBeat) -> None:
        return None

    replace(LeaseBeat, "check", hear_nothing)


_FENCE = "b.id = p_batch_id AND b.fence = p_fence AND b.status = 'running'"
_END = "DELETE FROM predictq.prediction_batches b\n    WHERE " + _FENCE + " RETURNING * INTO batch;"
_KEEP = "SELECT * INTO batch FROM predictq.prediction_batches b WHERE b.id = p_batch_id;"
_LAST = "RETURN QUERY SELECT batch.id"
_END_LATE = f"DELETE FROM predictq.prediction_batches b WHERE {_FENCE};\n    {_LAST}"
_JOB_LOCK = "j.status IS NULL FOR UPDATE"
_LEASE = "clock_timestamp() + make_interval(secs => p_lease)"


@dataclass(frozen=True)
class Switch:
    """Takes one protection away, in processes of these kinds ("api", "worker", "planner") and in the database."""

    roles: tuple[str, ...]
    apply: Callable[[], None] = lambda: None
    database: tuple[Change, ...] = ()


SWITCHES: dict[str, Switch] = {
    "fence": Switch((), database=(changes("finish", _FENCE, "b.id = p_batch_id"),)),
    "lease": Switch(("worker", "planner"), no_lease, (changes("claim", _LEASE, "'infinity'"),)),
    "sweeper": Switch(("worker",), no_sweeper),
    "commit-before-202": Switch(("api",), answer_before_commit),
    "commit-before-publish": Switch(("api",), publish_before_commit),
    "acks-late": Switch(("worker",), early_acks),
    "health-checks": Switch(("worker", "planner"), no_health_checks),
    "attempt-cap": Switch(("worker",), no_attempt_cap),
    "watchdog": Switch(("worker",), no_watchdog),
    "job-lock": Switch((), database=(changes("end_job", _JOB_LOCK, "j.status IS NULL"),)),
    "idempotency-keys": Switch(("api",), keys_taken_over, (grants("UPDATE", "idempotency_keys", "predictq_gateway"),)),
    "bulk-keys": Switch(("api",), bulk_keys_taken_over, (grants("UPDATE", "idempotency_keys", "predictq_gateway"),)),
    "cancel-lock": Switch(("api",), cancel_unlocked),
    "primary-key-of-answers": Switch((), database=(drops_primary_key("batch_outputs"),)),
    "session-timeouts": Switch(("worker", "planner"), no_session_timeouts),
    "plan-fence": Switch(("planner",), plan_unfenced),
    "plan-mark": Switch(("planner",), plan_unmarked),
    "plan-lock": Switch(("api",), plan_unlocked),
    "erasure-hands-out-anew": Switch(("upkeep",), erased_batches_kept),
    "features-read-anew": Switch(("worker",), stale_features),
    "trace-of-what-was-scored": Switch(("worker",), lying_trace),
    "compiled-form-checked": Switch(("worker",), compiled_unchecked),
    # Mistakes, not protections. A planner that does not listen must be stopped by the fence alone.
    "planner-deaf": Switch(("planner",), planner_deaf),
    # Whoever finishes stores a page, and leaves the row of open work to the newest claim: for the primary key to catch.
    "answered-twice": Switch((), database=(changes("finish", _END, _KEEP), changes("finish", _LAST, _END_LATE))),
}


def check_switches(names: Sequence[str]) -> None:
    """Whether the product still has what these take away. Raises LookupError with the reason where it has not.

    A process that found out by itself would only fail to start, or its worker start it again and again.
    """
    command = [sys.executable, "-m", "tests.torture.sabotage.sabotaged", "0", ",".join(names), "check"]
    outcome = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise LookupError(f"{', '.join(names)}: {outcome.stderr.strip().rpartition(chr(10))[2]}")
