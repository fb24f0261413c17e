"""A running stack: what it tells, whom it refuses, what heals by itself, and what joins from another terminal."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import psutil

from devstack.servers.ports import free_port, is_free
from tests.e2e.support import PREDICTQ, Up, command_of, environment, predictq
from tests.support import wait_until


def test_up_prints_addresses_a_key_and_a_call_that_works(up: Up) -> None:
    """What is on the screen is enough to make the first prediction by copy and paste."""
    text = up.log.read_text()
    state = up.state
    for expected in (state["api_url"] + "/docs", state["flower_url"], state["api_key"], "predictq worker", "Ctrl-C"):
        assert expected in text
    assert re.search(r"PostgreSQL 18\.\d+, Valkey 9\.\d+\.\d+, schema", text)
    (line,) = (line for line in text.splitlines() if line.startswith("curl "))
    if shutil.which("curl"):
        answer = json.loads(subprocess.run(shlex.split(line), capture_output=True, check=True, timeout=30).stdout)
        assert answer["status"] == "succeeded"
    assert "\x1b" not in text


def test_secrets_are_kept_from_other_users(up: Up) -> None:
    """Key and passwords are in files of their owner alone, and on no command line."""
    directory = up.directory / ".predictq"
    for name in ("stack.json", "api-key"):
        assert (directory / name).stat().st_mode & 0o077 == 0
    logs = [up.directory / ".predictq" / place for place in ("postgres/postgres.log", "redis/redis.log")]
    for log in (*logs, *(directory / "logs").iterdir()):
        assert log.stat().st_mode & 0o077 == 0, log
    state = up.state
    password = state["redis_url"].split("@")[0].rpartition(":")[2]
    for process in up.family():
        command = " ".join(command_of(process))
        assert password not in command
        assert state["api_key"] not in command
        assert state["flower_password"] not in command


def test_nothing_listens_for_other_machines(up: Up) -> None:
    """Gateway, servers, Flower and the metrics of workers are reached from this machine alone."""
    places = {
        one.laddr.ip
        for process in up.family()
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    }
    assert places == {"127.0.0.1"}
    assert '"metrics_port"' in (up.directory / ".predictq" / "logs" / "worker.log").read_text()


def test_a_stack_is_found_from_anywhere_by_its_directory(up: Up, tmp_path: Path) -> None:
    """Whatever the place and the environment are of."""
    directory = ("--directory", str(up.directory / ".predictq"))
    away = {"DATABASE_URL": "postgresql+psycopg2://a:b@127.0.0.1:1/c", "PREDICTQ_API_URL": "http://127.0.0.1:1"}
    for command in (["jobs"], ["keys", "list"], ["doctor"], ["models"], ["predict", "1", "--wait"]):
        result = predictq(tmp_path, *command, *directory, **away)
        assert result.returncode == 0, result.stdout + result.stderr
    assert predictq(tmp_path, "url", *directory).stdout.strip() == up.state["api_url"]
    assert "nothing runs in" in predictq(tmp_path, "jobs", "--directory", str(tmp_path)).stderr


def test_psql_opens_a_shell_on_the_stacks_database(up: Up, tmp_path: Path) -> None:
    """With the embedded psql, and with the machine's where it has one. Tables are found by their names."""
    embedded = {"PATH": str(tmp_path)}
    for path in (embedded, *([{}] if shutil.which("psql") else [])):
        for table in ("jobs", "clients"):
            result = up.run("psql", "-At", "-c", f"SELECT count(*) > 0 FROM {table}", **path)
            assert (result.returncode, result.stdout) == (0, "t\n"), result.stderr
        piped = up.run("psql", text="SELECT current_user;\n", **path)
        assert (piped.returncode, "predictq" in piped.stdout) == (0, True), piped.stderr


