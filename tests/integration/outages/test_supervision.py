"""What runs beside the calls is watched: it survives odd input, is started again, and health says what is wrong."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator

import pytest
import structlog
from redis import Redis
from sqlalchemy import Engine, text

from api.jobs.notices import Notices
from cli.doctor.examinations import examine
from shared.batches.claims import claim
from shared.batches.stalls import read_stalls
from shared.config import Settings
from shared.messaging.messages import NOTICES
from shared.postgres.engine import autocommit, transaction
from shared.status import Queue
from tests.integration.gateway.api_support import Gateway, answer_batches, new_key, running_gateway
from tests.support import add_clients, add_model, submit_bulk, wait_until

ONE = {"client_id": 1}


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway called by alice that is impatient about work that stands still."""
    add_model(engine)
    add_clients(engine, 10)
    with running_gateway(settings.model_copy(update={"stall_seconds": 1.0}), new_key(engine, "alice")) as client:
        yield client


def test_notices_survive_odd_bytes(gateway: Gateway, engine: Engine, settings: Settings) -> None:
    """Whatever is published on the channel, callers who wait are woken as before."""
    wait_until(lambda: gateway.services.notices.is_subscribed, what="subscribed")
    with Redis.from_url(settings.redis_url.get_secret_value()) as redis:
        for odd in (b"\xff\xfe\xfa", b"", b"garbage", "７:".encode(), b"1" * 5000, b"7:\0:"):
            assert redis.publish(NOTICES, odd) == 1
    location = gateway.post("/v1/predict", json=ONE).headers["location"]
    woken = len(gateway.services.waiting._recent)
    answer_batches(engine, settings)
    wait_until(lambda: len(gateway.services.waiting._recent) > woken, what="a notice came")
    assert gateway.get(location).json()["status"] == "succeeded"
    assert gateway.get("/health").json()["background"]["notices"] == {"well": True, "failures": 0}


