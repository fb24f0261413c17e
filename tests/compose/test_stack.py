"""What the compose file promises, proved on a real engine."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.compose.engine import CommandFailed, inspect, processes, run, statuses
from tests.compose.stack import CLIENTS, ROWS_PER_WORKER, SERVING, Stack, moment, say, started_at
from tests.support import wait_until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

HEAVY = ("numpy", "pandas", "scipy", "sklearn", "pyarrow", "joblib")
_HOW_CLOSED = "from worker.closed.process import how_closed; print(how_closed())"
_LIST = "import importlib.metadata as m; print(*(d.name.lower() for d in m.distributions()))"


def test_gateway_image_holds_no_scientific_library(stack: Stack) -> None:
    """Nothing of the model's libraries is installed in the gateway's image, nor can it be imported."""
    installed = run("docker", "run", "--rm", stack.image("api"), "python", "-c", _LIST).split()
    assert "fastapi" in installed
    assert not {*HEAVY, "scikit-learn"} & set(installed)
    for name in HEAVY:
        with pytest.raises(CommandFailed, match=f"No module named '{name}'"):
            run("docker", "run", "--rm", stack.image("api"), "python", "-c", f"import {name}")


def test_nothing_runs_as_root(stack: Stack) -> None:
    """Every serving process belongs to an ordinary user, and ours cannot write to their image."""
    for service in SERVING:
        (container,) = stack.containers(service)
        if service == "postgres":  # its entry script starts as root, under init, and hands over to the server
            users = {process.user for process in processes(container) if process.command.startswith("postgres")}
        else:
            users = {process.user for process in processes(container)}
            with pytest.raises(CommandFailed, match="Read-only file system"):
                run("docker", "exec", container, "touch", "/here")
        assert users
        assert 0 not in users


def test_the_engine_was_asked_for_every_limit(stack: Stack) -> None:
    """What runs is what the compose file says: read-only, no capability, no new privileges, limits of all kinds."""
    for service in SERVING:
        (container,) = stack.containers(service)
        host = inspect(container)["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert len(host["CapAdd"] or []) == (5 if service == "postgres" else 0), service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert host["Memory"] > 0, service
        assert 0 < host["PidsLimit"] <= 512, service
        assert not host["Privileged"], service


def test_no_process_has_a_capability_or_can_get_one(stack: Stack) -> None:
    """The kernel says so of the server in each container, PostgreSQL's too once its entry script has handed over."""
    for service in SERVING:
        (container,) = stack.containers(service)
        for status in statuses(container):
            assert status["CapEff"] == "0" * 16, (service, status["Name"])
            assert status["NoNewPrivs"] == "1", (service, status["Name"])


def test_a_model_is_opened_closed_in_there_too(stack: Stack) -> None:
    """The engine's own rules leave a worker what it needs to close in the process that opens a file."""
    said = run("docker", "exec", stack.containers("worker")[0], "python", "-c", _HOW_CLOSED)
    assert "no network, no secrets" in said


def test_passwords_stay_off_the_command_lines(stack: Stack) -> None:
    """Neither the engine's list nor the processes' shows a secret."""
    shown = run("docker", "ps", "-a", "--no-trunc")
    for service in SERVING:
        shown += "\n".join(process.command for process in processes(stack.containers(service)[0]))
    assert not [secret for secret in stack.secrets.values() if secret in shown]


def test_schema_is_migrated_before_the_service_starts(stack: Stack) -> None:
    """The migrate step ended well, and before the gateway and the worker started."""
    (migrate,) = stack.containers("migrate")
    state = json.loads(run("docker", "inspect", "-f", "{{json .State}}", migrate))
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)
    for service in ("api", "worker"):
        assert started_at(stack.containers(service)[0]) >= moment(state["FinishedAt"])


