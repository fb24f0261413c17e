"""A process that is kept free for single predictions, by a real worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.jobs.accepting.singles import Accepted
from shared.jobs.records import cancel_job
from shared.postgres.engine import autocommit, make_engine, transaction
from tests.integration.worker.delivery_support import PATIENCE, quick, wait_until_claimed
from tests.models import SlowModel
from tests.support import (
    OWNER,
    add_clients,
    add_model,
    publish,
    submit_bulk,
    submit_singles,
    wait_for_job,
    wait_until,
    worker_process,
)

_CLAIMS = 9  # of bulk batches, that are looked at
_TRIES = 3


@pytest.fixture
def two(make_database: Callable[..., str], module_redis_url: str, tmp_path: Path) -> Iterator[tuple[Settings, Engine]]:
    """A worker of two processes, and twenty clients."""
    settings = quick(make_database(), f"{module_redis_url.removesuffix('/0')}/3", batch_timeout_seconds=30)
    with Redis.from_url(settings.redis_url.get_secret_value()) as client:
        client.flushdb()
    engine = make_engine(settings, application_name="test", pool_size=2)
    add_clients(engine, 20)
    with worker_process(settings, concurrency=2, name="order", log=tmp_path / "log"):
        yield settings, engine
    engine.dispose()


def test_while_single_predictions_come_a_process_is_kept_free_for_them(two: tuple[Settings, Engine]) -> None:
    """With bulk batches waiting, a worker of two scores one of them at a time, and singles beside it."""
    settings, engine = two
    add_model(engine, SlowModel(seconds=0.4, least_rows=5))
    bulk = submit_bulk(engine, [*range(1, 21)] * 50, batch_rows=10)
    publish(settings, bulk)
    wait_until_claimed(engine, bulk)
    with _singles_coming(settings):
        together, alone = wait_until(
            lambda: found if sum(found := _bulk_claims(engine, bulk)) >= _CLAIMS else None,
            seconds=PATIENCE,
            what=f"{_CLAIMS} bulk batches are taken",
        )
    with transaction(engine) as connection:
        cancel_job(connection, bulk.job_id, OWNER)
    # A stall of the machine may let a batch slip in between two singles; without a free process half are together.
    assert 3 * together <= alone, f"{together} bulk batches were taken beside another one, {alone} alone"


@contextmanager
def _singles_coming(settings: Settings) -> Iterator[None]:
    """Single predictions all the time, whether or not those before are answered: no pause ends the keeping."""
    engine = make_engine(settings, application_name="singles", pool_size=1)
    stopped = threading.Event()

    def submit() -> None:
        while not stopped.wait(0.02):
            publish(settings, submit_singles(engine, [1])[0])

    with ThreadPoolExecutor(1) as thread:
        submitting = thread.submit(submit)
        try:
            yield
        finally:
            stopped.set()
            submitting.result()
            engine.dispose()


def test_after_a_single_prediction_a_bulk_job_soon_has_both_processes(two: tuple[Settings, Engine]) -> None:
    """A wait for more singles ends with the moment for which a process is kept free, and not when one comes."""
    settings, engine = two
    add_model(engine, SlowModel(seconds=0.8, least_rows=5))
    shared = 0
    for _ in range(_TRIES):
        (single,) = submit_singles(engine, [1])
        publish(settings, single)
        wait_for_job(engine, single.job_id, seconds=PATIENCE)
        bulk = submit_bulk(engine, list(range(1, 21)), batch_rows=10)
        publish(settings, bulk)
        wait_for_job(engine, bulk.job_id, seconds=PATIENCE)
        shared += _bulk_claims(engine, bulk)[0]
    # A stall of the machine may part two batches; a wait of the usual second would part them each time.
    assert shared > 0, f"one process waited while the other scored both batches of {_TRIES} jobs"


def _bulk_claims(engine: Engine, bulk: Accepted) -> tuple[int, int]:
    """How many bulk batches were claimed, once the first single had been, while another was being scored; the rest."""
    query = text("""
        WITH claims AS (
            SELECT id, claimed_at, 'infinity'::timestamptz AS ended_at FROM predictq.prediction_batches
            WHERE job_id = :id AND claimed_at IS NOT NULL
            UNION ALL
            SELECT batch_id, claimed_at, created_at FROM predictq.batch_outputs
            WHERE job_id = :id AND claimed_at IS NOT NULL
        )
        SELECT count(*) FILTER (WHERE beside), count(*) FILTER (WHERE NOT beside) FROM (
            SELECT EXISTS (SELECT FROM claims o WHERE o.id <> c.id AND o.claimed_at < c.claimed_at
                           AND o.ended_at > c.claimed_at) AS beside
            FROM claims c WHERE c.claimed_at > (
                SELECT min(claimed_at) FROM predictq.batch_outputs WHERE job_id IS NULL)
        ) AS looked_at""")
    with autocommit(engine) as connection:
        together, alone = connection.execute(query, {"id": bulk.job_id}).one()
    return int(together), int(alone)
