"""Redis answers, and all the same takes no messages: what is said is true, and it ends when Redis takes them again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import Engine

from cli.doctor.examinations import _examine_redis
from devstack.servers.redis import EmbeddedRedis
from shared.config import Settings
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.integration.gateway.test_attention import needs
from tests.integration.gateway.test_singles import RAW
from tests.support import add_model, wait_until


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """One of this test's own, whose settings it may change."""
    with EmbeddedRedis(tmp_path / "redis", free=True) as server:
        yield server


@pytest.mark.parametrize(
    ("begin", "end", "kind", "said"),
    [
        (
            ("CONFIG", "SET", "maxmemory", "100kb"),
            ("CONFIG", "SET", "maxmemory", "0"),
            "full",
            "Redis' memory is full",
        ),
        (
            ("ACL", "SETUSER", "default", "-lpush"),
            ("ACL", "SETUSER", "default", "+lpush"),
            "refuses",
            "Redis refuses the password, or a right of its user",
        ),
    ],
)
def test_a_redis_that_takes_no_messages_is_told_by_its_kind(
    settings: Settings,
    engine: Engine,
    redis: EmbeddedRedis,
    begin: tuple[str, ...],
    end: tuple[str, ...],
    kind: str,
    said: str,
) -> None:
    """By /health and among what needs a person, while jobs are accepted. Its end is found out though nobody calls."""
    add_model(engine)
    own = settings.model_copy(update={"redis_url": SecretStr(redis.url)})
    with running_gateway(own, new_key(engine, "alice", is_admin=True)) as gateway, Redis.from_url(redis.url) as admin:
        _wait_until_ok(gateway)
        admin.execute_command(*begin)
        assert gateway.post("/v1/predict_raw", json={"features": RAW}).status_code == 202
        wait_until(lambda: gateway.get("/health").json()["redis"] == kind, what="the kind")
        ready = gateway.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert ready.json()["reasons"][0] == f"{said}: jobs are accepted, and wait until it takes messages"
        need = needs(gateway)["redis"]
        assert (need["about"], need["detail"]) == ({"trouble": kind}, ready.json()["reasons"][0])
        assert need["since"] is not None
        finding, *_ = _examine_redis(own)  # which asks workers, and so sends no list anything
        assert (finding.ok, said in finding.detail) == (kind != "full", kind == "full")
        admin.execute_command(*end)
        _wait_until_ok(gateway)
        assert "redis" not in needs(gateway)
        assert admin.llen("interactive") >= 1  # what was not sent is


def test_a_wrong_password_is_no_outage(settings: Settings, engine: Engine, redis: EmbeddedRedis) -> None:
    """Nobody looks for a server that is not down."""
    own = settings.model_copy(update={"redis_url": SecretStr(redis.url.replace("redis://:", "redis://:wrong"))})
    with running_gateway(own, new_key(engine, "alice", is_admin=True)) as gateway:
        wait_until(lambda: gateway.get("/health").json()["redis"] == "refuses", what="the kind")
        assert needs(gateway)["redis"]["advice"] == "correct REDIS_URL"


def _wait_until_ok(gateway: Gateway) -> None:
    wait_until(lambda: gateway.get("/health").json()["redis"] == "ok", what="a Redis that takes messages")
