"""Bulk jobs, their results, listing and cancelling, through a real gateway."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.jobs.records import stop_bulk
from shared.status import SCORING_QUEUES
from tests.integration.gateway.api_support import (
    READER,
    Gateway,
    answer_batches,
    new_key,
    plan_selections,
    running_gateway,
)
from tests.models import right_answer
from tests.support import add_clients, add_model, wait_until
from worker.scoring.scorer import Scorer

RAW = {"age": 30, "monthly_income": 2000, "department": "Sales", "over_time": True}
CSV, NDJSON = {"Content-Type": "text/csv"}, {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with a live model and clients 1…60 and batches of 10 rows."""
    add_model(engine)
    add_clients(engine, 60)
    changes = {"bulk_batch_rows": 10, "body_pause_seconds": 0.5}
    with running_gateway(settings.model_copy(update=changes), new_key(engine, "alice", roles=READER)) as client:
        yield client


def pages(gateway: Gateway, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    """All pages, by following the Link header."""
    answer = gateway.get(path, params=parameters)
    while True:
        yield answer.json()
        if "next" not in answer.links:
            return
        answer = gateway.get(answer.links["next"]["url"])


def scored_ids(gateway: Gateway, location: str) -> list[int]:
    return [row["client_id"] for page in pages(gateway, f"{location}/results", limit=7) for row in page["rows"]]


def test_a_job_keeps_its_name_and_its_deadline(gateway: Gateway) -> None:
    """By JSON and by an upload; the answer to the POST shows both, and so does the job."""
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    said = {"name": "nightly, été", "deadline": soon.isoformat()}
    for call in (
        {"json": {"client_ids": [1, 2], **said}},
        {"json": {"all": True, **said}},
        {"content": b"client_id\n1\n", "headers": CSV, "params": said},
    ):
        accepted = gateway.post("/v1/jobs", **call)  # type: ignore[arg-type]
        assert accepted.status_code == 202, accepted.text
        for shown in (accepted.json(), gateway.get(accepted.headers["location"]).json()):
            assert (shown["name"], datetime.fromisoformat(shown["deadline"])) == (said["name"], soon)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"deadline": "2020-01-01T00:00:00Z"}, "deadline_passed"),
        ({"deadline": "2099-01-01T00:00:00"}, "invalid_deadline"),
        ({"deadline": "tomorrow"}, "invalid_deadline"),
        ({"deadline": 5}, "invalid_deadline"),
        ({"name": ""}, "invalid_name"),
        ({"name": "n" * 201}, "invalid_name"),
        ({"name": "bell \a"}, "invalid_name"),
        ({"name": 5}, "invalid_name"),
    ],
)
def test_a_name_or_a_deadline_that_is_none_is_refused(gateway: Gateway, said: dict[str, object], code: str) -> None:
    """With the place of what is wrong; nothing is stored."""
    answer = gateway.post("/v1/jobs", json={"client_ids": [1], **said})
    assert (answer.status_code, [error["code"] for error in answer.json()["errors"]]) == (422, [code])
    assert gateway.get("/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"json": {"client_ids": [3, 1, 2, 3]}}, [3, 1, 2, 3]),
        ({"content": b"name,client_id\r\na,7\r\nb,5\r\n", "headers": CSV}, [7, 5]),
        ({"content": b'{"client_id": 7}\n5\n', "headers": NDJSON}, [7, 5]),
        ({"content": "".join(f"{n % 60 + 1}\n" for n in range(999)).encode(), "headers": CSV}, None),
    ],
)
def test_a_bulk_job_scores_what_was_asked_for_in_that_order(
    gateway: Gateway, engine: Engine, call: dict[str, Any], expected: list[int] | None
) -> None:
    """By ids, or by an upload; the results come in the order of the request."""
    expected = expected or [n % 60 + 1 for n in range(999)]
    answer = gateway.post("/v1/jobs", **call)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["kind"], job["status"], job["request_counts"]["total"]) == ("bulk", "queued", len(expected))
    assert "result" not in job
    answer_batches(engine)
    assert gateway.get(answer.headers["location"]).json()["status"] == "succeeded"
    assert scored_ids(gateway, answer.headers["location"]) == expected


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"where": {"department": "Sales", "over_time": True}}, list(range(6, 61, 6))),
        ({"where": {"age": [21, 25.0]}}, [1, 5, 41, 45]),
        ({"all": True}, list(range(1, 61))),
        ({"where": {"age": 119}}, []),
        ({"where": {"age": []}}, []),
    ],
)
def test_a_selection_is_accepted_before_its_rows_are_counted(
    gateway: Gateway, engine: Engine, selection: dict[str, Any], expected: list[int]
) -> None:
    """Its total is null until a worker has found the rows; they come in the order of their ids, and may be none."""
    answer = gateway.post("/v1/jobs", json=selection)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["kind"], job["status"], job["request_counts"]["total"]) == ("bulk", "queued", None)
    asked = {"by": "alice", "for": "all" if "all" in selection else "filter"}
    asked |= {"where": selection["where"]} if "where" in selection else {}
    assert gateway.get(answer.headers["location"]).json() == job | {"asked": asked}
    assert gateway.get("/v1/jobs").json()["jobs"] == [job | {"asked": asked}]
    answer_batches(engine)
    done = gateway.get(answer.headers["location"]).json()
    assert (done["status"], done["request_counts"]["total"]) == ("succeeded", len(expected))
    assert "error" not in done
    assert scored_ids(gateway, answer.headers["location"]) == expected


