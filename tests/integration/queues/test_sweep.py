"""The sweep and the backlog: what waits, and how many messages are missing for it."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from model.registration import SAMPLE_MODEL
from shared.batches.claims import record_failure
from shared.batches.sweep import Backlog, backlog, missing_messages, owner_backlog
from shared.jobs.accepting.bulk import accept_selection
from shared.jobs.accepting.singles import Accepted
from shared.postgres.engine import transaction
from shared.status import SCORING_QUEUES, Queue
from tests.integration.jobs.jobs_support import cancel, take
from tests.support import OWNER, bulk_job, submit_bulk, submit_singles


def missing(engine: Engine, **held: int) -> dict[str, int]:
    """What the scoring queues lack when they hold so many messages; by default none."""
    messages = {queue: held.get(queue.value, 0) for queue in SCORING_QUEUES}
    return {queue.value: count for queue, count in missing_messages(engine, messages, grace_seconds=60).items()}


def age(engine: Engine, accepted: Accepted, seconds: float = 100) -> None:
    """Make a job's batches that much older."""
    with transaction(engine) as connection:
        connection.execute(
            text("""UPDATE predictq.prediction_batches SET created_at = created_at - make_interval(secs => :s)
                    WHERE id = ANY(:ids)"""),
            {"s": seconds, "ids": list(accepted.batch_ids)},
        )


def pause(engine: Engine, *, queue: str | None = None, model: str | None = None) -> None:
    with transaction(engine) as connection:
        connection.execute(
            text("INSERT INTO predictq.pauses (queue, model, actor) VALUES (:queue, :model, 'me')"),
            {"queue": queue, "model": model},
        )


def test_a_queue_lacks_what_waits_beyond_its_messages(ready: Engine) -> None:
    """Each waiting batch needs a message; which of them was lost does not matter. Too many are no loss."""
    age(ready, submit_bulk(ready, [1, 2, 3], batch_rows=1))
    for single in (submit_singles(ready, [1, 2]), submit_singles(ready, [3])):
        age(ready, single[0])
    assert missing(ready) == {"interactive": 2, "bulk": 3}
    assert missing(ready, interactive=1, bulk=2) == {"interactive": 1, "bulk": 1}
    assert missing(ready, interactive=7, bulk=3) == {"interactive": 0, "bulk": 0}


def test_a_batch_in_its_grace_is_left_alone(ready: Engine) -> None:
    """The message of a batch accepted just now is on its way just now, empty queue or not."""
    submit_bulk(ready, [1])
    submit_singles(ready, [1])
    assert missing(ready) == {"interactive": 0, "bulk": 0}


def test_work_in_hand_needs_no_message_until_its_lease_runs_out(ready: Engine) -> None:
    """A claimed batch is nobody else's work; a dead worker's is, at once and however young it is."""
    submit_bulk(ready, [1])
    held = take(ready)
    assert missing(ready) == {"interactive": 0, "bulk": 0}
    record_failure(ready, held, "worker died", retry_after_seconds=0)
    assert missing(ready) == {"interactive": 0, "bulk": 1}
    again = take(ready)
    assert (again.batch_id, again.fence) == (held.batch_id, 2)
    assert missing(ready) == {"interactive": 0, "bulk": 0}


@pytest.mark.parametrize(("paused", "left"), [({"queue": "bulk"}, 1), ({"model": SAMPLE_MODEL}, 0)])
def test_what_is_held_back_needs_no_message(ready: Engine, paused: dict[str, str], left: int) -> None:
    """A paused queue or model gets none, waiting or with a lease that ran out; the rest does. Its end brings all."""
    age(ready, submit_bulk(ready, [1, 2], batch_rows=1))
    age(ready, submit_singles(ready, [1])[0])
    record_failure(ready, take(ready), "worker died", retry_after_seconds=0)
    pause(ready, **paused)
    assert missing(ready) == {"interactive": left, "bulk": 0}
    with transaction(ready) as connection:
        connection.execute(text("DELETE FROM predictq.pauses"))
    assert missing(ready) == {"interactive": 1, "bulk": 2}


def test_what_no_worker_here_can_load_needs_no_message(ready: Engine) -> None:
    """A sweeper asks for the work that its own worker could do: another's would be claimed in vain for ever."""
    accepted = submit_bulk(ready, [1])
    age(ready, accepted)
    with transaction(ready) as connection:
        connection.execute(text("UPDATE predictq.prediction_batches SET requirements = 'torch'"))
    assert missing(ready) == {"interactive": 0, "bulk": 0}
    found = missing_messages(ready, {Queue.BULK: 0}, grace_seconds=60, requirements=["", "torch"])
    assert found == {Queue.BULK: 1}


def test_a_plan_is_not_the_scoring_workers_to_sweep(ready: Engine) -> None:
    """Plans have a process of their own: no message on the queues of the others brings one forward."""
    accepted = accept_selection(ready, bulk_job(ready, batch_rows=10), {})
    age(ready, accepted)
    assert missing(ready) == {"interactive": 0, "bulk": 0}
    record_failure(ready, take(ready, Queue.PLAN), "planner died", retry_after_seconds=0)
    assert missing(ready) == {"interactive": 0, "bulk": 0}


def test_the_backlog_counts_what_waits(ready: Engine) -> None:
    """Batches and rows that have no answer yet, by queue and by owner; nothing where nothing waits."""
    assert backlog(ready) == [Backlog(queue, 0, 0, 0, 0.0) for queue in Queue]
    submit_bulk(ready, [1, 2, 3], batch_rows=2)
    singles = submit_singles(ready, [1, 2])
    take(ready, Queue.INTERACTIVE)
    accept_selection(ready, bulk_job(ready, batch_rows=10), {})
    cancel(ready, singles[1].job_id)
    by_queue = {item.queue: (item.queued_batches, item.running_batches, item.waiting_rows) for item in backlog(ready)}
    assert by_queue == {Queue.INTERACTIVE: (0, 1, 1), Queue.PLAN: (1, 0, 0), Queue.BULK: (2, 0, 3)}
    assert owner_backlog(ready, with_singles=False) == {OWNER: 3}
    assert owner_backlog(ready, with_singles=True) == {OWNER: 4}
