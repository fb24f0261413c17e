"""What a process of predictq is without one of its protections.

The product has no such switches: a sabotaged process is started through `tests.torture.sabotaged`, which replaces
the piece in question before it runs. A torture run in which nothing breaks then proves something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DROPPED_TRIGGER = "ALTER TABLE prediction_outputs DISABLE TRIGGER output_has_request"


def _replace(owner: object, name: str, value: object) -> None:
    setattr(owner, name, value)


def _changed(statement: str, piece: str, other: str) -> str:
    if piece not in statement:
        raise LookupError(f"a statement of the product has changed, {piece!r} is not in it: {statement}")
    return statement.replace(piece, other)


def no_fence() -> None:
    """Whoever comes may finish, extend or give back a batch, whichever claim is the newest."""
    from sqlalchemy import text

    from shared.batches import claims

    def unfenced(statement: str) -> Any:
        return text(statement.replace("AND fence = :fence", ""))

    claims._LOCK = _changed(claims._LOCK, "AND fence = %(fence)s", "")
    claims._END = _changed(claims._END, "AND fence = %(fence)s", "")
    _replace(claims, "text", unfenced)  # the other statements are built when they are run


def no_lease() -> None:
    """A claim lasts for ever."""
    from sqlalchemy import text

    from shared.batches import claims

    for_ever = "CAST('infinity' AS timestamptz)"

    def endless(statement: str) -> Any:
        return text(statement.replace("clock_timestamp() + make_interval(secs => :lease)", for_ever))

    claims._CLAIM = _changed(claims._CLAIM, "clock_timestamp() + make_interval(secs => %(lease)s)", for_ever)
    _replace(claims, "text", endless)


def no_sweeper() -> None:
    """Nobody looks for batches whose message was lost."""
    from worker.upkeep.sweeper import Sweeper

    def sweep_nothing(_self: Sweeper) -> int:
        return 0

    _replace(Sweeper, "sweep_once", sweep_nothing)


def answer_before_commit() -> None:
    """The 202 goes out first, the job is committed a little later."""
    import threading
    import time
    from datetime import UTC, datetime

    from api.intake.single_jobs import Intake
    from shared.jobs.accept_singles import Accepted, SingleJob
    from shared.status import Queue

    commit = Intake._accept_group

    def accept_early(self: Intake, jobs: list[SingleJob]) -> list[Accepted]:
        def later() -> None:
            time.sleep(0.3)
            commit(self, jobs)

        threading.Thread(target=later, daemon=True).start()
        now = datetime.now(UTC)
        return [Accepted(job.job_id, 1, Queue.INTERACTIVE, (), created_at=now) for job in jobs]

    _replace(Intake, "_accept_group", accept_early)


def publish_before_commit() -> None:
    """The message goes out first: a worker looks for a batch that is not there yet."""
    import time
    from collections.abc import Sequence

    from api.intake.single_jobs import Intake
    from shared.errors import PredictqError
    from shared.jobs.accept_singles import Accepted, SingleJob, accept_singles
    from shared.status import Queue

    def accept_group(self: Intake, jobs: Sequence[SingleJob]) -> list[Accepted | PredictqError]:
        with self._singles_threads.engine.begin() as connection:
            answers = accept_singles(connection, jobs, grace_seconds=self._grace)
            batches = {batch for answer in answers if isinstance(answer, Accepted) for batch in answer.batch_ids}
            self._publisher.put(sorted(batches), Queue.INTERACTIVE)
            time.sleep(0.2)
        return answers

    _replace(Intake, "_accept_group", accept_group)


def early_acks() -> None:
    """A message is acknowledged when a worker begins, not when it has finished."""
    import worker.main
    from shared.messaging.celery_app import make_celery

    def make(settings: Any) -> Any:
        app = make_celery(settings)
        app.conf.update(task_acks_late=False, task_reject_on_worker_lost=False)
        return app

    _replace(worker.main, "make_celery", make)


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
    from worker.scoring.prediction import predict_rows
    from worker.scoring.scorer import Scorer

    def predict(self: Scorer, _held: Any, model: Any, rows: Any) -> Any:
        return predict_rows(rows, model.signature, self._watched(model.probabilities))

    _replace(Scorer, "_predict", predict)


@dataclass(frozen=True)
class Switch:
    """Takes one protection away, in gateways ("api") or workers ("worker"), and in the database where it is there."""

    role: str
    apply: Callable[[], None]
    statement: str | None = None


SWITCHES: dict[str, Switch] = {
    "fence": Switch("worker", no_fence, DROPPED_TRIGGER),
    "lease": Switch("worker", no_lease),
    "sweeper": Switch("worker", no_sweeper),
    "commit-before-202": Switch("api", answer_before_commit),
    "commit-before-publish": Switch("api", publish_before_commit),
    "acks-late": Switch("worker", early_acks),
    "health-checks": Switch("worker", no_health_checks),
    "attempt-cap": Switch("worker", no_attempt_cap),
}
