"""A worker whose Redis is away for long."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import Engine

from devstack.servers.redis import EmbeddedRedis
from shared.config import Settings
from tests.integration.worker.delivery_support import PATIENCE, quick
from tests.support import (
    add_clients,
    add_model,
    publish,
    stop,
    submit_singles,
    wait_for_job,
    wait_until,
    worker_process,
)

_ATTEMPTS = 11  # two seconds apart they take 20 s; with pauses that grow by two seconds, 110 s


def test_work_goes_on_soon_after_a_long_absence_of_redis(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    """However long Redis was away, the first answer comes within 15 s of its return: pauses do not grow."""
    add_clients(engine, 2)
    add_model(engine)
    log = tmp_path / "log"
    with EmbeddedRedis(tmp_path / "redis") as redis:
        own = quick(settings.database_url.get_secret_value(), redis.url)
        with worker_process(own, name="deaf", log=log) as worker:
            (before,) = submit_singles(engine, [1])
            wait_for_job(engine, before.job_id, seconds=PATIENCE)
            redis.kill()
            wait_until(lambda: len(_pauses(log)) >= _ATTEMPTS, seconds=80, what=f"{_ATTEMPTS} attempts to connect")
            redis.start()
            (after,) = submit_singles(engine, [2])
            publish(own, after)
            wait_for_job(engine, after.job_id, seconds=15)
            assert worker.poll() is None
    assert set(_pauses(log)) == {2.0}


def test_a_worker_without_redis_can_be_stopped(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    """SIGTERM ends a worker that looks for a Redis that is not there."""
    add_model(engine)
    log = tmp_path / "log"
    with EmbeddedRedis(tmp_path / "redis") as redis:
        own = quick(settings.database_url.get_secret_value(), redis.url)
    with worker_process(own, name="lonely", log=log) as worker:
        wait_until(lambda: len(_pauses(log)) >= 2, seconds=PATIENCE, what="attempts to connect")
        assert stop(worker) == 0


def _pauses(log: Path) -> list[float]:
    """The pauses, in seconds, after the attempts to connect that the worker told of."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
    return [line["retry_seconds"] for line in lines if "retry_seconds" in line]