def test_what_is_made_in_the_shell_stays_there(up: Up) -> None:
    """A table of everyday's name hides none of predictq's, lies where sources may be, and keeps its rights."""
    made = up.run(
        "psql",
        "-v",
        "ON_ERROR_STOP=1",
        text="""DROP TABLE IF EXISTS jobs, erasures;
        CREATE TABLE samples AS SELECT g AS id, g * 2 AS age FROM generate_series(1, 50) g;
        ALTER TABLE samples ADD PRIMARY KEY (id);""",
    )
    assert "because other objects depend on" in made.stderr
    made = up.run(
        "psql",
        "-v",
        "ON_ERROR_STOP=1",
        text="""DROP TABLE IF EXISTS samples_of_mine;
        CREATE TABLE samples AS SELECT g AS id, g * 2 AS age FROM generate_series(1, 50) g;
        ALTER TABLE samples ADD PRIMARY KEY (id);""",
    )
    assert made.returncode == 0, made.stderr
    added = up.run("sources", "add", "mine", "--table", "samples")
    assert (added.returncode, "public.samples: 50 rows" in added.stdout) == (0, True), added.stderr
    for _ in range(2):
        checked = up.run("sources", "check", "mine")
        assert checked.returncode == 0, checked.stderr
        assert up.run("migrate").returncode == 0
    assert up.run("sources", "remove", "mine").returncode == 0
    assert up.run("psql", "-c", "DROP TABLE samples").returncode == 0
    assert "no place for a table of yours" in up.refused("sources", "add", "mine", "--table", "predictq.models")


def test_a_second_stack_in_the_same_directory_is_refused(up: Up) -> None:
    """Two stacks must not share their data; the first one is named and goes on."""
    assert f"process {up.process.pid}" in up.refused("up")
    assert up.process.poll() is None


def test_a_taken_port_is_refused(up: Up, tmp_path: Path) -> None:
    """A port that was asked for is not silently another one."""
    port = up.state["api_url"].rpartition(":")[2]
    assert not is_free(int(port))
    assert f"port {port}" in up.refused("up", "--port", port, "--directory", str(tmp_path / "other"))


def test_a_killed_child_is_started_again(up: Up) -> None:
    """A crash of the worker or the gateway is told, and cures itself."""
    for module, command in (("worker", ["predict", "1", "--wait"]), ("api", ["jobs"])):
        (child,) = up.children_named(module)
        child.send_signal(signal.SIGKILL)
        wait_until(lambda m=module, c=child: [p for p in up.children_named(m) if p.pid != c.pid], seconds=30)
        wait_until(lambda c=command: up.run(*c).returncode == 0, seconds=60, what=f"{module} after a crash")
    assert "worker crashed" in up.log.read_text()
    assert "gateway crashed" in up.log.read_text()


def test_a_worker_joins_takes_work_and_its_death_loses_nothing(up: Up) -> None:
    """The line that `up` prints shares the load, from anywhere; killed, its batches are scored again."""
    (line,) = (line for line in up.log.read_text().splitlines() if line.startswith("One more worker"))
    printed = shlex.split(line.partition(": ")[2])
    assert printed[:2] == ["predictq", "worker"]
    printed[0] = PREDICTQ
    with (up.directory / "second.log").open("wb") as log:
        second = subprocess.Popen(
            [*printed, "--concurrency", "1", "--name", "second"],
            cwd="/", env=environment(PREDICTQ_LEASE_SECONDS="2"), stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_until(lambda: "second@" in up.run("doctor").stdout, seconds=60, what="the second worker's answer")

        def second_has_worked() -> bool:
            job = up.ask("bulk", "--all", "--watch")
            first = up.run("results", job["id"], "--json").stdout.splitlines()[::200]
            return any(
                up.ask("trace", str(json.loads(row)["request_id"]))["worker"].startswith("second@") for row in first[:8]
            )

        wait_until(second_has_worked, seconds=60, what="work done by the second worker")
        jobs = [up.ask("bulk", "--all") for _ in range(5)]
    finally:
        second.kill()
        second.wait(30)
    for job in jobs:
        ended = up.ask("job", job["id"], "--watch")
        assert ended["request_counts"]["succeeded"] == ended["request_counts"]["total"]
    findings = {finding["name"]: finding for finding in up.ask("doctor")}
    assert findings["rows"]["ok"], findings["rows"]
    assert "0 in flight" in findings["rows"]["detail"]


def test_a_second_gateway_serves_the_same_jobs(up: Up) -> None:
    """`predictq api` is one more way into the same stack."""
    job = up.ask("predict", "1", "--wait")
    port = free_port()
    with (up.directory / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [PREDICTQ, "api", "--port", str(port)], cwd=up.directory, env=environment(), stdout=log, stderr=log
        )
    try:
        there = {"PREDICTQ_API_URL": f"http://127.0.0.1:{port}", "PREDICTQ_API_KEY": up.state["api_key"]}
        wait_until(lambda: up.run("job", job["id"], **there).returncode == 0, seconds=30, what="the second gateway")
    finally:
        process.terminate()
        assert process.wait(30) in (0, -signal.SIGTERM)
