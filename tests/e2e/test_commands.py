"""Asking for predictions, watching jobs and reading answers, as a user types it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from examples.hr_attrition.features import FEATURE_NAMES
from tests.e2e.support import CLIENTS, Up


def test_predict_waits_for_probability_label_and_threshold(up: Up) -> None:
    """One client, one answer; for people and for programs."""
    job = up.ask("predict", "5", "--wait")
    assert job["status"] == "succeeded"
    assert job["result"]["label"] == int(job["result"]["probability"] >= job["result"]["threshold"])
    told = up.run("predict", "5", "--wait")
    assert f"client 5: probability {job['result']['probability']:.4f}" in told.stdout
    not_waited = up.run("predict", "5")
    assert (not_waited.returncode, "job " in not_waited.stdout) == (0, True)
    assert "has no client with this key" in up.refused("predict", "999999", "--wait")


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
    twice = [up.ask("bulk", "--where", "department=Sales", "--idempotency-key", "tonight")["id"] for _ in range(2)]
    assert twice[0] == twice[1]
    assert "visible ASCII" in up.refused("bulk", "--all", "--idempotency-key", "é", status=2)
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
    """Features, model and worker of one answer."""
    job = up.ask("predict", "3", "--wait")
    trace = up.ask("trace", str(job["request_id"]))
    assert set(trace["features"]) == set(FEATURE_NAMES)
    assert trace["features_from"] == "clients"
    text = up.run("trace", str(job["request_id"])).stdout
    for name in FEATURE_NAMES:
        assert f"{name}=" in text
    assert "404" in up.refused("trace", "1")


def test_a_job_is_asked_again_whole_or_where_it_failed(up: Up, tmp_path: Path) -> None:
    """`repeat` scores the same clients anew, `retry` the rows that have an error."""
    path = tmp_path / "ids.csv"
    path.write_text("client_id\n1\n999999\n2\n")
    job = up.ask("bulk", str(path), "--watch")
    again = up.ask("repeat", job["id"], "--watch")
    assert again["id"] != job["id"]
    assert again["request_counts"] == {"total": 3, "succeeded": 2, "failed": 1, "cancelled": 0}
    failed = up.ask("retry", job["id"], "--watch", status=3)
    assert failed["request_counts"] == {"total": 1, "succeeded": 0, "failed": 1, "cancelled": 0}
    twice = {up.ask("repeat", job["id"], "--idempotency-key", "once")["id"] for _ in range(2)}
    assert len(twice) == 1
    assert "no job" in up.refused("repeat", "018f0000-0000-7000-8000-000000000000")


def test_clients_are_counted_before_they_are_scored(up: Up) -> None:
    """`count` says how many rows a job of the same filter would have."""
    everyone = up.ask("count")
    assert everyone["count"] >= CLIENTS
    sales = up.ask("count", "--where", "department=Sales")["count"]
    assert sales == up.ask("bulk", "--where", "department=Sales", "--watch")["request_counts"]["total"]
    assert f"{sales:,} clients" in up.run("count", "--where", "department=Sales").stdout
    assert "shoe_size" in up.refused("count", "--where", "shoe_size=44")


def test_jobs_are_found_and_cancelled_by_what_they_are_called(up: Up) -> None:
    """Name, model and time filter the list; `cancel` takes the same words, and never nothing at all."""
    named = up.ask("bulk", "--where", "department=Sales", "--name", "spring campaign", "--watch")
    assert [job["id"] for job in up.ask("jobs", "--name", "spring")] == [named["id"]]
    assert named["id"] in {job["id"] for job in up.ask("jobs", "--since", "1h", "--model", named["model"])}
    assert up.ask("jobs", "--until", "1h") == []
    assert "--since" in up.refused("jobs", "--since", "yesterday", status=2)
    assert up.ask("cancel", "--name", "spring") == {"cancelled": 0}
    assert "--status" in up.refused("cancel", status=2)
    assert "--status" in up.refused("cancel", named["id"], "--name", "x", status=2)


def test_all_answers_of_one_client_are_a_table(up: Up) -> None:
    """What the owner asked of her, newest first; the only source needs no name."""
    job = up.ask("predict", "11", "--wait")
    found = up.ask("clients", "answers", "11")
    assert found["answers"][0]["request_id"] == job["request_id"]
    assert found["answers"][0]["probability"] == job["result"]["probability"]
    told = up.run("clients", "answers", "11").stdout
    assert f"{job['result']['label']} ({job['result']['probability']:.4f})" in told
    assert "no source" in up.refused("clients", "answers", "11", "--source", "nowhere")
