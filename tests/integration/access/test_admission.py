"""Who is let in: keys, and the room that each owner and everybody together has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, Engine, text

from shared.access.api_keys import ApiKey, find_key, revoke_key
from shared.config import Settings
from shared.postgres.engine import transaction
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.support import add_clients, add_model, wait_until

ONE = {"client_id": 1}


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with a live model and clients 1…10, called by alice."""
    add_model(engine)
    add_clients(engine, 10)
    with running_gateway(settings, new_key(engine, "alice")) as client:
        yield client


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer pq_made_up", "Basic YTpi", "pq_made_up"])
def test_without_a_valid_key_there_is_no_answer(gateway: Gateway, header: str) -> None:
    """401 on every call under /v1, with how to authenticate."""
    calls = [("POST", "/v1/predict"), ("POST", "/v1/jobs"), ("GET", "/v1/jobs"), ("GET", "/v1/models")]
    for method, path in calls:
        answer = gateway.request(method, path, headers={"Authorization": header})
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert httpx.get(f"{gateway.base_url}/v1/jobs").status_code == 401


def test_a_revoked_key_stops_working(gateway: Gateway, engine: Engine) -> None:
    """Within seconds, although keys are remembered."""
    key = new_key(engine, "bob")
    assert gateway.get("/v1/jobs", headers=bearer(key)).status_code == 200
    with transaction(engine) as connection:
        revoke_key(connection, key[:11])
    wait_until(lambda: gateway.get("/v1/jobs", headers=bearer(key)).status_code == 401, seconds=6, what="refused")


def test_callers_who_share_a_key_share_its_look_up(
    gateway: Gateway, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that hundreds use at once is looked up once, not once for each of them."""
    asked: list[str] = []

    def slow_find_key(connection: Connection, key: str) -> ApiKey | None:
        asked.append(key)
        time.sleep(0.2)
        return find_key(connection, key)

    monkeypatch.setattr("api.access.auth.find_key", slow_find_key)
    key = new_key(engine, "bob")
    with ThreadPoolExecutor(12) as callers:
        answers = list(callers.map(lambda _: gateway.get("/v1/jobs", headers=bearer(key)).status_code, range(24)))
    assert (set(answers), asked) == ({200}, [key])


def test_without_authentication_everybody_is_anonymous(settings: Settings, engine: Engine) -> None:
    """For development: no key is asked for, and everything is allowed."""
    add_model(engine)
    with running_gateway(settings.model_copy(update={"auth_disabled": True})) as gateway:
        assert gateway.get("/v1/jobs").status_code == 200
        assert gateway.post("/v1/models/default/versions/1/promote").status_code == 200


def test_made_up_keys_do_not_fill_the_memory(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of them is bounded."""
    monkeypatch.setattr("api.access.auth._REMEMBERED", 5)
    for number in range(12):
        assert gateway.get("/v1/jobs", headers=bearer(f"pq_{number}")).status_code == 401
    assert len(gateway.services.auth._known) <= 5


def test_an_owner_over_quota_is_429(gateway: Gateway, engine: Engine) -> None:
    """Until some of the work is done; other owners are not touched."""
    key = bearer(new_key(engine, "bob", max_waiting_rows=3))
    statuses = [gateway.post("/v1/predict", json=ONE, headers=key).status_code for _ in range(5)]
    assert statuses == [202, 202, 202, 429, 429]
    refused = gateway.post("/v1/jobs", json={"client_ids": [1]}, headers=key)
    assert refused.json()["type"] == "/problems/quota-exceeded"
    assert int(refused.headers["retry-after"]) > 0
    wait_until(lambda: gateway.services.admission._sampled.get("bob") == 3, what="sampled from the database")
    assert gateway.post("/v1/predict", json=ONE, headers=key).status_code == 429
    assert gateway.post("/v1/jobs", json={"client_ids": [1] * 100}).status_code == 202
    answer_batches(engine)
    wait_until(lambda: gateway.post("/v1/predict", json=ONE, headers=key).status_code == 202, what="room again")


def test_too_much_waiting_work_is_503(settings: Settings, engine: Engine) -> None:
    """For everybody, with when to come again."""
    add_model(engine)
    add_clients(engine, 10)
    with running_gateway(settings.model_copy(update={"max_waiting_rows": 15}), new_key(engine, "alice")) as gateway:
        assert gateway.post("/v1/jobs", json={"client_ids": [1] * 15}).status_code == 202
        refused = gateway.post("/v1/predict", json=ONE)
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/backlogged")
        assert int(refused.headers["retry-after"]) > 0


def test_a_job_that_no_waiting_would_let_in_is_422(settings: Settings, engine: Engine) -> None:
    """Larger than the owner's quota or than the service's limit: told so, with size, limit and what to do."""
    add_model(engine)
    add_clients(engine, 10)
    with running_gateway(settings.model_copy(update={"max_waiting_rows": 15}), new_key(engine, "alice")) as gateway:
        key = bearer(new_key(engine, "bob", max_waiting_rows=3))
        calls: list[dict[str, Any]] = [
            {"json": {"client_ids": [1] * 4}},
            {"content": "1\n" * 4, "headers": {"Content-Type": "text/csv"}},
        ]
        for call in calls:
            refused = gateway.post("/v1/jobs", **{**call, "headers": {**call.get("headers", {}), **key}})
            assert (refused.status_code, refused.json()["type"]) == (422, "/problems/job-too-large")
            assert "retry-after" not in refused.headers
            assert "4 rows, and bob has a quota of 3" in refused.json()["detail"]
        refused = gateway.post("/v1/jobs", json={"client_ids": [1] * 16})
        assert (refused.status_code, refused.json()["type"]) == (422, "/problems/job-too-large")
        assert "the service takes 15" in refused.json()["detail"]
        assert gateway.post("/v1/jobs", json={"client_ids": [1] * 10}).status_code == 202
        refused = gateway.post("/v1/jobs", json={"client_ids": [1] * 10})
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/backlogged")
        assert count_jobs(engine) == 1


@pytest.mark.parametrize(
    ("path", "call", "other"),
    [
        ("/v1/predict", {"json": ONE}, {"json": {"client_id": 2}}),
        ("/v1/jobs", {"json": {"client_ids": [1]}}, {"json": {"client_ids": [2]}}),
        ("/v1/jobs", {"content": "1\n"}, {"content": "2\n"}),
    ],
)
def test_a_repetition_needs_no_room(
    gateway: Gateway, engine: Engine, path: str, call: dict[str, Any], other: dict[str, Any]
) -> None:
    """What was accepted is found again by its key when the quota is used up; a key not seen before is refused."""
    headers = bearer(new_key(engine, "bob", max_waiting_rows=1))
    if "content" in call:
        headers["Content-Type"] = "text/csv"
    known = {**headers, "Idempotency-Key": "known"}
    first = gateway.post(path, **call, headers=known)
    assert first.status_code == 202, first.text
    again = gateway.post(path, **call, headers=known)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert again.headers["idempotency-replayed"] == "true"
    assert gateway.post(path, **other, headers=known).json()["type"] == "/problems/idempotency-key-reused"
    assert gateway.post(path, **call, headers={**headers, "Idempotency-Key": "new"}).status_code == 429
    assert gateway.post(path, **call, headers=headers).status_code == 429
    assert count_jobs(engine) == 1


def count_jobs(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM predictq.jobs")).scalar_one())