def test_results_are_not_complete_while_rows_are_still_looked_for(gateway: Gateway, engine: Engine) -> None:
    """Also when every row that was found is answered: a reader goes on from its cursor and misses none."""
    location = gateway.post("/v1/jobs", json={"all": True}).headers["location"]
    plan_selections(engine, pages=2)
    answer_batches(engine)
    job = gateway.get(location).json()
    assert (job["status"], job["request_counts"]["total"], job["request_counts"]["succeeded"]) == ("running", None, 20)
    answer = gateway.get(f"{location}/results")
    assert (len(answer.json()["rows"]), answer.json()["complete"]) == (20, False)
    assert answer.headers["x-predictq-complete"] == "false"
    assert gateway.get(answer.links["next"]["url"]).json()["rows"] == []
    table = gateway.get(f"{location}/results", headers={"Accept": "text/csv"})
    assert (table.text.count("\n"), table.headers["x-predictq-complete"]) == (21, "false")


def test_a_job_that_failed_as_a_whole_says_why(gateway: Gateway, engine: Engine) -> None:
    """With a code and a sentence, in the job itself; so does one whose rows were found in several readings."""
    location = gateway.post("/v1/jobs", json={"all": True}).headers["location"]
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.jobs SET error_code = 'job_too_large', error_detail = 'so many'"))
        connection.execute(text("UPDATE predictq.jobs SET snapshots = 2"))
        stop_bulk(connection, UUID(location[-36:]), is_cancelled=False)
    for job in (gateway.get(location).json(), gateway.get("/v1/jobs?status=failed").json()["jobs"][0]):
        assert job["status"] == "failed"
        assert job["error"] == {"code": "job_too_large", "detail": "so many"}
        assert job["snapshots"] == 2
        assert "request_id" not in job


def test_a_silent_upload_is_given_up(gateway: Gateway) -> None:
    """408 after the time that the settings allow, and no transaction was open meanwhile."""
    url, key = gateway.base_url, gateway.headers["authorization"]
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Type: text/csv\r\n"
    with socket.create_connection((url.host, url.port)) as call:
        call.settimeout(20)
        call.sendall(f"{head}Content-Length: 1000\r\n\r\n1\n2\n".encode())
        assert call.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_an_upload_whose_caller_goes_away_leaves_nothing_behind(gateway: Gateway, engine: Engine) -> None:
    """Half an upload is no job."""
    url, key = gateway.base_url, gateway.headers["authorization"]
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Type: text/csv\r\n"
    with socket.create_connection((url.host, url.port)) as call:
        call.sendall(f"{head}Content-Length: 1000\r\n\r\n1\n2\n".encode())
    wait_until(lambda: 'route="/v1/jobs",status="499"' in gateway.get("/metrics").text, what="the call has ended")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.jobs")).scalar_one() == 0


def test_results_before_the_first_batch_is_done_are_409(gateway: Gateway) -> None:
    """With advice when to come again."""
    location = gateway.post("/v1/jobs", json={"all": True}).headers["location"]
    answer = gateway.get(f"{location}/results")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/results-not-ready")
    assert answer.headers["retry-after"] == "1"


