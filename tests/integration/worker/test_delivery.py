"""Delivery by real workers: messages lost, repeated and out of turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from redis import Redis
from sqlalchemy import Engine

from shared.config import Settings
from shared.jobs.accepting.singles import Accepted
from shared.jobs.records import cancel_job
from shared.messaging.messages import make_redis, publish_work
from shared.postgres.engine import make_engine, transaction
from shared.status import JobStatus
from tests.integration.worker.delivery_support import (
    PATIENCE,
    assert_right,
    batch_states,
    connections,
    put_back,
    quick,
    wait_until_claimed,
)
from tests.models import SlowModel, TestModel
from tests.support import (
    OWNER,
    add_clients,
    add_model,
    job_of,
    publish,
    read_results,
    submit_bulk,
    submit_singles,
    wait_for_job,
    wait_until,
    worker_process,
)

_BETWEEN = 4  # messages that a sweep may count as missing: taken by a process that has not claimed its batch yet


class Steady(NamedTuple):
    """A running worker, and how to look at it."""

    settings: Settings
    engine: Engine
    log: Path


@pytest.fixture(scope="module")
def steady(
    make_database: Callable[..., str], module_redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Steady]:
    """A worker of two processes that the tests of the module share; it starts before there is any model."""
    with Redis.from_url(module_redis_url) as client:
        client.flushall()
    settings = quick(make_database(), f"{module_redis_url.removesuffix('/0')}/1")
    engine = make_engine(settings, application_name="test", pool_size=4)
    log = tmp_path_factory.mktemp("steady") / "log"
    add_clients(engine, 500)
    with worker_process(settings, concurrency=2, name="steady", log=log):
        wait_until(lambda: "no model loaded yet" in log.read_text(), seconds=PATIENCE, what="the start without a model")
        yield Steady(settings, engine, log)
    engine.dispose()


# What a healthy worker does, on the shared one.


def test_a_worker_started_without_a_model_serves_the_first_one(steady: Steady) -> None:
    """Promotion needs no restart: neither the first, nor a newer one; a job keeps its version."""
    settings, engine, _ = steady
    client_ids = list(range(500, 0, -1))
    add_model(engine)
    first = submit_bulk(engine, client_ids, batch_rows=37)
    publish(settings, first)
    assert wait_for_job(engine, first.job_id, seconds=PATIENCE).status is JobStatus.SUCCEEDED
    pinned = submit_bulk(engine, client_ids, batch_rows=250)
    add_model(engine, TestModel(offset=0.0005))
    newer = submit_bulk(engine, client_ids, batch_rows=250)
    publish(settings, newer)
    publish(settings, pinned)
    for job in (newer, pinned):
        wait_for_job(engine, job.job_id, seconds=PATIENCE)
    assert_right(engine, first, client_ids)
    assert_right(engine, pinned, client_ids)
    assert_right(engine, newer, client_ids, offset=0.0005)
    assert pinned.model_version < newer.model_version


def test_a_message_that_was_never_sent_is_made_up_for(steady: Steady) -> None:
    """When Redis never saw the message, the sweeper delivers: single and bulk alike."""
    engine = steady.engine
    add_model(engine)
    bulk = submit_bulk(engine, [1, 2, 3], batch_rows=1)
    (single,) = submit_singles(engine, [4])
    assert wait_for_job(engine, bulk.job_id, seconds=PATIENCE).succeeded == 3
    assert wait_for_job(engine, single.job_id, seconds=PATIENCE).succeeded == 1
    assert_right(engine, bulk, [1, 2, 3])


def test_a_message_delivered_five_times_is_scored_once(steady: Steady) -> None:
    """Repeated messages change nothing: one claim, one answer per row."""
    settings, engine, _ = steady
    add_model(engine)
    accepted = submit_bulk(engine, list(range(1, 101)), batch_rows=10)
    for _ in range(5):
        publish(settings, accepted)
    wait_for_job(engine, accepted.job_id, seconds=PATIENCE)
    assert_right(engine, accepted, list(range(1, 101)))
    assert set(batch_states(engine, accepted)) == {("finished", 1)}


def test_a_batch_whose_message_was_lost_waits_for_no_other_of_its_own(steady: Steady) -> None:
    """Under steady traffic the oldest batch is done next, whoever's message comes; the one that lacks is put back."""
    settings, engine, log = steady
    add_model(engine, SlowModel(seconds=0.05))
    before = put_back(log)
    lost = submit_bulk(engine, [1])
    traffic: list[Accepted] = []
    with Redis.from_url(settings.redis_url.get_secret_value()) as client:

        def found() -> bool:
            if int(client.llen("bulk")) < 20:
                traffic.append(submit_bulk(engine, [1] * 20, batch_rows=1))
                publish(settings, traffic[-1])
            return job_of(engine, lost.job_id).status.is_terminal

        wait_until(found, seconds=30, what="the lost batch under traffic")
        assert client.llen("bulk") > 0, "the queue never ran empty"
    for accepted in traffic:
        assert wait_for_job(engine, accepted.job_id, seconds=PATIENCE).succeeded == 20
    assert put_back(log) - before <= 1 + _BETWEEN


