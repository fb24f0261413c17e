"""PostgreSQL or Redis away: stated errors in time, no false 202, and everything works again afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text

from api.intake import single_jobs
from api.server.coalescer import each_alone
from api.watch import outage_log
from shared.config import Settings
from shared.errors import DatabaseUnavailable
from shared.jobs.accepting.singles import Accepted, SingleJob
from shared.sources.keys import ClientKey
from tests.integration.gateway.api_support import Gateway, answer_batches, new_key, running_gateway
from tests.integration.network import Network
from tests.support import add_clients, add_model, single_job, wait_until

ONE = {"client_id": 1}


@pytest.fixture
def gateway(settings: Settings, engine: Engine, network: Network) -> Iterator[Gateway]:
    """A gateway whose connections to PostgreSQL can be tampered with; every connection has been used."""
    add_model(engine)
    add_clients(engine, 5)
    with running_gateway(network.through(settings), new_key(engine, "alice")) as client:
        assert client.post("/v1/jobs", json={"all": True}).status_code == 202
        assert client.post("/v1/predict", json=ONE).status_code == 202
        yield client


def jobs(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM predictq.jobs")).scalar_one())


def assert_unavailable(answer: httpx.Response, started: float) -> None:
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-unavailable")
    said = ("PostgreSQL does not answer.", "PostgreSQL has not answered in time.")
    assert answer.json()["detail"].startswith(said), "no word of which server, or why"
    assert int(answer.headers["retry-after"]) > 0
    assert time.monotonic() - started < 5


def test_lost_connections_are_replaced_unseen(gateway: Gateway, engine: Engine, network: Network) -> None:
    """After a restart of PostgreSQL the first calls of every kind succeed, and nothing is accepted twice."""
    location = gateway.post("/v1/predict", json=ONE).headers["location"]
    before = jobs(engine)
    for path in ("/v1/predict", "/v1/jobs"):
        network.cut()
        answer = gateway.post(path, json=ONE if path == "/v1/predict" else {"client_ids": [1, 2]})
        assert answer.status_code == 202, answer.text
    assert jobs(engine) == before + 2
    answer_batches(engine)
    for path in (location, f"{location}/results", "/v1/jobs", "/v1/models"):
        network.cut()
        assert gateway.get(path).status_code == 200
    network.cut()
    assert gateway.get(f"{location}/results", headers={"Accept": "text/csv"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "query"),
    [
        ("/v1/predict", ONE, b"INSERT INTO predictq.jobs"),
        ("/v1/jobs", {"client_ids": [1, 2]}, b"COMMIT"),
    ],
)
def test_an_accept_whose_answer_was_lost_is_looked_up(
    gateway: Gateway, engine: Engine, network: Network, path: str, body: dict[str, object], query: bytes
) -> None:
    """The commit got in, its answer did not come back: 202 for the one job that is there, not a second one."""
    before = jobs(engine)
    network.lose_answer_to(query)
    answer = gateway.post(path, json=body)
    assert answer.status_code == 202, answer.text
    assert jobs(engine) == before + 1
    assert gateway.get(answer.headers["location"]).status_code == 200


def test_postgresql_away_is_503_in_time(gateway: Gateway, engine: Engine, network: Network) -> None:
    """Every call says so within five seconds and when to retry; as soon as PostgreSQL is back they work."""
    location = gateway.post("/v1/predict", json=ONE).headers["location"]
    before = jobs(engine)
    network.go_down()
    for _ in range(2):
        started = time.monotonic()
        assert_unavailable(gateway.post("/v1/predict", json=ONE), started)
    for method, path in (("GET", location), ("GET", f"{location}/results"), ("GET", "/v1/jobs"), ("POST", "/v1/jobs")):
        started = time.monotonic()
        body = {"client_ids": [1]} if method == "POST" else None
        assert_unavailable(gateway.request(method, path, json=body), started)
    ready = gateway.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert ready.json()["reasons"] == ["PostgreSQL does not answer"]
    assert gateway.get("/health/live").status_code == 200
    network.come_up()
    assert gateway.post("/v1/predict", json=ONE).status_code == 202
    assert gateway.get("/health/ready").status_code == 200
    assert jobs(engine) == before + 1


def test_an_outage_is_told_in_a_few_lines(gateway: Gateway, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log has its first failure with where and why, sums instead of a line per call, and its end."""
    monkeypatch.setattr(outage_log, "_REPORT_SECONDS", 1.5)
    with structlog.testing.capture_logs() as log:
        network.go_down()
        calls = 0
        while len([entry for entry in log if entry["event"] == "database_unavailable"]) < 3:
            assert gateway.get("/v1/models").status_code == 503
            calls += 1
        network.come_up()
        wait_until(lambda: log[-1]["event"] == "database_available", what="its end")
    lines = [entry for entry in log if entry["event"] == "database_unavailable"]
    assert "PostgreSQL does not answer: OperationalError" in lines[0]["error"]
    assert len(lines) < calls <= log[-1]["failures"]
    assert sum(entry["failures"] for entry in lines) <= log[-1]["failures"]


def test_a_postgresql_that_hangs_is_503_in_time(gateway: Gateway, network: Network) -> None:
    """A server that takes questions and gives no answers hangs nobody; when it goes on, so does the gateway."""
    location = gateway.post("/v1/predict", json=ONE).headers["location"]
    network.freeze()
    started = time.monotonic()
    with ThreadPoolExecutor(2) as callers:
        calls = [callers.submit(gateway.post, "/v1/predict", json=ONE), callers.submit(gateway.get, location)]
        for call in calls:
            assert_unavailable(call.result(), started)
    network.come_up()
    wait_until(lambda: gateway.post("/v1/predict", json=ONE).status_code == 202, what="accepted again")
    wait_until(lambda: gateway.get(location).status_code == 200, what="read again")


