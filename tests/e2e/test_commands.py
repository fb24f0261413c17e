"""Every command against one running stack, as a user types it."""

from __future__ import annotations

import csv
import io
import json
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest
from sklearn.linear_model import LogisticRegression

from cli.embedded.ports import free_port, is_free
from shared.features import CLIENT_FEATURE_NAMES
from tests.e2e.support import PREDICTQ, Up, command_of, environment, running_up
from tests.support import wait_until

CLIENTS = 3000


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    directory = tmp_path_factory.mktemp("stack")
    with running_up(directory, "--sample", str(CLIENTS), "--workers", "2") as up:
        yield up


def test_up_prints_addresses_a_key_and_a_call_that_works(up: Up) -> None:
    """What is on the screen is enough to make the first prediction by copy and paste."""
    text = up.log.read_text()
    state = up.state
    for expected in (state["api_url"] + "/docs", state["flower_url"], state["api_key"], "predictq worker", "Ctrl-C"):
        assert expected in text
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
    state = up.state
    password = state["redis_url"].split("@")[0].rpartition(":")[2]
    for process in up.family():
        command = " ".join(command_of(process))
        assert password not in command
        assert state["api_key"] not in command


def test_a_second_stack_in_the_same_directory_is_refused(up: Up) -> None:
    """Two stacks must not share their data; the first one is named and goes on."""
    assert f"process {up.process.pid}" in up.refused("up")
    assert up.process.poll() is None


def test_a_taken_port_is_refused(up: Up, tmp_path: Path) -> None:
    """A port that was asked for is not silently another one."""
    port = up.state["api_url"].rpartition(":")[2]
    assert not is_free(int(port))
    assert f"port {port}" in up.refused("up", "--port", port, "--directory", str(tmp_path / "other"))


def test_predict_waits_for_probability_label_and_threshold(up: Up) -> None:
    """One client, one answer; for people and for programs."""
    job = up.ask("predict", "5", "--wait")
    assert job["status"] == "succeeded"
    assert job["result"]["label"] == int(job["result"]["probability"] >= job["result"]["threshold"])
    told = up.run("predict", "5", "--wait")
    assert f"client 5: probability {job['result']['probability']:.4f}" in told.stdout
    not_waited = up.run("predict", "5")
    assert (not_waited.returncode, "job " in not_waited.stdout) == (0, True)
    assert "There is no client 999999" in up.refused("predict", "999999", "--wait")


def test_predict_raw_scores_what_it_is_given(up: Up, tmp_path: Path) -> None:
    """The features of a stored client, given in the call, get that client's answer."""
    stored = up.ask("predict", "7", "--wait")
    features = up.ask("trace", str(stored["request_id"]))["features"]
    path = tmp_path / "features.json"
    path.write_text(json.dumps(features))
    given = up.ask("predict-raw", "--features", str(path), "--wait")
    assert given["result"]["probability"] == stored["result"]["probability"]
    piped = up.ask("predict-raw", "--features", "-", "--wait", text=json.dumps({"features": features}))
    assert piped["result"] == given["result"]
    assert "age" in up.refused("predict-raw", "--features", "-", text=json.dumps({**features, "age": "old"}))
    assert "not JSON" in up.refused("predict-raw", "--features", "-", text="{")
    assert "object" in up.refused("predict-raw", "--features", "-", text="[1]")


def test_bulk_by_filter_and_of_all_clients(up: Up) -> None:
    """A bulk job scores what was selected, and says how fast."""
    everyone = up.ask("bulk", "--all", "--watch")
    assert everyone["status"] == "succeeded"
    assert everyone["request_counts"]["total"] == everyone["request_counts"]["succeeded"] >= CLIENTS
    some = up.run("bulk", "--where", "department=Sales", "--where", "over_time=true", "--watch")
    assert some.returncode == 0
    assert "rows/s" in some.stdout
    assert "shoe_size" in up.refused("bulk", "--where", "shoe_size=44")