def test_a_background_task_that_ends_is_logged_started_again_and_shown(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In health, in the metrics, and in the log; without the text of its error."""
    add_model(engine)
    run = Notices.run
    fails = iter([True, False])

    async def run_once_in_vain(self: Notices) -> None:
        if next(fails, False):
            raise ValueError("planted-73313")
        await run(self)

    monkeypatch.setattr(Notices, "run", run_once_in_vain)
    with structlog.testing.capture_logs() as log, running_gateway(settings) as gateway:
        wait_until(lambda: gateway.services.notices.is_subscribed, what="started again")
        health = gateway.get("/health").json()
        assert health["status"] == "degraded"
        assert "background task notices" in health["reasons"][0]
        assert health["background"]["notices"] == {"well": False, "failures": 1}
        assert 'predictq_background_failures_total{task="notices"} 1.0' in gateway.get("/metrics").text
    (entry,) = (entry for entry in log if entry["event"] == "background_task_failed")
    assert (entry["task"], entry["log_level"]) == ("notices", "error")


def test_health_says_when_nothing_is_answered(gateway: Gateway, engine: Engine) -> None:
    """Not while nothing waits, and no longer when work goes on."""
    assert gateway.get("/health/ready").json() == {"status": "ok", "reasons": []}
    assert gateway.post("/v1/predict", json=ONE).status_code == 202
    ready = wait_until(lambda: _degraded(gateway), what="it is said")
    assert ready["reasons"][0].startswith("Single predictions wait for ")
    assert "predictq_stalled_seconds 0.0" not in gateway.get("/metrics").text
    answer_batches(engine)
    wait_until(lambda: gateway.get("/health/ready").json()["status"] == "ok", what="work goes on")


def test_health_and_metrics_tell_of_the_upkeep(gateway: Gateway, engine: Engine) -> None:
    """Which duty hangs or fails, without the reason, and that none ran; nothing where it never ran."""
    assert gateway.get("/health/ready").json()["status"] == "ok"
    _write_duties(engine, "now()")
    wait_until(lambda: "predictq_duty_ok{" in gateway.get("/metrics").text, what="its duties are read")
    assert gateway.get("/health/ready").json()["status"] == "ok"
    _write_duties(engine, "now() - interval '3 days'", "WHERE name = 'retention'")
    ready = wait_until(lambda: _degraded(gateway), what="it is said")
    assert ready["reasons"] == ["The upkeep is late with a duty, or one fails (retention): predictq doctor tells more"]
    figures = gateway.get("/metrics").text
    assert 'predictq_duty_ok{duty="retention"} 0.0' in figures
    assert 'predictq_duty_ok{duty="samples"} 1.0' in figures
    assert float(figures.partition('predictq_duty_age_seconds{duty="retention"} ')[2].split()[0]) > 250_000
    _write_duties(engine, "now() - interval '3 days'")
    wait_until(lambda: "not run for 3 days" in str(_degraded(gateway)), what="that none ran is said")
    _write_duties(engine, "now()")
    wait_until(lambda: gateway.get("/health/ready").json()["status"] == "ok", what="it goes on")


def _write_duties(engine: Engine, ran_at: str, which: str = "WHERE true") -> None:
    with transaction(engine) as connection:
        connection.execute(
            text(f"""INSERT INTO predictq.duties (name, ran_at, every_seconds, patience_seconds)
                     SELECT name, {ran_at}, 60, 600 FROM unnest(ARRAY['retention', 'samples']) AS d (name) {which}
                     ON CONFLICT (name) DO UPDATE SET ran_at = excluded.ran_at""")
        )


def _degraded(gateway: Gateway) -> dict[str, list[str]] | None:
    answer = gateway.get("/health/ready")
    assert answer.status_code == 200, "jobs can be accepted"
    body: dict[str, list[str]] = answer.json()
    return body if body["status"] == "degraded" else None


def test_doctor_says_when_nothing_is_answered(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do."""
    add_model(engine)
    add_clients(engine, 2)
    for name, value in (("DATABASE_URL", settings.database_url), ("REDIS_URL", settings.redis_url)):
        monkeypatch.setenv(name, value.get_secret_value())
    monkeypatch.setenv("PREDICTQ_STALL_SECONDS", "1")
    findings = {finding.name: finding for finding in examine()}
    assert findings["work"].ok
    submit_bulk(engine, [1, 2])
    age(engine)
    findings = {finding.name: finding for finding in examine()}
    assert not findings["work"].ok
    assert findings["work"].detail.startswith("Rows of bulk jobs wait for ")
    assert findings["work"].advice


def age(engine: Engine) -> None:
    """Make what is open two minutes older."""
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.prediction_batches SET created_at = created_at - interval '2 min'"))


def test_what_counts_as_standing_still(engine: Engine) -> None:
    """Old rows of a queue of which none was answered lately; not what is paused, nor plans that are being made."""
    add_model(engine)
    add_clients(engine, 3)
    assert stalls(engine) == {}
    submit_bulk(engine, [1, 2], batch_rows=1)
    assert stalls(engine) == {}, "fresh"
    age(engine)
    (seconds,) = stalls(engine).values()
    assert 115 < seconds < 600
    answer_batches(engine)
    submit_bulk(engine, [1])
    age(engine)
    assert stalls(engine) == {}, "rows of this kind have just been answered"
    with transaction(engine) as connection:
        connection.execute(text("DELETE FROM predictq.prediction_batches"))
        connection.execute(
            text("""INSERT INTO predictq.prediction_batches (queue, model_version_id, request_count)
                    VALUES ('interactive', 1, 1), ('plan', 1, 1)""")
        )
    age(engine)
    assert set(stalls(engine)) == {Queue.INTERACTIVE, Queue.PLAN}
    assert claim(engine, Queue.PLAN, worker="w", lease_seconds=60)
    assert set(stalls(engine)) == {Queue.INTERACTIVE}
    with transaction(engine) as connection:
        connection.execute(text("INSERT INTO predictq.pauses (queue, actor) VALUES ('interactive', 'me')"))
    assert stalls(engine) == {}


def stalls(engine: Engine) -> dict[Queue, float]:
    with autocommit(engine) as connection:
        return {stall.queue: stall.seconds for stall in read_stalls(connection, 60)}


@pytest.mark.parametrize("way", ["single", "bulk", "status"])
def test_a_caller_who_hangs_up_waits_no_longer(gateway: Gateway, way: str) -> None:
    """Its waiting ends within seconds, not at the end of the minute that it asked for."""
    location = gateway.post("/v1/predict", json=ONE).headers["location"]
    calls = {
        "single": ("POST", "/v1/predict", ONE),
        "bulk": ("POST", "/v1/jobs", {"client_ids": [1, 2]}),
        "status": ("GET", location, None),
    }
    method, path, asked = calls[way]
    body = b"" if asked is None else json.dumps(asked).encode()
    callers = []
    for _ in range(20):
        caller = socket.create_connection((gateway.base_url.host, gateway.base_url.port))
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.headers['authorization']}\r\n"
            f"Prefer: wait=60\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        caller.sendall(head.encode() + body)
        callers.append(caller)
    wait_until(lambda: gateway.services.waiting.open == 20, what="all wait")
    for caller in callers:
        caller.close()
    wait_until(lambda: gateway.services.waiting.open == 0, seconds=10, what="nobody waits")


def test_an_upgrade_header_leaves_no_line_in_the_log(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """The call is answered as without it."""
    with caplog.at_level(logging.WARNING, "uvicorn"):
        for protocol in ("websocket", "h2c"):
            answer = gateway.get("/health/live", headers={"Connection": "Upgrade", "Upgrade": protocol})
            assert answer.status_code == 200
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [line for line in told if "pgrade" in line or "WebSocket" in line] == []
