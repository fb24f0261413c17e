"""Jobs of Excel, Parquet, Arrow and French CSV: sent as they are, looked at, planned by a worker, answered."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import openpyxl
import pandas as pd
import pytest
from sqlalchemy import Engine, text

from model.artefact import build_artefact
from model.registration import new_version
from shared.config import Settings
from shared.erasure.client_holds import HoldGuard
from shared.erasure.elsewhere import delete_uploads
from shared.models.registry import promote_version, register_version
from shared.postgres.engine import autocommit, transaction
from shared.status import JobStatus, Queue
from shared.uploaded_files import PIECE_BYTES
from tests.integration.gateway.api_support import Gateway, bearer, new_key, running_gateway
from tests.integration.jobs.planning_support import planner_process
from tests.integration.stored.erasure_support import key_of
from tests.integration.worker.scoring_support import score
from tests.models import SIGNATURE, TestModel, right_answer
from tests.roles import as_upkeep
from tests.support import ROOT, add_clients, add_model, environment, job_of, stop, wait_until
from worker.scoring.scorer import Scorer
from worker.upkeep.duty import database_clock
from worker.upkeep.expiry import Expiry

EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PARQUET = "application/vnd.apache.parquet"
ROWS: list[dict[str, Any]] = [
    {"age": 30, "monthly_income": 2000, "department": "Sales", "over_time": True},
    {"age": 41, "monthly_income": None, "department": "Research & Development", "over_time": False},
]
FRENCH = "client_id;age;monthly_income;department;over_time\n007;30;2 000;Sales;Oui\n8;41;;Research & Development;Non\n"


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with a live model whose source has clients 1…3, batches of 2 rows, a planner and errands."""
    add_model(engine)
    add_clients(engine, 3)
    settings = settings.model_copy(update={"bulk_batch_rows": 2})
    command = [sys.executable, "-m", "worker.errands", "--name", "e"]
    errands = subprocess.Popen(command, cwd=ROOT, env=environment(settings))
    try:
        with planner_process(settings), running_gateway(settings, new_key(engine, "tester")) as client:
            yield client
    finally:
        stop(errands)


def add_free_model(engine: Engine) -> None:
    """A model without a source, which takes any text for a key."""
    artefact = build_artefact(TestModel(), SIGNATURE, 0.5, name="free")
    with transaction(engine) as connection:
        promote_version(
            connection, register_version(connection, new_version(artefact, source_id=None, model="free")).id
        )


