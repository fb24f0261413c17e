"""The sweep, the backlog, and plans that use indexes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from uuid_utils.compat import uuid7

from shared.batches.claims import record_failure
from shared.batches.sweep import backlog, owner_backlog, sweep
from shared.config import Settings
from shared.jobs.accept_singles import Accepted
from shared.jobs.records import list_jobs, read_jobs
from shared.messaging.messages import front_batch, make_redis, publish_batches, waiting_batches
from shared.postgres.engine import transaction
from shared.status import JobStatus, Queue
from tests.integration.jobs_support import cancel, take
from tests.support import OWNER, add_clients, add_model, submit_bulk, submit_singles


@pytest.fixture
def ready(engine: Engine) -> Engine:
    """Ten clients and a live model."""
    add_clients(engine, 10)
    add_model(engine)
    return engine


def due(engine: Engine, front: int | None = None, queue: Queue = Queue.BULK) -> list[tuple[int, str]]:
    return [(item.batch_id, item.reason) for item in sweep(engine, {queue: front}, pause_seconds=600)]


def age(engine: Engine, accepted: Accepted, seconds: float) -> None:
    """Make a job's batches that much older."""
    with transaction(engine) as connection:
        connection.execute(
            text("""UPDATE prediction_batches SET created_at = created_at - make_interval(secs => :s),
                    dispatch_after = dispatch_after - make_interval(secs => :s) WHERE id = ANY(:ids)"""),
            {"s": seconds, "ids": list(accepted.batch_ids)},
        )


def test_a_waiting_batch_is_sent_again_only_when_its_message_is_gone(ready: Engine) -> None:
    """Behind an older front the message still waits; behind a younger front, or in an empty queue, it is lost."""
    older, lost, younger = (submit_bulk(ready, [1]) for _ in range(3))
    age(ready, older, 200)
    age(ready, lost, 100)
    assert due(ready, front=older.batch_ids[0]) == []
    assert due(ready, front=10**9) == []  # a message from elsewhere proves nothing
    assert due(ready, front=lost.batch_ids[0]) == [(older.batch_ids[0], "lost")]
    assert due(ready, front=younger.batch_ids[0]) == [(lost.batch_ids[0], "lost")]
    assert due(ready, front=younger.batch_ids[0]) == []  # not before its pause is over
    age(ready, younger, 100)
    assert due(ready) == [(younger.batch_ids[0], "lost")]


def test_a_queue_read_as_a_whole_tells_what_is_missing_in_its_middle(ready: Engine, settings: Settings) -> None:
    """Ten thousand waiting batches: none is sent again while its message waits; those whose message is lost are."""
    batches = submit_bulk(ready, [1] * 10_000, batch_rows=1)
    age(ready, batches, 700)
    with make_redis(settings) as redis:
        publish_batches(redis, batches.batch_ids, Queue.BULK)

        def found() -> set[int]:
            told = {Queue.BULK: front_batch(redis, Queue.BULK)}
            listed = {Queue.BULK: waiting_batches(redis, Queue.BULK)}
            return {item.batch_id for item in sweep(ready, told, listed=listed, pause_seconds=600)}

        assert found() == set()
        for number in (-2, 5_000, 0):  # next but one to leave, in the middle, the last
            redis.lset(Queue.BULK.value, number, "lost")
        redis.lrem(Queue.BULK.value, 3, "lost")
        assert found() == {batches.batch_ids[number] for number in (1, 4_999, 9_999)}
        assert found() == set()  # not before their pause is over


def test_a_batch_in_its_grace_is_left_alone(ready: Engine) -> None:
    """A batch accepted just now is being published just now, empty queue or not."""
    submit_bulk(ready, [1])
    assert due(ready) == []


