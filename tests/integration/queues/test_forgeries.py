"""Whoever has Redis' password and nothing else can delay work, and no more: forty forgeries against a real worker."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, text

from devstack.servers.redis import EmbeddedRedis
from shared.config import Settings
from shared.messaging.celery_app import living_workers, make_celery
from shared.messaging.messages import NOTICES, work_message
from shared.messaging.own_keys import mend_keys
from shared.messaging.screening import screen_work
from shared.postgres.engine import transaction
from shared.status import Queue
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.integration.worker.scoring_support import results
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

Message = dict[str, Any]
Forgery = Callable[[Redis, Settings], object]
_DEEP = b"[" * 50_000 + b"]" * 50_000
_LONG = 20 * 1024 * 1024


def raw(item: bytes | str, queue: str = "interactive") -> Forgery:
    """Something at the front of a queue."""
    return lambda redis, _settings: redis.rpush(queue, item)


def changed(change: Callable[[Message], object], queue: Queue = Queue.INTERACTIVE) -> Forgery:
    """One of our messages with a change."""

    def forge(redis: Redis, _settings: Settings) -> object:
        message = work_message(queue)
        change(message)
        return redis.rpush(queue.value, json.dumps(message))

    return forge


def header(name: str, value: object) -> Forgery:
    """One of our messages with a header of one's own."""
    return changed(lambda message: message["headers"].update({name: value}))


def body(value: object) -> Forgery:
    """One of our messages that says something else."""
    content = base64.b64encode(json.dumps(value).encode()).decode()
    return changed(lambda message: message.update({"body": content}))


def control(method: str, **arguments: object) -> Forgery:
    """A call of Celery's remote control."""

    def forge(_redis: Redis, settings: Settings) -> object:
        app = make_celery(settings)
        try:
            return app.control.broadcast(method, arguments=arguments)
        finally:
            app.close()

    return forge


def command(*words: object) -> Forgery:
    """A command of Redis; that it may be refused is fine."""
    return lambda redis, _settings: redis.execute_command(*words)


FORGERIES: dict[str, Forgery] = {
    # no message at all
    "a word": raw("x"),
    "nothing": raw(""),
    "a number": raw("5"),
    "null": raw("null"),
    "a list": raw("[1, 2]"),
    "bytes": raw(b"\xff\xfe\xfa\x00"),
    "half a message": raw(json.dumps(work_message(Queue.INTERACTIVE))[:300]),
    "depth": raw(_DEEP),
    "20 MB": raw(b"9" * _LONG, "bulk"),
    # a message with something missing
    "no properties": changed(lambda message: message.pop("properties")),
    "no delivery_tag": changed(lambda message: message["properties"].pop("delivery_tag")),
    "no exchange": changed(lambda message: message["properties"].pop("delivery_info")),
    "no headers": changed(lambda message: message.pop("headers")),
    "no body": changed(lambda message: message.pop("body")),
    # a header of another type
    "an id that is an object": header("id", {"a": 1}),
    "an id that is a list": header("id", [1]),
    "an id that is null": header("id", None),
    "a task that is a number": header("task", 5),
    "retries that are a word": header("retries", "x"),
    "an origin of 20 MB": header("origin", "x" * _LONG),
    # a header that Celery would obey
    "a time limit": header("timelimit", [0.02, None]),
    "an eta": header("eta", "2099-01-01T00:00:00+00:00"),
    "an end": header("expires", "2000-01-01T00:00:00+00:00"),
    "another task": header("task", "celery.backend_cleanup"),
    "a group": header("group", str(uuid4())),
    "stamps": header("stamped_headers", ["id"]),
    # another content
    "callbacks": body([["interactive"], {}, {"callbacks": [{"task": "predictq.work", "args": ["bulk"]}]}]),
    "another queue": body([["bulk"], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]),
    "a queue that is not there": body([["x"], {}, {}]),
    "no base64": changed(lambda message: message.update({"body": "!"})),
    "a pickle": changed(lambda message: message.update({"content-type": "application/x-python-serialize"})),
    # remote control and notices
    "shutdown": control("shutdown"),
    "no consumer any more": control("cancel_consumer", queue="interactive"),
    "a rate limit": control("rate_limit", task_name="predictq.work", rate_limit="1/h"),
    "no processes any more": control("pool_shrink", n=1),
    "rubbish for all": lambda redis, _settings: redis.publish("/0.celery.pidbox", b"\xff\x00"),
    "JSON for all": lambda redis, _settings: redis.publish("/0.celery.pidbox", '{"body": [], "properties": 1}'),
    "rubbish as a notice": lambda redis, _settings: redis.publish(NOTICES, b"\xff\xfe\xfa"),
    "a notice of nothing": lambda redis, _settings: redis.publish(NOTICES, "1:2:3:4" * 1000),
    # the keys themselves
    "a queue that is a text": lambda redis, _settings: redis.set("bulk", "x"),
    "unacknowledged rubbish": lambda redis, _settings: (
        redis.hset("unacked", "t", "x"), redis.zadd("unacked_index", {"t": 0})
    ),
    "unacknowledged text": lambda redis, _settings: redis.set("unacked", "x"),
    "bindings that are a text": lambda redis, _settings: redis.set("_kombu.binding.celery.pidbox", "x"),
    "all deleted": command("FLUSHALL"),
    "a file": command("CONFIG", "SET", "dir", "/tmp"),
    "a script": command("EVAL", "while true do end", "0"),
    "all disconnected": command("CLIENT", "KILL", "TYPE", "normal"),
    "all paused": command("CLIENT", "PAUSE", "600000"),
}  # fmt: skip