def test_bulk_by_file_keeps_order_and_states_row_errors(up: Up, tmp_path: Path) -> None:
    """Answers come in the order of the file; a client that is not there is a row's error, not the job's."""
    ids = [9, 3, 999_999, 5]
    as_csv, as_ndjson = tmp_path / "ids.csv", tmp_path / "ids.ndjson"
    as_csv.write_text("client_id\n" + "".join(f"{number}\n" for number in ids))
    as_ndjson.write_text("".join(f"{number}\n" for number in ids))
    for arguments, text in ((str(as_csv), None), (str(as_ndjson), None), ("-", as_csv.read_text())):
        job = up.ask("bulk", "--ids", arguments, "--watch", text=text)
        assert job["request_counts"] == {"total": 4, "succeeded": 3, "failed": 1, "cancelled": 0}
    output = tmp_path / "results.csv"
    assert up.run("results", job["id"], "-o", str(output)).returncode == 0
    rows = list(csv.DictReader(io.StringIO(output.read_text())))
    assert [int(row["client_id"]) for row in rows] == ids
    assert rows[2]["error_code"] == "unknown_client"
    assert up.run("results", job["id"]).stdout == output.read_text()
    lines = [json.loads(line) for line in up.run("results", job["id"], "--json").stdout.splitlines()]
    assert [line["client_id"] for line in lines] == ids
    assert list(tmp_path.glob(".*.part")) == []


def test_an_upload_that_is_no_list_of_ids_is_refused_by_line(up: Up, tmp_path: Path) -> None:
    """The line is named, and no job is made."""
    path = tmp_path / "ids.csv"
    path.write_text("client_id\n1\nx\n")
    before = up.ask("jobs", "--limit", "1")
    assert "422" in up.refused("bulk", "--ids", str(path))
    assert up.ask("jobs", "--limit", "1") == before


def test_a_job_that_failed_ends_with_its_own_status(up: Up, tmp_path: Path) -> None:
    """A script can tell a failed job from a failed command."""
    path = tmp_path / "ids.csv"
    path.write_text("client_id\n999998\n999999\n")
    job = up.ask("bulk", "--ids", str(path), "--watch", status=3)
    assert job["status"] == "failed"
    assert up.ask("job", job["id"], "--watch", status=3)["id"] == job["id"]


def test_jobs_are_listed_shown_and_cancelled(up: Up) -> None:
    """Newest first; cancelling what is finished changes nothing."""
    job = up.ask("predict", "1", "--wait")
    assert up.ask("jobs", "--limit", "2")[0]["id"] == job["id"]
    assert job["id"] in up.run("jobs").stdout
    assert "succeeded" in up.run("job", job["id"]).stdout
    assert up.ask("cancel", job["id"])["status"] == "succeeded"
    assert up.run("cancel", job["id"]).returncode == 0
    assert all(found["status"] == "succeeded" for found in up.ask("jobs", "--status", "succeeded"))
    for command in ("job", "results", "cancel"):
        assert "404" in up.refused(command, "00000000-0000-7000-8000-000000000000")


def test_a_trace_shows_everything_by_name(up: Up) -> None:
    """Features, client version, model and worker of one answer."""
    job = up.ask("predict", "3", "--wait")
    trace = up.ask("trace", str(job["request_id"]))
    assert set(trace["features"]) == set(CLIENT_FEATURE_NAMES)
    assert trace["client_version"] == 1
    text = up.run("trace", str(job["request_id"])).stdout
    for name in CLIENT_FEATURE_NAMES:
        assert f"{name}=" in text
    assert "404" in up.refused("trace", "1")


def test_clients_are_imported_and_bad_files_refused_whole(up: Up, tmp_path: Path) -> None:
    """A file comes in as a whole or not at all, and unchanged rows stay as they are."""
    made = up.ask("clients", "generate", "5", "--seed", "9")
    job = up.ask("predict", str(made["first_id"]), "--wait")
    features = up.ask("trace", str(job["request_id"]))["features"]
    path = tmp_path / "clients.csv"

    def write(*rows: dict[str, object]) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["client_id", *CLIENT_FEATURE_NAMES])
            writer.writeheader()
            writer.writerows(rows)

    first = {"client_id": made["first_id"], **features}
    write(first, {**first, "client_id": 700_001})
    assert up.ask("clients", "import", str(path)) == {"inserted": 1, "updated": 0, "unchanged": 1}
    assert "1 unchanged" in up.run("clients", "import", str(path), "--ignore-extra").stdout.replace("2 unch", "1 unch")
    write({**first, "client_id": 700_002}, {**first, "client_id": 700_003, "age": "x"})
    refused = up.run("clients", "import", str(path))
    assert refused.returncode == 1
    assert "line 3: age: must be a whole number; got 'x'" in refused.stderr
    assert up.ask("clients", "import", str(path), status=1)["wrong_rows"] == 1
    assert "404" in up.refused("predict", "700002")
    write(first, first)
    assert "line 2 and on line 3" in up.refused("clients", "import", str(path))
    assert "generated, ids" in up.run("clients", "generate", "1").stdout


