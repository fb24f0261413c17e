"""Models, health, metrics, documents, errors nobody foresaw, and the end of the process."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import Engine, text

from api.routes import health
from api.watch import stall_watch
from shared.config import Settings
from shared.errors import DatabaseUnavailable
from shared.postgres.schema import SCHEMA_REVISION, VERSION_TABLE
from sql.migrate import head_revision
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.support import ROOT, add_clients, add_model, environment, wait_until

ONE = {"client_id": 1}


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with a live model and clients 1…10, called by alice."""
    add_model(engine)
    add_clients(engine, 10)
    with running_gateway(settings, new_key(engine, "alice")) as client:
        yield client


def test_models_are_listed_and_promoted_by_admins_only(gateway: Gateway, engine: Engine) -> None:
    """The live version is the one that new jobs are pinned to; accepted jobs keep theirs."""
    add_model(engine, promote=False)
    old = gateway.post("/v1/predict", json=ONE).json()
    (model,) = gateway.get("/v1/models").json()["models"]
    assert (model["name"], model["live_version"], model["versions"], model["is_default"]) == ("default", 1, 2, True)
    versions = gateway.get("/v1/models/default").json()["all_versions"]
    assert [(version["version"], version["is_live"]) for version in versions] == [(2, False), (1, True)]
    assert gateway.post("/v1/models/default/promote").json()["type"] == "/problems/forbidden"
    admin = bearer(new_key(engine, "root", is_admin=True))
    promoted = gateway.post("/v1/models/default/promote", headers=admin)
    assert (promoted.status_code, promoted.json()["version"], promoted.json()["is_live"]) == (200, 2, True)
    first = gateway.get("/v1/models/default/versions/1").json()
    assert first["signature"]["features"][0]["name"] == "age"
    assert gateway.post("/v1/predict", json=ONE).json()["model_version"] == 2
    assert gateway.get(f"/v1/jobs/{old['id']}").json()["model_version"] == 1
    back = gateway.post("/v1/models/default/rollback", headers=admin).json()
    assert (back["version"], back["is_live"]) == (1, True)
    for path in ("/v1/models/nobody", "/v1/models/nobody/versions/1"):
        assert gateway.get(path).json()["type"] == "/problems/model-unknown"
        assert gateway.post(f"{path}/promote", headers=admin).json()["type"] == "/problems/model-unknown"
    for number in ("3", "nonsense", "9" * 10, "9" * 20, "001", "+1", "1.0", "-1", "0", "%D9%A1"):
        path = f"/v1/models/default/versions/{number}"
        for answer in (gateway.get(path), gateway.post(f"{path}/promote", headers=admin)):
            assert (answer.status_code, answer.json()["type"]) == (404, "/problems/model-version-unknown")
    for request_id in ("-1", "1", "1-", "01-0", "9" * 19 + "-0", "1-9999999", "%D9%A1-0", "x"):
        answer = gateway.get(f"/v1/predictions/{request_id}")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/prediction-unknown")


def test_health_tells_what_is_wrong(gateway: Gateway, engine: Engine) -> None:
    """A schema of another release, or none, is not ready, and what to do is said."""
    wait_until(lambda: gateway.get("/health/ready").json() == {"status": "ok", "reasons": []}, what="ready")
    gateway.post("/v1/jobs", json={"client_ids": [1] * 10})
    gateway.post("/v1/jobs", json={"all": True})
    wait_until(lambda: gateway.get("/health").json()["queues"]["plan"]["queued_batches"] == 1, what="sampled")
    assert gateway.get("/health").json()["queues"]["bulk"]["waiting_rows"] == 10
    for statement, reason in (
        (f"UPDATE {VERSION_TABLE} SET version_num = '0001'", "at schema 0001"),
        (f"DROP TABLE {VERSION_TABLE} CASCADE", "at schema none"),
    ):
        with engine.begin() as connection:
            connection.execute(text(statement))
        ready = gateway.get("/health/ready")
        assert ready.status_code == 503
        assert reason in ready.json()["reasons"][0]
        assert "run predictq migrate" in ready.json()["reasons"][0]


