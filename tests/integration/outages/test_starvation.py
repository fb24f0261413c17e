"""One caller's heavy work takes nothing from the others: each kind has its connections, and each owner her share."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import ModuleType
from typing import Any, Self
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, text

from api.intake import kept_files
from api.routes.jobs import listing as jobs_route
from api.routes.stored import retention as retention_route
from shared.config import Settings
from shared.errors import DatabaseUnavailable
from shared.jobs.lists import JobFilter
from shared.jobs.records import JobRecord
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.integration.gateway.test_singles import RAW
from tests.support import add_clients, add_model, wait_until

_ROWS = 400_000  # whose CSV is more than all buffers between PostgreSQL and a caller who takes nothing
_SLOW_SECONDS = 3.0


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway called by alice."""
    add_model(engine)
    add_clients(engine, 10)
    large = settings.model_copy(update={"bulk_batch_rows": 100_000, "max_json_ids": _ROWS})
    with running_gateway(large, new_key(engine, "alice")) as client:
        yield client


def test_slow_downloads_hold_up_no_bulk_job_and_no_other_owner(gateway: Gateway, engine: Engine) -> None:
    """Four downloads of alice's that nobody takes: jobs are accepted, and bob's download comes, at once."""
    bob = bearer(new_key(engine, "bob"))
    large = gateway.post("/v1/jobs", json={"client_ids": [1] * _ROWS})
    small = gateway.post("/v1/jobs", json={"client_ids": [1, 2]}, headers=bob)
    assert (large.status_code, small.status_code) == (202, 202)
    assert answer_batches(engine) >= 5
    with ExitStack() as stack:
        for _ in range(4):
            taken = stack.enter_context(slow_download(gateway, large.headers["location"]))
            assert taken.recv(12) == b"HTTP/1.1 200"
        for _ in range(2):
            started = time.monotonic()
            assert gateway.post("/v1/jobs", json={"client_ids": [1, 2]}).status_code == 202
            assert time.monotonic() - started < 3
        csv = gateway.get(f"{small.headers['location']}/results", headers={**bob, "Accept": "text/csv"})
        assert (csv.status_code, len(csv.text.splitlines())) == (200, 3)


def slow_download(gateway: Gateway, location: str) -> socket.socket:
    """Ask for the CSV of a job, and take nothing of it."""
    caller = socket.socket()
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    caller.connect((gateway.base_url.host, gateway.base_url.port))
    key = gateway.headers["authorization"]
    head = f"GET {location}/results HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nAccept: text/csv\r\n\r\n"
    caller.sendall(head.encode())
    return caller


def test_repeated_jobs_hold_up_no_download(gateway: Gateway, engine: Engine) -> None:
    """While three repetitions of alice's wait for a lock that somebody holds, bob's download comes."""
    bob = bearer(new_key(engine, "bob"))
    job_id = gateway.post("/v1/jobs", json={"client_ids": [1, 2]}).json()["id"]
    small = gateway.post("/v1/jobs", json={"client_ids": [1, 2]}, headers=bob)
    assert answer_batches(engine) == 2
    with ThreadPoolExecutor(3) as callers:
        with engine.begin() as connection:
            connection.execute(text("LOCK TABLE predictq.batch_requests IN EXCLUSIVE MODE"))
            repeats = [callers.submit(gateway.post, f"/v1/jobs/{job_id}/repeat") for _ in range(3)]
            wait_until(lambda: _waits_for_lock(engine), what="a repetition waits for the lock")
            started = time.monotonic()
            csv = gateway.get(f"{small.headers['location']}/results", headers={**bob, "Accept": "text/csv"})
            assert (csv.status_code, len(csv.text.splitlines())) == (200, 3)
            assert time.monotonic() - started < _SLOW_SECONDS / 2
            assert running(engine, "predictq-api-downloads") == 0
            assert _open_transactions(engine, "predictq-api-downloads") == 0
        assert {call.result().status_code for call in repeats} <= {202, 503}


def _waits_for_lock(engine: Engine) -> bool:
    query = text("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')")
    with engine.connect() as connection:
        return bool(connection.execute(query).scalar_one())