def test_redis_away_is_still_202(settings: Settings, engine: Engine) -> None:
    """Jobs are accepted, the health says `degraded`, and what was not published is counted."""
    add_model(engine)
    add_clients(engine, 5)
    alone = settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    with running_gateway(alone, new_key(engine, "alice")) as gateway:
        for _ in range(3):
            assert gateway.post("/v1/predict", json=ONE).status_code == 202
        assert gateway.post("/v1/jobs", json={"all": True}).status_code == 202
        wait_until(lambda: "predictq_publish_failures_total 4.0" in gateway.get("/metrics").text, what="counted")
        ready = gateway.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert ready.json()["reasons"][0].startswith("Redis does not answer: jobs are accepted, and wait")


def test_one_bad_job_never_costs_its_neighbours(gateway: Gateway, engine: Engine) -> None:
    """Where PostgreSQL refuses one job of a group, the others are accepted and that one alone is told."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE predictq.batch_requests ADD CHECK (NOT keys_int8 @> ARRAY[3::bigint])"))
    holder = engine.connect()  # holds up the first accept, so that the others form a group
    holder.execute(text("LOCK TABLE predictq.jobs IN SHARE MODE"))
    with structlog.testing.capture_logs(), ThreadPoolExecutor(4) as callers:
        singles = gateway.services.intake._singles
        calls = [callers.submit(gateway.post, "/v1/predict", json={"client_id": 1})]
        wait_until(lambda: singles._task is not None and not singles._waiting, what="the first one is held up")
        calls += [callers.submit(gateway.post, "/v1/predict", json={"client_id": n}) for n in (2, 3, 4)]
        wait_until(lambda: len(singles._waiting) == 3, what="a group waits")
        holder.close()
        assert sorted(call.result().status_code for call in calls) == [202, 202, 202, 500]


@pytest.mark.parametrize("error", [ValueError("NUL (0x00)"), UnicodeEncodeError("utf-8", "x", 0, 1, "odd")])
def test_what_the_driver_refuses_never_costs_its_neighbours(
    gateway: Gateway, engine: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A value that never gets to PostgreSQL fails its own job, and no other of the group."""
    accept = single_jobs.accept_singles

    def refuse_three(connection: Connection, jobs: Sequence[SingleJob], **options: bool) -> object:
        if any(job.key == ClientKey("3") for job in jobs):
            raise error
        return accept(connection, jobs, **options)

    monkeypatch.setattr(single_jobs, "accept_singles", refuse_three)
    jobs = [single_job(engine, client_id, owner="alice") for client_id in (1, 2, 3, 4)]
    answers = gateway.services.intake._accept_group(jobs)
    assert [isinstance(answer, Accepted) for answer in answers] == [True, True, False, True]
    assert answers[2] is error


def test_one_bad_read_never_costs_its_neighbours() -> None:
    """Reads that are asked together: what one of them raises is its own. An outage is everybody's."""

    def read(items: Sequence[int]) -> list[int]:
        if 9 in items:
            raise DatabaseUnavailable(OSError("away"))
        return [10 // item for item in items]

    answers = each_alone(read)([5, 0, 2])
    assert (answers[0], answers[2]) == (2, 5)
    assert isinstance(answers[1], ZeroDivisionError)
    with pytest.raises(DatabaseUnavailable):
        each_alone(read)([5, 9])


@pytest.mark.parametrize(("path", "body"), [("/v1/predict", ONE), ("/v1/jobs", {"client_ids": [1, 2]})])
def test_a_commit_that_lands_during_the_second_attempt_is_the_job(
    gateway: Gateway, engine: Engine, network: Network, path: str, body: dict[str, object]
) -> None:
    """The first attempt is cut off inside its commit, not seen by the look-up, and gets in before the second: 202."""
    before = jobs(engine)
    with engine.begin() as connection:
        connection.execute(text(_WAIT_IN_COMMIT))
    holder = engine.connect()
    holder.execute(text("SELECT pg_advisory_xact_lock(1)"))
    with ThreadPoolExecutor(1) as caller:
        call = caller.submit(gateway.post, path, json=body)
        wait_until(lambda: waiters(engine) == 1, what="the first attempt is held up in its commit")
        network.cut()
        wait_until(lambda: waiters(engine) == 2, what="the second attempt meets the first one's row")
        holder.close()
        answer = call.result()
    assert answer.status_code == 202, answer.text
    assert jobs(engine) == before + 1
    assert gateway.get(answer.headers["location"]).status_code == 200


def waiters(engine: Engine) -> int:
    query = text("""SELECT count(*) FROM pg_stat_activity
                    WHERE (wait_event_type = 'Lock' OR wait_event = 'PgSleep') AND datname = current_database()""")
    with engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


_WAIT_IN_COMMIT = """
CREATE FUNCTION wait_in_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WHILE NOT pg_try_advisory_xact_lock_shared(1) LOOP PERFORM pg_sleep(0.02); END LOOP;  -- no lock that times out
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER wait_in_commit AFTER INSERT ON predictq.jobs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION wait_in_commit();
"""