def test_single_prediction_with_wait(stack: Stack) -> None:
    """A prediction asked for with `Prefer: wait` comes back in the same call, with its result."""
    status, job = stack.call("POST", "/v1/predict", {"client_id": 17}, Prefer="wait=30")
    assert (status, job["status"]) == (200, "succeeded")
    assert 0 <= job["result"]["probability"] <= 1
    assert job["result"]["label"] in (0, 1)


def test_four_workers_share_a_bulk_job(stack: Stack) -> None:
    """After `--scale worker=4` a bulk job is scored by all four, each row once."""
    stack.compose("up", "-d", "--no-recreate", "--scale", "worker=4", seconds=300)
    wait_until(lambda: len(flower_workers(stack)) == 4, seconds=120, what="four workers in Flower")
    start = time.monotonic()
    _, job = stack.call("POST", "/v1/jobs", {"all": True})
    job = wait_until(lambda: finished(stack, job["id"]), seconds=120, what="end of the bulk job")
    seconds = time.monotonic() - start
    assert job["status"] == "succeeded"
    assert job["request_counts"] == {"total": CLIENTS, "succeeded": CLIENTS, "failed": 0, "cancelled": 0}
    rows = rows_per_worker(stack, job["id"])
    say(f"{CLIENTS:,} rows in {seconds:.1f} s ({CLIENTS / seconds:,.0f} rows/s) by: {dict(rows)}")
    assert len(rows) == 4
    assert sum(rows.values()) == CLIENTS


def test_flower_asks_for_its_password_and_knows_the_task(stack: Stack) -> None:
    """Flower shows nothing without the password, and with it the workers and what they can do."""
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(stack.flower_url + "/api/workers", timeout=10)
    workers = wait_until(lambda: flower_workers(stack), seconds=60, what="workers in Flower")
    assert all("active_queues" in worker for worker in workers.values())


def test_restart_keeps_jobs_and_is_ready_soon(stack: Stack) -> None:
    """After `down` and `up` the model, the clients and the jobs are there, and the gateway takes requests."""
    _, job = stack.call("POST", "/v1/predict", {"client_id": 18}, Prefer="wait=30")
    stack.compose("--profile", "tools", "down", seconds=300)
    stack.start()
    _, again = stack.call("GET", f"/v1/jobs/{job['id']}")
    assert again["result"] == job["result"]
    (api,) = stack.containers("api")
    run("docker", "stop", api)
    run("docker", "start", api)
    wait_until(lambda: answers(f"{stack.api_url}/health/ready"), seconds=60, what="readiness")
    ready = (datetime.now(UTC) - started_at(api)).total_seconds()
    say(f"gateway ready {ready:.1f} s after its container started, with {resident_mb(api):.0f} MB resident")


def finished(stack: Stack, job_id: str) -> dict[str, Any] | None:
    """The job when it has ended."""
    _, job = stack.call("GET", f"/v1/jobs/{job_id}", Prefer="wait=10")
    return job if job["status"] not in ("queued", "running") else None


def rows_per_worker(stack: Stack, job_id: str) -> Counter[str]:
    """How many rows each container answered, by the name it gave to PostgreSQL."""
    found = stack.query(ROWS_PER_WORKER.replace(":job_id", f"'{job_id}'"))
    return Counter({worker: int(rows) for worker, rows in found})


def flower_workers(stack: Stack) -> dict[str, Any]:
    """The workers that consume, as Flower sees them now."""
    word = base64.b64encode(f"predictq:{stack.secrets['FLOWER_PASSWORD']}".encode()).decode()
    url = stack.flower_url + "/api/workers?refresh=1"
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {word}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        workers: dict[str, Any] = json.load(response)
    return {name: worker for name, worker in workers.items() if worker.get("active_queues")}


def answers(url: str) -> bool:
    """Whether a URL answers 200 now."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:  # not up yet; HTTPError, for 503, is one of these
        return False


def resident_mb(container: str) -> float:
    """The resident memory of a container's largest process."""
    return max(process.resident_kb for process in processes(container)) / 1024