def _open_transactions(engine: Engine, name: str) -> int:
    """How many connections of that name do nothing in a transaction."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name AND state = 'idle in transaction'"
    )
    with engine.connect() as connection:
        return int(connection.execute(query, {"name": name}).scalar_one())


def running(engine: Engine, name: str) -> int:
    """How many connections of that name are in a statement."""
    query = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name AND state = 'active'")
    with engine.connect() as connection:
        return int(connection.execute(query, {"name": name}).scalar_one())


def test_heavy_lists_hold_up_nothing_else(gateway: Gateway, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """While alice's lists take their seconds: statuses, predict_raw and bulk jobs as ever, and bob's list, too."""
    quick_list = jobs_route.find_jobs

    def slow_list(
        connection: Connection, owner: str, wanted: JobFilter, **options: Any
    ) -> tuple[list[JobRecord], UUID | None]:
        if owner == "alice":
            connection.execute(text(f"SELECT pg_sleep({_SLOW_SECONDS})"))
        return quick_list(connection, owner, wanted, **options)

    bob = bearer(new_key(engine, "bob"))
    location = gateway.post("/v1/predict", json={"client_id": 1}, headers=bob).headers["location"]
    monkeypatch.setattr(jobs_route, "find_jobs", slow_list)
    with ThreadPoolExecutor(6) as callers:
        heavy = [callers.submit(gateway.get, "/v1/jobs?status=failed") for _ in range(6)]
        wait_until(lambda: running(engine, "predictq-api-lists") >= 1, what="a list is being read")
        started = time.monotonic()
        assert gateway.get(location, headers=bob).status_code == 200
        assert gateway.get("/v1/jobs", headers=bob).status_code == 200
        assert gateway.post("/v1/predict_raw", json={"features": RAW}, headers=bob).status_code == 202
        assert gateway.post("/v1/jobs", json={"client_ids": [1]}, headers=bob).status_code == 202
        assert time.monotonic() - started < _SLOW_SECONDS / 2
        assert {call.result().status_code for call in heavy} == {200, 503}, "she waits for herself, and not for ever"
    wait_until(lambda: gateway.get("/v1/models").status_code == 200, what="all is as before")


class Blocked:
    """Functions that wait until the end of a block, as if PostgreSQL were slow with them; then they fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._over = threading.Event()
        self.waiting = 0

    def block(self, module: ModuleType, name: str) -> None:
        """Let this function of a module wait."""
        self._monkeypatch.setattr(module, name, self._wait)

    def _wait(self, *_: object, **__: object) -> None:
        self.waiting += 1
        assert self._over.wait(60)
        raise DatabaseUnavailable(OSError())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> Blocked:
    return Blocked(monkeypatch)


_ADMIN = ("read", "predict", "bulk", "operate", "admin")


def test_an_admins_long_looks_hold_up_no_download(gateway: Gateway, engine: Engine, blocked: Blocked) -> None:
    """Whatever one owner asks of what is stored, another's download comes."""
    admin, bob = bearer(new_key(engine, "admin", roles=_ADMIN)), bearer(new_key(engine, "bob"))
    small = gateway.post("/v1/jobs", json={"client_ids": [1, 2]}, headers=bob)
    assert answer_batches(engine) == 1
    blocked.block(retention_route, "dry_run")
    blocked.block(retention_route, "read_usage")
    with ThreadPoolExecutor(6) as callers, blocked:
        for _ in range(3):
            callers.submit(gateway.post, "/v1/retention/run", json={"dry_run": True}, headers=admin)
            callers.submit(gateway.get, "/v1/storage", headers=admin)
        wait_until(lambda: blocked.waiting >= 2, what="two of them are at work")
        csv = gateway.get(f"{small.headers['location']}/results", headers={**bob, "Accept": "text/csv"}, timeout=10)
        assert (csv.status_code, len(csv.text.splitlines())) == (200, 3)


def test_files_that_are_sent_hold_up_no_status(gateway: Gateway, engine: Engine, blocked: Blocked) -> None:
    """While pieces of files wait for PostgreSQL, keys and statuses are looked up as ever."""
    location = gateway.post("/v1/predict", json={"client_id": 1}).headers["location"]
    blocked.block(kept_files, "add_piece")
    with ThreadPoolExecutor(4) as callers, blocked:
        for owner in ("bob", "carol", "dora", "emil"):
            key = bearer(new_key(engine, owner))
            callers.submit(gateway.post, "/v1/uploads", content=b"1", headers={**key, "Content-Type": "text/csv"})
        wait_until(lambda: blocked.waiting >= 2, what="two pieces wait")
        assert gateway.get(location, headers=bearer(new_key(engine, "alice"))).status_code == 200


def test_lists_hold_up_no_watch(gateway: Gateway, engine: Engine, blocked: Blocked) -> None:
    """However many lists are read, the gateway sees whether work stands still."""
    watch = gateway.services.stall_watch
    blocked.block(jobs_route, "find_jobs")
    with ThreadPoolExecutor(2) as callers, blocked:
        for owner in ("bob", "carol"):
            callers.submit(gateway.get, "/v1/jobs?status=failed", headers=bearer(new_key(engine, owner)))
        wait_until(lambda: blocked.waiting >= 2, what="two lists are being read")
        for _ in range(2):
            since = time.monotonic()
            wait_until(lambda: watch.age_seconds < time.monotonic() - since, what="another look")  # noqa: B023