def test_health_says_that_the_last_look_is_old(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found long ago is no sign of health."""
    monkeypatch.setattr(health, "OLD_SECONDS", 10.0)
    wait_until(lambda: gateway.get("/health/ready").json() == {"status": "ok", "reasons": []}, what="ready")

    def fail(*_: object) -> None:
        raise DatabaseUnavailable(OSError())

    monkeypatch.setattr(stall_watch, "read_stalls", fail)
    found = wait_until(lambda: gateway.get("/health/ready").json()["reasons"], what="a word")
    assert found[0].startswith("Whether work stands still is not known: the last look was 1")
    assert gateway.get("/health/ready").json()["status"] == "degraded"


def test_no_live_model_is_a_note(gateway: Gateway, engine: Engine) -> None:
    """The service is as it should be, only nobody has promoted a model: no reason to take it out of the balancer."""
    wait_until(lambda: gateway.get("/health/ready").json()["reasons"] == [], what="ready")
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.models SET live_version_id = NULL"))
    ready = gateway.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    assert "No model is live" in ready.json()["reasons"][0]
    assert gateway.post("/v1/predict", json=ONE).json()["type"] == "/problems/no-live-model"


def test_the_schema_revision_is_the_newest() -> None:
    """The gateway compares text, so that it need not load the migrations."""
    assert head_revision() == SCHEMA_REVISION


def test_metrics_count_calls_jobs_and_what_waits(gateway: Gateway) -> None:
    """By route and status, never by path."""
    gateway.post("/v1/predict", json=ONE)
    gateway.post("/v1/predict", json={})
    gateway.post("/v1/jobs", json={"client_ids": [1] * 10})
    gateway.get("/v1/jobs/00000000-0000-0000-0000-000000000000")
    gateway.get("/nowhere/12345")
    wait_until(lambda: 'predictq_waiting_rows{queue="bulk"} 10.0' in gateway.get("/metrics").text, what="sampled")
    metrics = gateway.get("/metrics").text
    for line in (
        'predictq_jobs_accepted_total{kind="single"} 1.0',
        'predictq_rows_accepted_total{kind="bulk"} 10.0',
        'predictq_http_request_seconds_count{method="POST",route="/v1/predict",status="202"} 1.0',
        'predictq_http_request_seconds_count{method="POST",route="/v1/predict",status="422"} 1.0',
        'predictq_http_request_seconds_count{method="GET",route="/v1/jobs/{job_id}",status="404"} 1.0',
        'predictq_http_request_seconds_count{method="GET",route="unmatched",status="404"} 1.0',
        'predictq_batches{queue="interactive",state="queued"} 1.0',
    ):
        assert line in metrics
    assert "12345" not in metrics


def test_the_documents_describe_every_call(gateway: Gateway) -> None:
    """With examples that work as they stand, and a scheme to authorise with."""
    document = gateway.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["API key"]["scheme"] == "bearer"
    calls = {(method, path) for path, item in document["paths"].items() for method in item}
    assert {("post", "/v1/predict"), ("get", "/v1/jobs/{job_id}/results"), ("get", "/metrics")} <= calls
    for path in ("/v1/predict", "/v1/jobs"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        for media_type, body in content.items():
            examples = [body["example"]] if "example" in body else [item["value"] for item in body["examples"].values()]
            for example in examples:
                sent: dict[str, Any] = {"content": example}
                if not isinstance(example, str):
                    sent = {"json": example}
                answer = gateway.post(path, **sent, headers={"Content-Type": media_type})
                assert answer.status_code in (202, 422), (path, example, answer.text)
    assert len(gateway.get("/problems").json()["problems"]) > 15
    assert gateway.get("/problems/nonsense").status_code == 404


def test_the_page_for_people_needs_no_internet(gateway: Gateway) -> None:
    """Every file that /docs loads comes from the gateway itself, and nothing beside these files can be had."""
    page = gateway.get("/docs")
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 4
    assert "://" not in page.text
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self';" in policy
    assert (page.headers["x-content-type-options"], page.headers["x-frame-options"]) == ("nosniff", "DENY")
    assert not re.search(r"<script[^>]*>[^<]", page.text)
    for link in links:
        answer = gateway.get(link)
        assert answer.status_code == 200
        assert answer.content
    for path in ("/docs/assets/nothing.js", "/docs/assets/../__init__.py", "/docs/assets/%2e%2e/__init__.py"):
        assert gateway.get(path).json()["type"] == "/problems/not-found"
    assert gateway.put(links[0]).headers["allow"] == "GET, HEAD"


def test_a_request_id_is_kept_if_it_is_sane(gateway: Gateway) -> None:
    """Taken from the caller, else made; never one that could break a log or a header."""
    assert gateway.get("/health/live", headers={"X-Request-ID": "abc-123"}).headers["x-request-id"] == "abc-123"
    made = {gateway.get("/health/live", headers={"X-Request-ID": bad}).headers["x-request-id"] for bad in ("a b", "")}
    assert len(made) == 2


def test_unknown_paths_and_methods_are_problems(gateway: Gateway) -> None:
    """404 and 405 look like every other error."""
    for method, path, status in (("GET", "/nowhere", 404), ("PUT", "/v1/predict", 405), ("GET", "/v1/predict/", 404)):
        answer = gateway.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
    for path, methods in (("/v1/predict", "POST"), ("/v1/jobs", "GET, HEAD, POST"), ("/health", "GET, HEAD")):
        answer = gateway.put(path)
        assert answer.headers["allow"] == methods
        assert methods in answer.json()["detail"]


def test_head_is_get_without_the_body(gateway: Gateway, engine: Engine) -> None:
    """For load balancers, and for whoever wants the headers alone; a stream of results is not read for it."""
    location = gateway.post("/v1/jobs", json={"all": True}).headers["location"]
    answer_batches(engine)
    for path in ("/health/live", "/health/ready", "/health", "/metrics", "/v1/jobs", location, f"{location}/results"):
        found, asked = gateway.get(path), gateway.head(path)
        assert (asked.status_code, asked.content) == (found.status_code, b"")
        assert asked.headers["content-type"] == found.headers["content-type"]
    with structlog.testing.capture_logs() as log:
        table = gateway.head(f"{location}/results", headers={"Accept": "text/csv"})
    assert (table.status_code, table.headers["x-predictq-complete"]) == (200, "true")
    assert [entry for entry in log if entry["event"] == "unexpected_error"] == []
    assert gateway.head("/v1/predict").status_code == 405
    assert gateway.head("/nowhere").status_code == 404
    line = 'predictq_http_request_seconds_count{method="HEAD",route="/v1/jobs/{job_id}/results",status="200"} 2.0'
    wait_until(lambda: line in gateway.get("/metrics").text, what="both counted, the stream once its COPY has ended")


@pytest.mark.parametrize("path", ["/v1/jobs/00000000-0000-0000-0000-000000000000", "/v1/jobs"])
def test_an_error_nobody_foresaw_is_a_problem_and_in_the_log(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """500 with the request id, under which the log has the traceback; the caller sees no more than that."""

    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("api.jobs.statuses.Statuses.read", fail)
    monkeypatch.setattr("api.server.database_threads.DatabaseThreads.read", fail)
    with structlog.testing.capture_logs() as log:
        answer = gateway.get(path)
    assert [entry["request_id"] for entry in log if entry["event"] == "unexpected_error"] == [
        answer.headers["x-request-id"]
    ]
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal-error")
    assert answer.headers["x-request-id"] in answer.json()["detail"]
    assert "secret" not in answer.text


def test_sigterm_lets_open_calls_end(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    """A caller who waits gets a 202 at once, what was accepted stays, and the process ends with success."""
    add_model(engine)
    add_clients(engine, 1)
    place = tmp_path / "api.sock"  # a port that is free now may be somebody else's in a moment
    headers = {**bearer(new_key(engine, "alice")), "Prefer": "wait=60"}
    with (
        httpx.Client(transport=httpx.HTTPTransport(uds=str(place)), base_url="http://gateway", timeout=30) as client,
        child([sys.executable, "-m", "api", "--uds", str(place)], settings) as process,
    ):

        def is_ready() -> bool:
            assert process.poll() is None, process.communicate()[1].decode()
            return place.exists() and client.get("/health/ready").status_code == 200

        wait_until(is_ready, seconds=60, what="the gateway is ready")
        with ThreadPoolExecutor(1) as caller:
            call = caller.submit(client.post, "/v1/predict", json=ONE, headers=headers)
            wait_until(
                lambda: "predictq_open_waiters 1.0" in client.get("/metrics", headers=headers).text,
                what="somebody waits",
            )
            process.send_signal(signal.SIGTERM)
            assert call.result().status_code == 202
        _, log = process.communicate(timeout=30)
        assert process.returncode == 0, log.decode()


@contextlib.contextmanager
def child(command: list[str], settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the test."""
    with subprocess.Popen(command, cwd=ROOT, env=environment(settings), stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_settings_that_do_not_work_are_named(settings: Settings) -> None:
    """The process ends with the name of the variable."""
    broken = {**environment(settings), "DATABASE_URL": "mysql://x"}
    result = subprocess.run([sys.executable, "-m", "api"], cwd=ROOT, env=broken, capture_output=True, text=True)
    assert result.returncode == 1
    assert "DATABASE_URL must start with" in result.stderr
