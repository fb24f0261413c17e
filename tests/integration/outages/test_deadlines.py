"""PostgreSQL in trouble: whatever is asked is 202 or 503 within five seconds, and no work that runs is cut off."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from tests.integration.gateway.api_support import Gateway, answer_batches, new_key, running_gateway
from tests.integration.network import Network
from tests.support import add_clients, add_model, wait_until

ONE = {"client_id": 1}
LONGEST = 5.0  # seconds
BULK: list[dict[str, Any]] = [
    {"json": {"client_ids": [1, 2, 3]}},
    {"json": {"where": {"department": "Sales"}}},
    {"content": "client_id\n1\n2\n", "headers": {"Content-Type": "text/csv"}},
]
KINDS = ["ids", "filter", "upload"]


@pytest.fixture
def gateway(settings: Settings, engine: Engine, network: Network) -> Iterator[Gateway]:
    """A gateway whose connections can be silenced; every connection has been used."""
    add_model(engine)
    add_clients(engine, 5)
    through = network.through(settings).model_copy(update={"owner_max_waiting_rows": 20})
    with running_gateway(through, new_key(engine, "alice")) as client:
        assert client.post("/v1/jobs", json={"client_ids": [1]}).status_code == 202
        assert client.post("/v1/predict", json=ONE).status_code == 202
        try:
            yield client
        finally:
            network.come_up()


@contextmanager
def locked(engine: Engine, table: str) -> Iterator[None]:
    """Somebody holds an exclusive lock on a table."""
    with engine.begin() as holder:
        holder.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


def number_of(engine: Engine, query: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())


def jobs(engine: Engine) -> int:
    return number_of(engine, "SELECT count(*) FROM predictq.jobs")


def submit(gateway: Gateway, body: dict[str, Any], key: str) -> httpx.Response:
    headers = {**body.get("headers", {}), "Idempotency-Key": key}
    return gateway.post("/v1/jobs", **{**body, "headers": headers})


def assert_unavailable(answer: httpx.Response, started: float) -> None:
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert time.monotonic() - started < LONGEST


@pytest.mark.parametrize("body", BULK, ids=KINDS)
def test_a_bulk_job_before_a_locked_table_is_503_in_time(
    gateway: Gateway, engine: Engine, body: dict[str, Any]
) -> None:
    """Its caller is not kept, nothing is accepted behind its back, and the same call works afterwards."""
    before = jobs(engine)
    with locked(engine, "predictq.jobs"):
        started = time.monotonic()
        assert_unavailable(submit(gateway, body, "locked"), started)
    wait_until(lambda: submit(gateway, body, "locked").status_code == 202, what="accepted")
    assert jobs(engine) == before + 1


@pytest.mark.parametrize("body", BULK, ids=KINDS)
def test_a_bulk_job_before_a_silent_server_is_503_in_time(
    gateway: Gateway, engine: Engine, network: Network, body: dict[str, Any]
) -> None:
    """The outcome is open and said to be: the key stays in flight, and repeating it leads to one job."""
    before = jobs(engine)
    network.freeze()
    started = time.monotonic()
    answer = submit(gateway, body, "silent")
    assert_unavailable(answer, started)
    assert "Idempotency-Key" in answer.json()["detail"]
    started = time.monotonic()
    again = submit(gateway, body, "silent")
    assert again.status_code in (409, 503)
    assert int(again.headers["retry-after"]) > 0
    assert time.monotonic() - started < LONGEST
    network.come_up()
    wait_until(lambda: submit(gateway, body, "silent").status_code == 202, what="accepted")
    assert jobs(engine) == before + 1


def test_a_bulk_job_that_takes_its_time_is_accepted(gateway: Gateway, engine: Engine) -> None:
    """An acceptance on which PostgreSQL works for longer than any other call may take is not cut off."""
    with engine.begin() as connection:
        connection.execute(text(_TAKE_LONG))
    started = time.monotonic()
    answer = gateway.post("/v1/jobs", json={"client_ids": [1, 2]})
    assert answer.status_code == 202, answer.text
    assert time.monotonic() - started > LONGEST, "it was meant to take long"


_TAKE_LONG = """
CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(6); RETURN NULL; END $$;
CREATE TRIGGER take_long AFTER INSERT ON predictq.jobs FOR EACH STATEMENT EXECUTE FUNCTION take_long();
"""


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/jobs"])
def test_the_times_of_several_questions_do_not_add_up(gateway: Gateway, engine: Engine, path: str) -> None:
    """Three seconds for the key and as long for the job are more than a caller has."""
    headers = {"Authorization": f"Bearer {new_key(engine, 'alice')}"}
    body = ONE if path == "/v1/predict" else {"client_ids": [1]}
    with ThreadPoolExecutor(1) as caller, locked(engine, "predictq.batch_requests"):
        with locked(engine, "predictq.api_keys"):
            started = time.monotonic()
            call = caller.submit(gateway.post, path, json=body, headers=headers)
            wait_until(lambda: time.monotonic() - started > 3, what="three seconds")
        assert_unavailable(call.result(), started)


def test_whatever_is_asked_of_a_silent_server_is_503_in_time(
    gateway: Gateway, engine: Engine, network: Network
) -> None:
    """Reads of every kind, downloads, cancelling: all at once, so that they stand in each other's way."""
    location = gateway.post("/v1/jobs", json={"client_ids": [1, 2]}).headers["location"]
    answer_batches(engine)
    asks: list[tuple[str, str, dict[str, str]]] = [
        ("GET", location, {}),
        ("GET", f"{location}/results", {}),
        ("GET", f"{location}/results", {"Accept": "text/csv"}),
        ("HEAD", "/v1/jobs", {}),
        ("GET", "/v1/models", {}),
        ("POST", f"{location}/cancel", {}),
    ]
    network.freeze()
    with ThreadPoolExecutor(len(asks)) as callers:
        started = time.monotonic()
        calls = [callers.submit(gateway.request, method, path, headers=headers) for method, path, headers in asks]
        for call in calls:
            assert call.result().status_code == 503
            assert int(call.result().headers["retry-after"]) > 0
        assert time.monotonic() - started < LONGEST
    network.come_up()
    wait_until(lambda: gateway.get(location).status_code == 200, what="read again")


