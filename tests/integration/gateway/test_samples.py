"""The sample queries run in psql and show what they promise."""

from __future__ import annotations

import subprocess

import pytest
from sqlalchemy import Engine, make_url

from devstack.servers.postgres import EmbeddedPostgres
from shared.config import Settings
from tests.support import (
    OWNER,
    ROOT,
    add_clients,
    add_model,
    publish,
    submit_bulk,
    submit_singles,
    wait_for_job,
    worker_process,
)


def _psql(postgres: EmbeddedPostgres, settings: Settings, script: str) -> str:
    url = make_url(settings.database_url.get_secret_value()).set(drivername="postgresql")
    command = [
        postgres.programs / "psql",
        url.render_as_string(hide_password=False),
        "-v",
        "ON_ERROR_STOP=1",
        "-f",
        script,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", ["sql/samples/newest.sql", "sql/samples/jobs.sql"])
def test_samples_read_well_on_an_empty_database(postgres: EmbeddedPostgres, settings: Settings, script: str) -> None:
    """Before anything was predicted, the queries say nothing rather than fail."""
    assert "Newest" in _psql(postgres, settings, script)


def test_newest_rows_tell_the_whole_story(postgres: EmbeddedPostgres, settings: Settings, engine: Engine) -> None:
    """The newest request, its answer, its trace and what is open are there to read."""
    add_model(engine)
    add_clients(engine, 3)
    with worker_process(settings):
        (accepted,) = submit_singles(engine, [2])
        publish(settings, accepted)
        wait_for_job(engine, accepted.job_id)
    waiting = submit_bulk(engine, [1])
    newest = _psql(postgres, settings, "sql/samples/newest.sql")
    requests, answers, traces, trace = newest.split("Newest")[1:3] + newest.split("Newest traces")[1].split(
        "The newest"
    )
    assert str(accepted.job_id) in requests
    assert str(waiting.job_id) in requests
    for part in (answers, traces, trace):
        assert str(accepted.request_id) in part
    assert f"predictq trace {accepted.request_id}" in trace
    assert "version_digest" in trace
    jobs = _psql(postgres, settings, "sql/samples/jobs.sql")
    assert "succeeded" in jobs
    assert "queued" in jobs
    assert OWNER in jobs.split("Waiting")[1]