def workbook(rows: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def parquet(rows: list[dict[str, Any]], **more: Any) -> bytes:
    target = io.BytesIO()
    pd.DataFrame(rows).assign(**more).to_parquet(target)
    return target.getvalue()


def planned(engine: Engine, job: dict[str, Any]) -> Any:
    return wait_until(
        lambda: (found := job_of(engine, UUID(job["id"]))).total is not None and found, what="the job is planned"
    )


def results_of(gateway: Gateway, job: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = gateway.get(f"/v1/jobs/{job['id']}/results").json()["rows"]
    return rows


def test_keys_in_a_workbook_are_answered_in_its_order(gateway: Gateway, engine: Engine, scorer: Scorer) -> None:
    """As the caller wrote them; unknown ones get their error; sent twice under one key it is one job."""
    content = workbook([["note", "client_id"], ["x", 3], [None, "01"], ["y", 2.0], [None, 99]])
    headers = {"Content-Type": EXCEL, "Idempotency-Key": "k"}
    accepted = gateway.post("/v1/jobs?name=July", content=content, headers=headers)
    assert (accepted.status_code, accepted.json()["request_counts"]["total"]) == (202, None)
    assert planned(engine, accepted.json()).total == 4
    while score(scorer, Queue.BULK):
        pass
    rows = results_of(gateway, accepted.json())
    assert [row["client_id"] for row in rows] == [3, "01", 2, 99]
    assert [row["error_code"] for row in rows] == [None, None, None, "unknown_client"]
    again = gateway.post("/v1/jobs?name=July", content=content, headers=headers)
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (accepted.json()["id"], "true")
    other = gateway.post("/v1/jobs?name=July", content=content[:-1] + b"x", headers=headers)
    assert other.json()["type"] == "/problems/idempotency-key-reused"


@pytest.mark.parametrize("keys", [None, ["2", "P-7"]])
def test_features_in_parquet_are_scored(
    gateway: Gateway, engine: Engine, scorer: Scorer, keys: list[str] | None
) -> None:
    """With or without a key; a repetition scores the same rows again, by what was stored."""
    if keys:
        add_free_model(engine)
    more: dict[str, Any] = {"client_id": keys} if keys else {}
    path = f"/v1/jobs?features=upload{'&model=free' if keys else ''}"
    job = gateway.post(path, content=parquet(ROWS, **more), headers={"Content-Type": PARQUET}).json()
    assert planned(engine, job).total == 2
    while score(scorer, Queue.BULK):
        pass
    expected = [right_answer(**row) for row in ROWS]
    rows = results_of(gateway, job)
    assert [(row["client_id"], row["probability"]) for row in rows] == list(
        zip(keys or [None, None], expected, strict=True)
    )
    again = gateway.post(f"/v1/jobs/{job['id']}/repeat").json()
    while score(scorer, Queue.BULK):
        pass
    assert [row["probability"] for row in results_of(gateway, again)] == expected


def test_features_of_ones_own_need_no_source(gateway: Gateway, engine: Engine, scorer: Scorer) -> None:
    """While the model's is away a file is planned and answered, as are lines, and both once more. Others wait."""
    waiting = gateway.post("/v1/jobs", json={"client_ids": [1]}).json()
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE predictq.sources SET away_since = now(), probe_at = now() + interval '1 hour', probes = 9")
        )
    everybody = gateway.post("/v1/jobs", json={"all": True}).json()
    path = "/v1/jobs?features=upload"
    file = gateway.post(path, content=parquet(ROWS), headers={"Content-Type": PARQUET}).json()
    lines = "".join(json.dumps({"client_id": number, **row}) + "\n" for number, row in enumerate(ROWS, 1))
    upload = gateway.post(path, content=lines.encode(), headers={"Content-Type": "application/x-ndjson"}).json()
    assert planned(engine, file).total == 2
    while score(scorer, Queue.BULK):
        pass
    again = [gateway.post(f"/v1/jobs/{job['id']}/repeat").json() for job in (file, upload)]
    while score(scorer, Queue.BULK):
        pass
    expected = [right_answer(**row) for row in ROWS]
    for job in (file, upload, *again):
        assert [row["probability"] for row in results_of(gateway, job)] == expected
    states = [job_of(engine, UUID(job["id"])) for job in (waiting, everybody)]
    assert [(state.status, state.total) for state in states] == [(JobStatus.QUEUED, 1), (JobStatus.QUEUED, None)]


def test_a_file_is_looked_at_and_then_made_a_job(gateway: Gateway, engine: Engine, scorer: Scorer) -> None:
    """French CSV in Windows-1252: what was understood is said first; the job has exactly that."""
    content = FRENCH.replace("client_id", "Numéro").replace("age;", "Âge;").encode("cp1252")
    sent = gateway.post("/v1/uploads", content=content).json()
    order: dict[str, Any] = {"features": True}
    found = gateway.post(f"/v1/uploads/{sent['id']}/look", json=order).json()
    assert [problem["detail"][:52] for problem in found["problems"]] == [
        "the file lacks columns for features of the model: ag"
    ]
    order["columns"] = {"age": "Âge", "client_id": "Numéro"}
    found = gateway.post(f"/v1/uploads/{sent['id']}/look", json=order).json()
    assert (found["problems"], found["rows"], found["is_whole"]) == ([], 2, True)
    assert (found["separator"], found["encoding"], found["format"]) == (";", "cp1252", "csv")
    assert [found["columns"][0][name] for name in ("name", "use", "stands_for")] == ["Numéro", "key", found["key"][0]]
    assert found["columns"][1] == {
        "name": "Âge", "use": "feature", "stands_for": "age", "written": "", "examples": ["30", "41"],
        "null_words": {},
    }  # fmt: skip
    job = gateway.post("/v1/jobs", json={"upload": sent["id"], **order, "name": "Juillet"}).json()
    assert (planned(engine, job).total, job["name"]) == (2, "Juillet")
    while score(scorer, Queue.BULK):
        pass
    rows = results_of(gateway, job)
    assert [(row["client_id"], row["probability"]) for row in rows] == [
        ("007", right_answer(**ROWS[0])),
        (8, right_answer(**ROWS[1])),
    ]


def test_a_file_that_does_not_fit_fails_its_job_with_line_and_column(gateway: Gateway, engine: Engine) -> None:
    """Nothing of it is scored, however many rows were fine; a look says the same, with the value."""
    content = workbook([list(ROWS[0]), *[list(ROWS[0].values())] * 50, ["old", 1, "Sales", True]])
    job = gateway.post("/v1/jobs?features=upload", content=content, headers={"Content-Type": EXCEL}).json()
    failed = planned(engine, job)
    assert (failed.status, failed.total, failed.error_code) == ("failed", 0, "upload_refused"), failed.error_detail
    assert failed.error_detail == "line 52: age must be a whole number"
    sent = gateway.post("/v1/uploads", content=content).json()
    found = gateway.post(f"/v1/uploads/{sent['id']}/look", json={"features": True}).json()
    assert found["problems"] == [
        {
            "line": 52,
            "code": "invalid_feature",
            "detail": "age must be a whole number; got 'old'",
            "reason": "not_whole",
            "about": {"name": "age", "value": "old"},
        }
    ]


def test_what_cannot_be_asked_is_refused_before_it_is_stored(gateway: Gateway, engine: Engine) -> None:
    """A file of another owner, one that is none, fields that are none, keys for a model without a source."""
    add_free_model(engine)
    sent = gateway.post("/v1/uploads", content=b"client_id\n1\n").json()["id"]
    other = bearer(new_key(engine, "other"))
    assert gateway.post("/v1/jobs", json={"upload": sent}, headers=other).status_code == 404
    assert gateway.post(f"/v1/uploads/{sent}/look", json={}, headers=other).status_code == 404
    for body, pointer in (
        ({"upload": "x"}, "/upload"),
        ({"upload": sent, "all": True}, ""),
        ({"upload": sent, "nothing": 1}, "/nothing"),
        ({"upload": sent, "decimal": "x"}, "/decimal"),
        ({"all": True, "sheet": "x"}, "/sheet"),
    ):
        refused = gateway.post("/v1/jobs", json=body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    refused = gateway.post("/v1/jobs", json={"upload": sent, "columns": {"a/b": 1}})
    assert refused.json()["errors"] == [
        {"pointer": "/columns/a~1b", "code": "invalid_value", "detail": "columns.a/b must be a valid string"}
    ]
    refused = gateway.post("/v1/jobs?model=free", content=b"PK", headers={"Content-Type": EXCEL})
    assert refused.json()["type"] == "/problems/source-needed"
    with autocommit(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.jobs")).scalar_one() == 0


def test_a_job_whose_file_is_gone_says_so(settings: Settings, engine: Engine) -> None:
    """It was erased with a person: no other attempt is made."""
    add_model(engine)
    add_clients(engine, 1)
    with running_gateway(settings, new_key(engine, "tester")) as gateway:
        job = gateway.post("/v1/jobs", content=b"PK", headers={"Content-Type": EXCEL}).json()
        with transaction(engine) as connection:
            connection.execute(text("DELETE FROM predictq.uploads"))
        with planner_process(settings):
            failed = planned(engine, job)
    assert (failed.status, failed.error_code) == ("failed", "upload_gone")


def test_a_file_is_kept_for_as_long_as_its_plan_waits(settings: Settings, engine: Engine) -> None:
    """Over a weekend without a planner, say: the job is planned, and then the file goes; others go after a day."""
    add_model(engine)
    add_clients(engine, 3)
    with running_gateway(settings, new_key(engine, "tester")) as gateway:
        other = gateway.post("/v1/uploads", content=b"client_id\n1\n").json()["id"]
        job = gateway.post("/v1/jobs", content=parquet([{"client_id": 2}]), headers={"Content-Type": PARQUET}).json()
        with transaction(engine) as connection:
            connection.execute(text("UPDATE predictq.uploads SET expires_at = now() - interval '3 days'"))
        expiry = Expiry().run(as_upkeep(engine), database_clock(engine))
        assert expiry == "1 uploads"
        assert gateway.post(f"/v1/uploads/{other}/look", json={}).status_code == 404
        gateway.post("/v1/uploads", content=b"client_id\n1\n")  # which makes room, too
        with planner_process(settings):
            assert planned(engine, job).total == 1
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.uploads SET expires_at = now() - interval '3 days'"))
    assert Expiry().run(as_upkeep(engine), database_clock(engine)) == "2 uploads"


@pytest.mark.parametrize("rest", [b"x" * PIECE_BYTES, b""])
def test_a_file_that_an_erasure_takes_while_it_is_sent(settings: Settings, engine: Engine, rest: bytes) -> None:
    """Its sender is told to send it again, whether more pieces were to come or none; nothing of the file stays."""
    add_model(engine)
    add_clients(engine, 1)

    def body() -> Iterator[bytes]:
        yield b"x" * PIECE_BYTES
        wait_until(lambda: _count(engine, "upload_pieces"), what="the first piece")
        delete_uploads(HoldGuard(as_upkeep(engine), UUID(int=7), key_of(engine, 1)))
        yield rest

    with running_gateway(settings, new_key(engine, "tester")) as gateway:
        answer = gateway.post("/v1/uploads", content=body(), headers={"Content-Type": PARQUET})
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/file-unknown")
    assert "send it again" in answer.json()["detail"]
    assert (_count(engine, "uploads"), _count(engine, "upload_pieces")) == (0, 0)


def test_an_owner_keeps_so_many_bytes_of_files(settings: Settings, engine: Engine) -> None:
    """A file beyond is a 429 that names the setting, and leaves nothing; another owner's are not counted with them."""
    settings = settings.model_copy(update={"owner_upload_bytes": 1_000_000})
    content = b"x" * 600_000
    with running_gateway(settings, new_key(engine, "tester")) as gateway:
        assert gateway.post("/v1/uploads", content=content).status_code == 201
        refused = gateway.post("/v1/uploads", content=content)
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-at-once")
        assert refused.json()["errors"][0]["code"] == "owner_upload_bytes"
        assert 'predictq_limit_refusals_total{reason="owner_upload_bytes"} 1.0' in gateway.get("/metrics").text
        assert gateway.post("/v1/uploads", content=content, headers=bearer(new_key(engine, "other"))).status_code == 201
    assert _count(engine, "uploads") == 2


def test_a_file_that_is_still_coming_is_counted_with_the_owner_s(settings: Settings, engine: Engine) -> None:
    """Whoever sends many at once keeps no more than with one after the other."""
    settings = settings.model_copy(update={"owner_upload_bytes": 1_500_000})
    statuses = []
    with running_gateway(settings, new_key(engine, "tester")) as gateway:

        def body() -> Iterator[bytes]:
            yield b"x" * PIECE_BYTES
            wait_until(lambda: _count(engine, "upload_pieces"), what="the first piece")
            statuses.append(
                httpx.post(f"{gateway.base_url}/v1/uploads", content=b"x" * 600_000, headers=key).status_code
            )
            yield b"x" * 400_000

        key = {"Authorization": gateway.headers["Authorization"]}
        statuses.append(gateway.post("/v1/uploads", content=body()).status_code)
        statuses.append(gateway.post("/v1/uploads", content=b"x" * 600_000).status_code)
    assert statuses == [429, 201, 429]
    assert (_count(engine, "uploads"), _count(engine, "upload_pieces")) == (1, 2)


def _count(engine: Engine, table: str) -> int:
    with autocommit(engine) as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM predictq.{table}")).scalar_one())