def test_a_download_begins_in_time_or_is_refused(gateway: Gateway, engine: Engine) -> None:
    """Its first byte is an answer like any other, also where only the rows themselves are slow to come."""
    location = gateway.post("/v1/jobs", json={"client_ids": [1, 2]}).headers["location"]
    answer_batches(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE predictq.batch_requests RENAME TO stored_requests"))
        connection.execute(
            text("CREATE VIEW predictq.batch_requests AS SELECT s.* FROM predictq.stored_requests s, pg_sleep(8)")
        )
        connection.execute(text("GRANT SELECT ON predictq.batch_requests TO PUBLIC"))
    started = time.monotonic()
    assert_unavailable(gateway.get(f"{location}/results", headers={"Accept": "text/csv"}), started)


def test_a_wait_outlasts_an_outage(gateway: Gateway, engine: Engine, network: Network) -> None:
    """The job is stored: that PostgreSQL went away while its caller waited does not make a 503 of the 202."""
    before = jobs(engine)
    with ThreadPoolExecutor(1) as caller:
        call = caller.submit(gateway.post, "/v1/predict", json=ONE, headers={"Prefer": "wait=4"})
        wait_until(lambda: jobs(engine) == before + 1, what="stored")
        wait_until(lambda: gateway.services.waiting.open == 1, what="waiting")
        network.go_down()
        answer = call.result()
    assert answer.status_code == 202, answer.text


def test_room_is_reserved_while_a_bulk_job_is_accepted(gateway: Gateway, engine: Engine) -> None:
    """Two jobs that fit one by one but not together never both get in; what failed gives its room back."""
    large = {"client_ids": [1] * 12}
    with ThreadPoolExecutor(1) as caller, locked(engine, "predictq.batch_requests"):
        call = caller.submit(gateway.post, "/v1/jobs", json=large)
        wait_until(lambda: number_of(engine, _WAITERS) == 1, what="the first is being accepted")
        assert gateway.post("/v1/jobs", json=large).status_code == 429
        assert call.result().status_code == 503
    assert gateway.post("/v1/jobs", json=large).status_code == 202
    assert gateway.post("/v1/jobs", json=large).status_code == 429


_WAITERS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