def test_a_single_does_not_wait_behind_a_bulk_backlog(steady: Steady) -> None:
    """Single predictions are taken first; and a backlog older than the grace is not sent twice."""
    settings, engine, log = steady
    add_model(engine, SlowModel(seconds=0.1))
    before = put_back(log)
    backlog = submit_bulk(engine, [1] * 100, batch_rows=1)
    publish(settings, backlog)
    wait_until_claimed(engine, backlog)
    for client_id in (2, 3, 4):
        (single,) = submit_singles(engine, [client_id])
        publish(settings, single)
        wait_for_job(engine, single.job_id, seconds=PATIENCE)
        left = [status for status, _ in batch_states(engine, backlog)].count("queued")
        assert left > 50
    wait_for_job(engine, backlog.job_id, seconds=PATIENCE)
    assert put_back(log) - before <= _BETWEEN


def test_an_emptied_redis_loses_no_work(steady: Steady) -> None:
    """FLUSHALL during a backlog: the sweeper sends what is left, and every row is answered once."""
    settings, engine, log = steady
    add_model(engine, SlowModel(seconds=0.05))
    before = put_back(log)
    client_ids = list(range(1, 61))
    backlog = submit_bulk(engine, client_ids, batch_rows=2)
    publish(settings, backlog)
    wait_until_claimed(engine, backlog)
    with Redis.from_url(settings.redis_url.get_secret_value()) as client:
        client.flushall()
    wait_for_job(engine, backlog.job_id, seconds=PATIENCE)
    assert_right(engine, backlog, client_ids)
    assert put_back(log) - before <= 30 + _BETWEEN


def test_a_cancelled_bulk_job_ends_at_once(steady: Steady) -> None:
    """Cancel ends a running job; its scored rows stay, and what a worker scores just then is dropped."""
    settings, engine, _ = steady
    add_model(engine, SlowModel(seconds=0.3))
    accepted = submit_bulk(engine, list(range(1, 13)), batch_rows=2)
    publish(settings, accepted)
    wait_until(lambda: job_of(engine, accepted.job_id).succeeded >= 2, seconds=PATIENCE, what="a scored batch")
    with transaction(engine) as connection:
        job = cancel_job(connection, accepted.job_id, OWNER)
    assert job.status is JobStatus.CANCELLED
    assert job.succeeded + job.cancelled == 12
    (single,) = submit_singles(engine, [1])  # both processes are past the dropped batches when it is done
    publish(settings, single)
    wait_for_job(engine, single.job_id, seconds=PATIENCE)
    assert job_of(engine, accepted.job_id) == job


def test_a_worker_holds_few_connections(steady: Steady) -> None:
    """Two connections per pool process, one for the sweeper, three for the planner: PostgreSQL sees no more."""
    engine = steady.engine
    assert connections(engine, "steady") <= 2 * 2 + 1 + 3


def test_work_that_nobody_can_load_ends_on_a_quiet_stack(engine: Engine, settings: Settings) -> None:
    """After the patience each row ends in its stated error, though no other work comes and one message alone was sent.

    The message is taken before that time, by a worker that cannot load the version.
    """
    add_clients(engine, 3)
    add_model(engine, requirements="no-such-library==1.*")
    accepted = submit_bulk(engine, [1, 2, 3], batch_rows=1)
    with worker_process(settings.model_copy(update={"patience_seconds": 1})):
        with make_redis(settings) as redis:
            publish_work(redis, 1, accepted.queue)
        job = wait_for_job(engine, accepted.job_id)
    assert job.status is JobStatus.FAILED
    with transaction(engine) as connection:
        rows = read_results(connection, accepted.job_id, end=2**60)
    assert [row["error_code"] for row in rows] == ["model_unavailable"] * 3