def test_an_expired_lease_is_sent_once_however_long_the_queue(ready: Engine) -> None:
    """A dead worker's batch is sent at once even behind a backlog, and then waits its turn like the others."""
    front, dead = (submit_bulk(ready, [1]) for _ in range(2))
    held = take(ready, dead.batch_ids[0])
    assert due(ready, front=front.batch_ids[0]) == []
    record_failure(ready, held, "worker died", retry_after_seconds=0)
    assert due(ready, front=front.batch_ids[0]) == [(dead.batch_ids[0], "expired")]
    age(ready, dead, -0.001)
    with transaction(ready) as connection:  # its pause is over, its message still waits
        connection.execute(text("UPDATE prediction_batches SET dispatch_after = now() WHERE dispatches > 0"))
    assert due(ready, front=front.batch_ids[0]) == []
    again = take(ready, dead.batch_ids[0])
    assert again.fence == 2
    record_failure(ready, again, "and again", retry_after_seconds=0)
    assert due(ready, front=front.batch_ids[0]) == [(dead.batch_ids[0], "expired")]


def test_the_front_of_a_queue_is_the_message_sent_first(settings: Settings) -> None:
    """What leaves the queue next is what the sweeper goes by."""
    with make_redis(settings) as redis:
        assert front_batch(redis, Queue.BULK) is None
        publish_batches(redis, [], Queue.BULK)
        assert front_batch(redis, Queue.BULK) is None
        publish_batches(redis, [7, 8], Queue.BULK)
        publish_batches(redis, [6], Queue.BULK)
        assert front_batch(redis, Queue.BULK) == 7
        assert waiting_batches(redis, Queue.BULK) == {6, 7, 8}
        assert front_batch(redis, Queue.INTERACTIVE) is None


def test_the_backlog_counts_what_waits(ready: Engine) -> None:
    """Batches and rows that have no answer yet, by queue and by owner."""
    submit_bulk(ready, [1, 2, 3], batch_rows=2)
    singles = submit_singles(ready, [1, 2])
    take(ready, singles[0].batch_ids[0])
    cancel(ready, singles[1].job_id)
    by_queue = {item.queue: (item.queued_batches, item.running_batches, item.waiting_rows) for item in backlog(ready)}
    assert by_queue == {Queue.INTERACTIVE: (0, 1, 1), Queue.BULK: (2, 0, 3)}
    assert owner_backlog(ready, with_singles=False) == {OWNER: 3}
    assert owner_backlog(ready, with_singles=True) == {OWNER: 4}


def plan_of(engine: Engine, query: Callable[[Connection], object]) -> list[dict[str, Any]]:
    """The nodes of the plan that PostgreSQL chooses for the last statement of `query`."""
    seen: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, values: Any, _context: object, _many: bool) -> None:
        seen.append((statement, values))

    with transaction(engine) as connection:
        event.listen(connection, "before_cursor_execute", note)
        query(connection)
        event.remove(connection, "before_cursor_execute", note)
        statement, values = seen[-1]
        (plan,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values).scalar_one()
    return nodes(plan["Plan"])


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan and all below it."""
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


def test_reading_jobs_uses_indexes_however_many_there_are(ready: Engine) -> None:
    """With a hundred thousand jobs, status and listing read the jobs asked for and no table as a whole."""
    with transaction(ready) as connection:
        connection.execute(
            text("""
WITH j AS (
    INSERT INTO jobs (id, kind, owner, model_version, request_count)
    SELECT gen_random_uuid(), 'bulk', 'o' || n % 100, 1, 1 FROM generate_series(1, 100000) n RETURNING id)
INSERT INTO prediction_batches (job_id, queue, model_version, request_count) SELECT id, 'bulk', 1, 1 FROM j
""")
        )
        connection.execute(text("ANALYZE"))
    accepted = submit_bulk(ready, [1])
    (single,) = submit_singles(ready, [1])
    queries: list[Callable[[Connection], object]] = [
        lambda connection: read_jobs(connection, [accepted.job_id, single.job_id]),
        lambda connection: list_jobs(connection, "o7", limit=20),
        lambda connection: list_jobs(connection, OWNER, limit=20, before=uuid7()),
        lambda connection: list_jobs(connection, "o7", limit=20, status=JobStatus.QUEUED),
    ]
    for query in queries:
        scanned = [node.get("Relation Name") for node in plan_of(ready, query) if node["Node Type"] == "Seq Scan"]
        assert not {"jobs", "prediction_batches"} & set(scanned)
