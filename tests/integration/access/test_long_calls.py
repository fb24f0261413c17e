"""A key that is revoked while a call goes on takes no more work in, and is told no answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from shared.access.api_keys import revoke_key
from shared.config import Settings
from shared.postgres.engine import transaction
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.support import add_clients, add_model, wait_until

FEATURES = b'{"features": {"age": 30, "monthly_income": 1000, "department": "Sales", "over_time": true}'
BODIES: dict[str, tuple[str, str, bytes, bytes]] = {
    "one client": ("/v1/predict", "application/json", b'{"client', b'_id": 1}'),
    "features": ("/v1/predict_raw", "application/json", FEATURES, b"}"),
    "a list": ("/v1/jobs", "application/json", b'{"client_ids"', b": [1, 2]}"),
    "a long list": ("/v1/jobs", "application/json", b'{"client_ids": [1' + b", 2" * 40_000, b"]}"),
    "keys": ("/v1/jobs", "text/csv", b"client_id\n1\n", b"2\n"),
    "a table": ("/v1/jobs", "application/vnd.apache.parquet", b"PAR1", b"PAR1"),
    "a file": ("/v1/uploads", "application/octet-stream", b"PAR1", b"PAR1"),
}
STORED = text("SELECT (SELECT count(*) FROM predictq.jobs) + (SELECT count(*) FROM predictq.uploads)")
COUNTED = text("""UPDATE predictq.errands SET status = 'done', result = '{"count": 3}', finished_at = now()""")


@pytest.fixture
def gateway(settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """Where a key is remembered for an instant, so that the tests need not wait."""
    for name in ("auth._REMEMBER_SECONDS", "auth._ASK_AGAIN_SECONDS", "long_calls._ASK_AFTER_SECONDS"):
        monkeypatch.setattr(f"api.access.{name}", 0.1)
    add_model(engine)
    add_clients(engine, 3)
    with running_gateway(settings) as client:
        yield client


def revoke(engine: Engine, key: str) -> None:
    """And let the gateway forget that it was good."""
    with transaction(engine) as connection:
        revoke_key(connection, key[:11])
    time.sleep(0.3)


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_comes_slowly_is_not_taken_in(gateway: Gateway, engine: Engine, name: str) -> None:
    """Nothing of it is kept; with a key that still counts it is."""
    path, media_type, begin, rest = BODIES[name]

    def send(between: Callable[[], None]) -> int:
        def body() -> Iterator[bytes]:
            yield begin
            time.sleep(0.2)  # by then the call has been let in
            between()
            yield rest

        headers = {**bearer(key), "Content-Type": media_type}
        return gateway.post(path, content=body(), headers=headers).status_code

    key = new_key(engine, "alice")
    assert send(lambda: revoke(engine, key)) == 401
    with transaction(engine) as connection:
        assert connection.execute(STORED).scalar_one() == 0
    key = new_key(engine, "alice")
    assert send(lambda: time.sleep(0.3)) in (201, 202)


@pytest.mark.parametrize("is_repeated", [False, True])
def test_an_answer_that_was_waited_for_is_not_given(
    gateway: Gateway, engine: Engine, settings: Settings, is_repeated: bool
) -> None:
    """Neither to the call that made the job nor to one that asks for it."""
    key = new_key(engine, "alice")
    wait: dict[str, Any] = {"headers": {**bearer(key), "Prefer": "wait=20"}, "timeout": 30}
    with ThreadPoolExecutor(1) as callers:
        if is_repeated:
            job = gateway.post("/v1/predict", json={"client_id": 1}, headers=bearer(key)).json()["id"]
            call = callers.submit(gateway.get, f"/v1/jobs/{job}", **wait)
        else:
            call = callers.submit(gateway.post, "/v1/predict", json={"client_id": 1}, **wait)
        wait_until(lambda: gateway.services.waiting.open, what="a caller waits")
        revoke(engine, key)
        answer_batches(engine, settings)
        refuses(call.result())


def test_what_a_worker_found_is_not_told(gateway: Gateway, engine: Engine) -> None:
    """A count may take forty seconds."""
    key = new_key(engine, "alice", roles=["bulk"])
    with ThreadPoolExecutor(1) as callers:
        call = callers.submit(gateway.post, "/v1/jobs/count", json={"where": {"age": 25}}, headers=bearer(key))
        wait_until(lambda: gateway.services.caps.errands.open, what="the count is open")
        revoke(engine, key)
        with transaction(engine) as connection:
            assert connection.execute(COUNTED).rowcount == 1
        refuses(call.result())


def refuses(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorised")
    assert "since it began" in answer.json()["detail"]
