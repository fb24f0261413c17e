"""A source elsewhere that does not answer any more: the work of other models goes on as if it were not there."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from model.artefact import build_artefact
from model.registration import new_version
from shared.config import Settings
from shared.models.registry import promote_version, register_version
from shared.postgres.engine import autocommit, transaction
from shared.sources.description import source_from
from shared.sources.source import add_source
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.integration.sources.source_support import connect
from tests.models import SIGNATURE, TestModel
from tests.support import OWNER, add_clients, add_model, wait_until, worker_process
from worker.sources.describing.description import describe

_CALLS = 100  # for the model whose source is there
_P99_SECONDS = 8.0  # on a busy machine; a source that is gone is given up on after longer than that
_TABLE = """
CREATE TABLE things (k integer PRIMARY KEY, age integer, monthly_income integer, department text, over_time boolean);
INSERT INTO things SELECT n, 30, 7, 'Sales', true FROM generate_series(1, 100) n
"""


@pytest.fixture
def gone(engine: Engine, make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A live model `far`, whose source was in a server that takes connections by now, and never says a word."""
    driver = connect(make_database(migrated=False).replace("+psycopg2", ""))
    driver.cursor().execute(_TABLE)
    driver.commit()
    found = describe(driver, "things")
    driver.close()
    with transaction(engine) as connection:
        source = add_source(connection, source_from("things", "FAR_URL", found))
        version = new_version(build_artefact(TestModel(), SIGNATURE, 0.5, name="far"), model="far", source_id=source.id)
        promote_version(connection, register_version(connection, version).id)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        monkeypatch.setenv("FAR_URL", f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/d")
        yield


@pytest.mark.usefixtures("gone")
def test_a_source_that_is_gone_slows_no_other_model(engine: Engine, settings: Settings) -> None:
    """Single and bulk calls for its model come all the while, and wait; of the others 99 in 100 are quick."""
    add_clients(engine, 50)
    add_model(engine)
    with running_gateway(settings, new_key(engine, OWNER)) as gateway, worker_process(settings, concurrency=2):
        wait_until(lambda: _is_there(engine, "SELECT FROM predictq.workers"), what="a worker")
        wait_until(lambda: _seconds(gateway) < _P99_SECONDS, what="a worker that answers")
        with ThreadPoolExecutor(2) as callers:
            calling = [callers.submit(_call_far, gateway, path) for path in ("/v1/predict", "/v1/jobs")]
            away = "SELECT FROM predictq.sources WHERE away_since IS NOT NULL"
            wait_until(lambda: _is_there(engine, away), what="the source found away")
            seconds = sorted(_seconds(gateway) for _ in range(_CALLS))
            waiting = [call.result() for call in calling]
        assert seconds[_CALLS * 99 // 100 - 1] < _P99_SECONDS, seconds[-5:]
        statuses = {gateway.get(f"/v1/jobs/{job}").json()["status"] for jobs in waiting for job in jobs}
    assert statuses <= {"queued", "running"}


def _seconds(gateway: Gateway) -> float:
    """How long a call for the other model takes, until its answer is there."""
    started = time.monotonic()
    job = gateway.post("/v1/predict", json={"client_id": 7, "model": "default"}, headers={"Prefer": "wait=30"}).json()
    assert job["status"] == "succeeded", job
    return time.monotonic() - started


def _call_far(gateway: Gateway, path: str) -> list[str]:
    jobs = []
    for number in range(1, 41):
        key = {"client_id": number} if path == "/v1/predict" else {"client_ids": list(range(1, number + 1))}
        answer = gateway.post(path, json={**key, "model": "far"})
        assert answer.status_code == 202, answer.text
        jobs.append(str(answer.json()["id"]))
        time.sleep(0.1)
    return jobs


def _is_there(engine: Engine, query: str) -> bool:
    with autocommit(engine) as connection:
        return bool(connection.execute(text(f"SELECT EXISTS ({query})")).scalar_one())