def test_models_are_trained_registered_and_promoted(up: Up, tmp_path: Path) -> None:
    """A promoted model scores the next prediction, with no restart; old versions stay to go back to."""
    trained = up.run("train", "--sample", "600", "--splits", "2", "--output", str(tmp_path / "out"))
    assert trained.returncode == 0, trained.stderr
    assert "95 % interval" in trained.stdout
    estimator = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    joblib.dump(estimator, tmp_path / "mine.joblib")
    signature = tmp_path / "signature.json"
    signature.write_text(json.dumps({"features": [{"name": "age", "kind": "integer"}]}))
    arguments = ["models", "register", str(tmp_path / "mine.joblib"), "--signature", str(signature)]
    mine = up.ask(*arguments, "--threshold", "0.25", "--promote")
    assert (mine["name"], mine["is_live"], mine["threshold"]) == ("mine", True, 0.25)
    result = up.ask("predict", "1", "--wait")["result"]
    assert (result["model_version"], result["threshold"]) == (mine["version"], 0.25)
    again = up.ask("models", "register", str(tmp_path / "out"))
    assert "is live" in up.run("promote", "1").stdout
    assert [model["version"] for model in up.ask("models") if model["is_live"]] == [1]
    assert len(up.ask("models")) == again["version"]
    assert "mine" in up.run("models").stdout
    assert "There is no model version 99" in up.refused("promote", "99")
    assert "--threshold is needed" in up.refused(*arguments, status=2)


def test_keys_are_made_listed_and_revoked(up: Up) -> None:
    """A new key works and sees its own jobs only; a revoked one is refused within seconds."""
    made = up.ask("keys", "create", "alice", "--max-waiting-rows", "1000")
    assert up.ask("jobs", PREDICTQ_API_KEY=made["key"]) == []
    assert made["prefix"] in up.run("keys", "list").stdout
    assert made["key"] not in up.run("keys", "list", "--json").stdout
    assert up.ask("keys", "revoke", made["prefix"])["owner"] == "alice"
    wait_until(lambda: up.run("jobs", PREDICTQ_API_KEY=made["key"]).returncode == 1, seconds=20, what="401")
    assert "401" in up.refused("jobs", PREDICTQ_API_KEY=made["key"])
    assert "no active key" in up.refused("keys", "revoke", made["prefix"])
    assert up.run("keys", "create", "bob").stdout.startswith("pq_")


def test_doctor_finds_everything_in_order(up: Up) -> None:
    """Every part answers, and every accepted row is accounted for."""
    findings = {finding["name"]: finding for finding in up.ask("doctor")}
    assert set(findings) == {"database", "schema", "model", "clients", "rows", "redis", "workers", "gateway"}
    assert all(finding["ok"] for finding in findings.values())
    assert "✓ database" in up.run("doctor").stdout
    assert "nothing to do" in up.run("migrate").stdout


def test_doctor_names_what_is_wrong_and_what_to_do(up: Up, tmp_path: Path) -> None:
    """A wrong address is a finding with advice, not a crash; the status tells a script."""
    away = "postgresql+psycopg2://a:b@127.0.0.1:1/c"
    result = up.run(
        "doctor", DATABASE_URL=away, REDIS_URL="redis://127.0.0.1:1/0", PREDICTQ_API_URL="http://127.0.0.1:1"
    )
    assert result.returncode == 1
    assert result.stdout.count("✗") == 3
    assert "correct DATABASE_URL" in result.stdout
    nothing = subprocess.run([PREDICTQ, "doctor"], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert (nothing.returncode, "predictq up" in nothing.stdout) == (1, True)


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
    """`predictq worker` in a second terminal shares the load; killed without warning, its batches are scored again."""
    with (up.directory / "second.log").open("wb") as log:
        second = subprocess.Popen(
            [PREDICTQ, "worker", "--concurrency", "1", "--name", "second"],
            cwd=up.directory, env=environment(PREDICTQ_LEASE_SECONDS="2"), stdout=log, stderr=log,
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