@pytest.fixture
def key_of_caller(engine: Engine) -> str:
    """An ordinary API key."""
    return new_key(engine, OWNER)


def test_forty_forgeries_delay_and_do_no_more(
    engine: Engine, settings: Settings, key_of_caller: str, tmp_path: Path
) -> None:
    """No crash, no loop, no wrong and no doubled answer, and a beat later the work goes on; each log line is short."""
    assert len(FORGERIES) >= 40
    add_clients(engine, 50)
    add_model(engine)
    log = tmp_path / "worker.log"
    with (
        worker_process(settings, log=log) as worker,
        running_gateway(settings, key_of_caller) as gateway,
        Redis.from_url(settings.redis_url.get_secret_value()) as redis,
    ):
        wait_until(lambda: living_workers(settings, 0.5), seconds=60, what="the worker")
        processes = {child.pid for child in psutil.Process(worker.pid).children()}
        for name, forge in FORGERIES.items():
            job = submit_bulk(engine, [1, 2, 3], batch_rows=2)
            with_errors(forge, redis, settings)
            with_errors(lambda _redis, _settings, job=job: publish(settings, job), redis, settings)  # type: ignore[misc]
            assert wait_for_job(engine, job.job_id, seconds=30).succeeded == 3, name
        answer = gateway.post("/v1/predict", json={"client_id": 7}, headers={"Prefer": "wait=20"}).json()
        assert answer["status"] == "succeeded", answer
        assert gateway.get("/health/ready").json()["status"] in ("ok", "degraded")
        single = submit_singles(engine, [5])[0]
        assert wait_for_job(engine, single.job_id, seconds=20).succeeded == 1
        assert {child.pid for child in psutil.Process(worker.pid).children()} == processes
        wait_until(lambda: not redis.llen("interactive") and not redis.llen("bulk"), what="empty queues")
        last = submit_bulk(engine, list(range(1, 51)), batch_rows=10)
        publish(settings, last)
        wait_for_job(engine, last.job_id)
        rows = results(engine, last)
        assert [row.client_id for row in rows] == list(range(1, 51))
        assert len({row.request_id for row in rows}) == 50
    written = log.read_text(encoding="utf-8").splitlines()
    assert max(map(len, written)) < 4_000
    assert any("not ours" in line for line in written)
    with transaction(engine) as connection:
        left = connection.execute(text("SELECT count(*) FROM predictq.prediction_batches")).scalar_one()
        twice = connection.execute(text("SELECT count(*) - count(DISTINCT batch_id) FROM predictq.batch_outputs"))
        assert (left, twice.scalar_one()) == (0, 0)


def with_errors(forge: Forgery, redis: Redis, settings: Settings) -> None:
    """Redis may refuse it: that is as good."""
    with contextlib.suppress(RedisError):
        forge(redis, settings)


def test_our_own_messages_come_through() -> None:
    """What we write is let through, made anew; a message of one queue is none of another's."""
    message = json.dumps(work_message(Queue.BULK)).encode()
    fresh = screen_work(message, "bulk")
    assert fresh is not None
    assert fresh["headers"]["id"] not in message.decode()
    assert screen_work(message, "interactive") is None


def test_keys_that_are_not_as_ours_are_removed(tmp_path: Path) -> None:
    """In a Redis that lets its user everything a key of ours may become a text: it goes, others stay."""
    with EmbeddedRedis(tmp_path / "redis", free=True) as server, Redis.from_url(server.url) as redis:
        redis.set("bulk", "x")
        redis.set("_kombu.binding.celery.pidbox", "x")
        redis.sadd("_kombu.binding.reply.celery.pidbox", *range(600))
        redis.set("of another program", "x")
        redis.lpush("interactive", "x")
        gone = ["_kombu.binding.celery.pidbox", "_kombu.binding.reply.celery.pidbox", "bulk"]
        assert sorted(mend_keys(redis)) == gone
        assert sorted(redis.keys()) == [b"interactive", b"of another program"]
        assert mend_keys(redis) == []
        server.destroy()
