"""Clients, models and keys, and whether everything is in order, as an operator types it."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import joblib
from sklearn.linear_model import LogisticRegression

from examples.hr_attrition.dataset import generate
from examples.hr_attrition.features import FEATURE_NAMES
from tests.e2e.support import PREDICTQ, Up, environment
from tests.support import wait_until


def test_clients_are_imported_and_bad_files_refused_whole(up: Up, tmp_path: Path) -> None:
    """A file comes in as a whole or not at all, and unchanged rows stay as they are."""
    made = up.ask("example", "load", "hr_attrition", "--rows", "5", "--seed", "9")
    job = up.ask("predict", str(made["first_id"]), "--wait")
    features = up.ask("trace", str(job["request_id"]))["features"]
    path = tmp_path / "clients.csv"
    people = ["--source", "people", "--key", "client_id"]

    def write(*rows: dict[str, object]) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["client_id", *FEATURE_NAMES])
            writer.writeheader()
            writer.writerows(rows)

    first = {"client_id": made["first_id"], **features}
    write(first, {**first, "client_id": 700_001})
    assert counts(up.ask("clients", "import", str(path), *people)) == (2, 0, 0)
    assert "2 unchanged" in up.run("clients", "import", str(path), *people, "--ignore-extra").stdout
    write({**first, "client_id": 700_002}, {**first, "client_id": 700_003, "age": "x"})
    refused = up.run("clients", "import", str(path), *people)
    assert refused.returncode == 1
    assert "line 3: age: 'x' is not a number" in refused.stderr
    assert up.ask("clients", "import", str(path), *people, status=1)["wrong_rows"] == 1
    write(first, {**first, "client_id": 700_001, "age": 59}, {**first, "client_id": 700_002})
    assert counts(up.ask("clients", "import", str(path), *people)) == (1, 1, 1), "nothing of the refused file came in"
    write(first, first)
    refused = up.run("clients", "import", str(path), *people)
    assert refused.returncode == 1
    assert "of line 2 stands again on line 3" in refused.stderr
    assert "1 row generated" in up.run("example", "load", "hr_attrition", "--rows", "1").stdout


def counts(report: dict[str, Any]) -> tuple[int, int, int]:
    return report["inserted"], report["updated"], report["unchanged"]


def test_models_are_trained_registered_and_promoted(up: Up, tmp_path: Path) -> None:
    """A promoted version scores the next prediction, with no restart; old versions stay to go back to."""
    people = tmp_path / "people.csv"
    next(generate(600, seed=3)).to_csv(people, index=False)
    arguments = ["train", str(people), "--target", "attrition", "--drop", "client_id", "--splits", "2"]
    trained = up.run(*arguments, "--output", str(tmp_path / "out"))
    assert trained.returncode == 0, trained.stderr
    assert "95 % interval" in trained.stdout
    register = ["models", "register", "mine"]
    first = up.ask(*register, str(tmp_path / "out"), "--source", "clients", "--promote")
    assert (first["model"], first["version"], first["is_live"]) == ("mine", 1, True)
    estimator = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    joblib.dump(estimator, tmp_path / "own.joblib")
    signature = tmp_path / "signature.json"
    signature.write_text(json.dumps({"features": [{"name": "age", "kind": "integer"}]}))
    own = [str(tmp_path / "own.joblib"), "--signature", str(signature), "--source", "clients"]
    second = up.ask(*register, *own, "--threshold", "0.25", "--promote")
    assert (second["version"], second["is_live"], second["threshold"]) == (2, True, 0.25)
    result = up.ask("predict", "1", "--model", "mine", "--wait")["result"]
    assert (result["model_version"], result["threshold"]) == (2, 0.25)
    assert up.ask("promote", "mine:1")["is_live"]
    assert up.ask("predict", "1", "--model", "mine", "--wait")["result"]["model_version"] == 1
    assert up.ask("rollback", "mine")["version"] == 2
    assert "mine" in up.run("models").stdout
    assert "99" in up.refused("promote", "mine:99")
    assert "threshold 0.5: none was given" in up.run(*register, *own).stderr


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
    limits = ["--role", "read", "--model", "default", "--expires", "90d", "--note", "nightly"]
    reader = up.ask("keys", "create", "carol", *limits)
    assert (reader["roles"], reader["models"], reader["note"]) == (["read"], ["default"], "nightly")
    assert "403" in up.refused("predict", "1", PREDICTQ_API_KEY=reader["key"])
    rotated = up.ask("keys", "rotate", reader["prefix"], "--overlap", "2h")
    assert rotated["old_prefix"] == reader["prefix"]
    assert up.ask("jobs", PREDICTQ_API_KEY=reader["key"]) == up.ask("jobs", PREDICTQ_API_KEY=rotated["key"]) == []
    assert "--lost" in up.refused("keys", "create", "dave", "--first", status=2)
    assert up.ask("keys", "create", "dave", "--first", "--lost")["roles"][-1] == "admin"


def test_work_is_paused_and_goes_on(up: Up) -> None:
    """With a reason, which doctor and the list of jobs show; afterwards what waited is answered."""
    paused = up.ask("pause", "--queue", "bulk", "--reason", "the warehouse moves")
    assert [item["reason"] for item in up.ask("pauses")] == [paused["reason"]]
    (finding,) = [finding for finding in up.ask("doctor") if "paused" in finding["detail"]]
    assert finding["ok"]
    assert finding["advice"] == "predictq resume --queue bulk"
    job = up.ask("bulk", "--where", "age>=59")
    assert "the warehouse moves" in up.run("jobs").stderr
    assert "nothing" not in up.run("pauses").stdout
    assert "--queue bulk" in up.refused("resume", "--queue", "plan", status=2)
    up.run("resume", "--queue", "bulk")
    wait_until(lambda: up.ask("job", job["id"])["status"] == "succeeded", seconds=60, what="the job goes on")


def test_the_audit_log_is_listed_and_exported(up: Up, tmp_path: Path) -> None:
    """As a table for people, and as events that collectors know, oldest first."""
    made = up.ask("keys", "create", "erin")
    assert f"key {made['prefix']}" in up.run("audit", "list", "--action", "key.create").stdout
    target = tmp_path / "audit.jsonl"
    assert up.run("audit", "export", "--since", "1d", "--output", str(target)).returncode == 0
    events = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    assert {"operation": "key.create"}.items() <= events[-1]["api"].items()
    assert events[-1]["resources"] == [{"name": f"key {made['prefix']}"}]
    assert made["key"] not in target.read_text(encoding="utf-8")
    lines = up.run("audit", "export", "--actor", "no one").stdout
    assert lines == ""


def test_doctor_finds_everything_in_order(up: Up) -> None:
    """Every part answers, and every accepted row is accounted for."""
    findings = {finding["name"]: finding for finding in up.ask("doctor")}
    parts = {"database", "schema", "model", "sources", "work", "rows", "redis", "workers", "gateway"}
    assert set(findings) == parts | {"upkeep", "partitions", "disk"}
    assert all(finding["ok"] for finding in findings.values())
    assert findings["redis"]["detail"].startswith("Valkey 9.")
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