def test_partial_results_can_be_followed_to_the_end(gateway: Gateway, engine: Engine) -> None:
    """A reader who goes on from its cursor while the job runs gets each row once, in order."""
    location = gateway.post("/v1/jobs", json={"all": True}).headers["location"]
    answer_batches(engine, limit=2)
    answer = gateway.get(f"{location}/results", params={"limit": 15})
    rows, statuses = answer.json()["rows"], [answer.json()["complete"]]
    assert answer.headers["x-predictq-complete"] == "false"
    while answer.json()["next"]:
        answer = gateway.get(f"{location}/results", params={"limit": 15, "cursor": answer.json()["next"]})
        rows += answer.json()["rows"]
        statuses.append(answer.json()["complete"])
        answer_batches(engine, limit=1)
    assert [row["client_id"] for row in rows] == list(range(1, 61))
    assert (statuses[0], statuses[-1]) == (False, True)
    part = gateway.get(f"{location}/results", headers={"Accept": "text/csv"})
    assert part.headers["x-predictq-complete"] == "true"


def test_all_results_at_once_as_csv_or_ndjson(gateway: Gateway, engine: Engine) -> None:
    """The same rows as the pages have, with a name to save them under."""
    location = gateway.post("/v1/jobs", json={"all": True}).headers["location"]
    answer_batches(engine)
    rows = [row for page in pages(gateway, f"{location}/results", limit=50) for row in page["rows"]]
    lines = gateway.get(f"{location}/results", headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in lines.text.splitlines()] == rows
    table = gateway.get(f"{location}/results", headers={"Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert table.headers["content-disposition"] == f'attachment; filename="{location[-36:]}.csv"'
    found = list(csv.DictReader(io.StringIO(table.text)))
    assert [(int(row["client_id"]), float(row["probability"])) for row in found] == [
        (row["client_id"], row["probability"]) for row in rows
    ]
    assert list(found[0]) == list(rows[0])


def test_a_single_job_has_a_page_of_results_too(gateway: Gateway, engine: Engine) -> None:
    """One row, which names the request whose trace can be read."""
    job = gateway.post("/v1/predict", json={"client_id": 5}).json()
    answer_batches(engine)
    rows = gateway.get(job["links"]["results"]).json()["rows"]
    assert [(row["request_id"], row["client_id"]) for row in rows] == [(job["request_id"], 5)]
    assert re.fullmatch(r"[0-9]+-0", job["request_id"])


def test_the_trace_has_the_features_that_were_scored(gateway: Gateway, engine: Engine, scorer: Scorer) -> None:
    """By the id that the job and its row of results name, with all that made the answer."""
    asked = {"where": {"age": 25}}
    for path, body in (("/v1/predict", {"client_id": 5}), ("/v1/predict_raw", {"features": RAW}), ("/v1/jobs", asked)):
        job = gateway.post(path, json=body).json()
        plan_selections(engine)
        for queue in SCORING_QUEUES:
            scorer.work(queue)
        row = gateway.get(job["links"]["results"]).json()["rows"][0]
        trace = gateway.get(f"/v1/predictions/{row['request_id']}").json()
        assert (trace["request_id"], trace["job_id"], trace["job_kind"]) == (row["request_id"], job["id"], job["kind"])
        assert trace["probability"] == row["probability"] == right_answer(**trace["features"])
        assert trace["features"]["age"] == (RAW["age"] if path == "/v1/predict_raw" else 25)
        assert trace["features_from"] == ("request" if path == "/v1/predict_raw" else "clients")
        assert trace["error"] is None
        assert "owner" not in trace


def test_a_reader_who_leaves_frees_the_connection(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The COPY behind an abandoned download ends, however many there were, and the next download is whole."""
    monkeypatch.setattr(
        "api.jobs.downloads._PIECE", 100
    )  # many pieces of few rows, so that no download fits in between
    add_model(engine)
    content = "".join(f"{n}\n" for n in range(1, 20_001)).encode()
    with running_gateway(settings, new_key(engine, "alice")) as gateway:
        location = gateway.post("/v1/jobs", content=content, headers=CSV).headers["location"]
        answer_batches(engine)
        for _ in range(12):
            with gateway.stream("GET", f"{location}/results", headers={"Accept": "text/csv"}) as answer:
                next(answer.iter_raw(10))
        wait_until(lambda: count_copies(engine) == 0, what="every COPY has ended")
        monkeypatch.undo()
        assert gateway.get(f"{location}/results", headers={"Accept": "text/csv"}).text.count("\n") == 20_001


def count_copies(engine: Engine) -> int:
    query = text("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'")
    with engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def test_a_cursor_of_another_job_is_refused(gateway: Gateway, engine: Engine) -> None:
    """It would skip rows."""
    first, second = (gateway.post("/v1/jobs", json={"all": True}).headers["location"] for _ in range(2))
    answer_batches(engine)
    cursor = gateway.get(f"{first}/results", params={"limit": 5}).json()["next"]
    assert gateway.get(f"{second}/results", params={"cursor": cursor}).status_code == 422


def test_jobs_are_listed_newest_first(gateway: Gateway, engine: Engine) -> None:
    """Page by page, by status, and only the caller's own."""
    made = [gateway.post("/v1/predict", json={"client_id": n}).json()["id"] for n in range(1, 6)]
    answer_batches(engine)
    queued = gateway.post("/v1/jobs", json={"client_ids": [1]}).json()["id"]
    listed = [job["id"] for page in pages(gateway, "/v1/jobs", limit=2) for job in page["jobs"]]
    assert listed == [queued, *reversed(made)]
    done = [job["id"] for page in pages(gateway, "/v1/jobs", limit=2, status="succeeded") for job in page["jobs"]]
    assert done == list(reversed(made))
    assert gateway.get("/v1/jobs?status=lost").json()["errors"][0]["pointer"] == "/query/status"
    stranger = {"Authorization": f"Bearer {new_key(engine, 'bob')}"}
    assert gateway.get("/v1/jobs", headers=stranger).json() == {"jobs": [], "next": None}


def test_cancelling_keeps_what_is_scored(gateway: Gateway, engine: Engine) -> None:
    """Twice is the same as once, and the answers given before can still be read."""
    location = gateway.post("/v1/jobs", json={"all": True}).headers["location"]
    answer_batches(engine, limit=2)
    first, second = (gateway.post(f"{location}/cancel") for _ in range(2))
    assert (first.status_code, first.json()) == (200, second.json())
    assert first.json()["status"] == "cancelled"
    assert first.json()["request_counts"] == {"total": 60, "succeeded": 20, "failed": 0, "cancelled": 40}
    assert scored_ids(gateway, location) == list(range(1, 21))


def test_a_job_cancelled_before_its_first_row_has_no_results(gateway: Gateway) -> None:
    """An empty, complete list, for a single job too."""
    for path, body in (("/v1/jobs", {"all": True}), ("/v1/predict", {"client_id": 5})):
        location = gateway.post(path, json=body).headers["location"]
        assert gateway.post(f"{location}/cancel").json()["status"] == "cancelled"
        page = gateway.get(f"{location}/results").json()
        assert (page["rows"], page["complete"], page["next"]) == ([], True, None)
        table = gateway.get(f"{location}/results", headers={"Accept": "text/csv"})
        assert len(table.text.splitlines()) == 1


def test_a_job_of_another_owner_is_not_there(gateway: Gateway, engine: Engine) -> None:
    """Not to be read, not to be cancelled, no results and no trace; nor is one that never was, or no id at all."""
    job = gateway.post("/v1/predict", json={"client_id": 5}).json()
    answer_batches(engine)
    stranger = {"Authorization": f"Bearer {new_key(engine, 'bob')}"}
    for path in (job["links"]["self"], job["links"]["results"], f"/v1/predictions/{job['request_id']}"):
        assert gateway.get(path).status_code == 200
        assert gateway.get(path, headers=stranger).status_code == 404
    assert gateway.post(job["links"]["cancel"], headers=stranger).status_code == 404
    for name in ("00000000-0000-0000-0000-000000000000", "nonsense", "x" * 36):
        assert gateway.get(f"/v1/jobs/{name}").json()["type"] == "/problems/job-unknown"
    for name in ("999", "nonsense", "9" * 30, "999999-0", f"{job['request_id'][:-1]}1", "1-2-3", "-1", "1-", "0x1-0"):
        answer = gateway.get(f"/v1/predictions/{name}")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/prediction-unknown")


def test_prefer_wait_holds_for_bulk_jobs(gateway: Gateway, engine: Engine, settings: Settings) -> None:
    """Woken by the notice of each of its batches, it answers when the last one is done."""
    location = gateway.post("/v1/jobs", json={"all": True}).headers["location"]
    answer_batches(engine, settings)
    started = time.monotonic()
    answer = gateway.post("/v1/jobs", json={"client_ids": [1, 2]}, headers={"Prefer": "wait=1", "Idempotency-Key": "b"})
    assert answer.status_code == 202
    assert time.monotonic() - started >= 1
    assert gateway.get(location, headers={"Prefer": "wait=5"}).json()["status"] == "succeeded"
