"""Bulk jobs whose features come in the upload: from the call to the trace, with a model that has a source or none."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sqlalchemy import Engine, text

from model.artefact import build_artefact
from model.registration import new_version
from shared.config import Settings
from shared.erasure.find import find_client
from shared.erasure.keys import client_key, read_source
from shared.installation import read_installation
from shared.models.feature import FeatureKind, FeatureSpec
from shared.models.registry import promote_version, register_version
from shared.models.signature import Signature
from shared.postgres.engine import autocommit, transaction
from shared.status import Queue
from tests.integration.gateway.api_support import READER, Gateway, new_key, running_gateway
from tests.integration.worker.scoring_support import score
from tests.models import SIGNATURE, TestModel, right_answer
from tests.support import add_clients, add_model
from worker.scoring.scorer import Scorer

PATH = "/v1/jobs?features=upload"
CSV, NDJSON = {"Content-Type": "text/csv"}, {"Content-Type": "application/x-ndjson"}
HEADER = "client_id,age,monthly_income,department,over_time\n"
ROWS: list[dict[str, Any]] = [
    {"age": 30, "monthly_income": 2000, "department": "Sales", "over_time": True},
    {"age": 41, "monthly_income": None, "department": "Research & Development", "over_time": False},
]


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with a live model whose source has clients 1…3, and batches of 10 rows."""
    add_model(engine)
    add_clients(engine, 3)
    with running_gateway(
        settings.model_copy(update={"bulk_batch_rows": 10}), new_key(engine, "tester", roles=READER)
    ) as client:
        yield client


def table(keys: list[Any] | None, rows: list[dict[str, Any]]) -> bytes:
    target = io.StringIO()
    names = [*SIGNATURE.names, *(["client_id"] if keys else [])]
    writer = csv.writer(target)
    writer.writerow(names)
    for number, row in enumerate(rows):
        cells = {**row, "client_id": keys and keys[number]}
        writer.writerow(["" if cells[name] is None else cells[name] for name in names])
    return target.getvalue().encode()


def lines(keys: list[Any] | None, rows: list[dict[str, Any]]) -> bytes:
    return "".join(
        json.dumps({**row, **({"client_id": keys[number]} if keys else {})}) + "\n" for number, row in enumerate(rows)
    ).encode()


def results_of(gateway: Gateway, job: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = gateway.get(f"/v1/jobs/{job['id']}/results", params={"limit": 1000}).json()["rows"]
    return rows


@pytest.mark.parametrize("keys", [None, [2, 999_999]])
@pytest.mark.parametrize(("make", "headers"), [(table, CSV), (lines, NDJSON)])
def test_rows_are_answered_by_the_features_that_came(
    gateway: Gateway, scorer: Scorer, keys: list[int] | None, make: Any, headers: dict[str, str]
) -> None:
    """The key comes back and stands in the trace; nobody looks it up, known or not."""
    job = gateway.post(PATH, content=make(keys, ROWS), headers=headers).json()
    assert score(scorer, Queue.BULK) == ["finished"]
    rows = results_of(gateway, job)
    assert [row["client_id"] for row in rows] == (keys or [None, None])
    assert [row["probability"] for row in rows] == [right_answer(**row) for row in ROWS]
    trace = gateway.get(f"/v1/predictions/{rows[1]['request_id']}").json()
    assert (trace["client_id"], trace["features_from"], trace["features"]) == (keys and keys[1], "request", ROWS[1])


def test_what_the_model_does_not_take_is_an_error_of_its_row(gateway: Gateway, scorer: Scorer) -> None:
    """What converts is stored, whether or not it can be scored."""
    bad = [{**ROWS[0], "age": 7}, {**ROWS[0], "age": None}, {**ROWS[0], "department": "Art"}, ROWS[0]]
    job = gateway.post(PATH, content=table(None, bad), headers=CSV).json()
    score(scorer, Queue.BULK)
    codes = [row["error_code"] for row in results_of(gateway, job)]
    assert codes == ["invalid_feature", "missing_feature", "invalid_feature", None]


def test_many_rows_in_many_batches(gateway: Gateway, scorer: Scorer, engine: Engine) -> None:
    """In the order in which they came, each with its own answer; keys are found where erasure looks for them."""
    rows = [{**ROWS[0], "age": 20 + number % 80} for number in range(12_000)]
    keys = list(range(1, 12_001))
    job = gateway.post(PATH, content=table(keys, rows), headers=CSV).json()
    assert job["request_counts"]["total"] == 12_000
    score(scorer, Queue.BULK)
    found = gateway.get(f"/v1/jobs/{job['id']}/results", headers={"Accept": "application/x-ndjson"}).text.splitlines()
    answers = [json.loads(line) for line in found]
    assert [(row["client_id"], row["probability"]) for row in answers] == [
        (key, right_answer(**row)) for key, row in zip(keys, rows, strict=True)
    ]
    with autocommit(engine) as connection:
        secret = read_installation(connection).hash_secret
        (place,) = find_client(connection, client_key(read_source(connection, "clients"), 11_999), secret)
    assert answers[11_998]["request_id"] == f"{place.batch_id}-{place.rows[0]}"


def test_a_model_without_a_source_takes_any_key(settings: Settings, engine: Engine, scorer: Scorer) -> None:
    """Texts and numbers come back as they were given, in the trace, too."""
    with transaction(engine) as connection:
        artefact = build_artefact(TestModel(), SIGNATURE, 0.5, name="test")
        promote_version(connection, register_version(connection, new_version(artefact, source_id=None)).id)
    with running_gateway(settings, new_key(engine, "tester", roles=READER)) as gateway:
        job = gateway.post(PATH, content=lines(["row 1", 7], ROWS), headers=NDJSON).json()
        score(scorer, Queue.BULK)
        rows = results_of(gateway, job)
        assert [row["client_id"] for row in rows] == ["row 1", 7]
        assert [row["probability"] for row in rows] == [right_answer(**row) for row in ROWS]
        trace = gateway.get(f"/v1/predictions/{rows[1]['request_id']}").json()
        assert (trace["client_id"], trace["key"], trace["features"]) == (7, "7", ROWS[1])


def test_a_refusal_names_line_and_column_and_leaves_nothing(gateway: Gateway, engine: Engine) -> None:
    """422, and no row anywhere."""
    answer = gateway.post(PATH, content=(HEADER + "1,30,x,Sales,true\n2,30,1,Sales,jo\n").encode(), headers=CSV)
    assert answer.status_code == 422
    assert [(flaw["pointer"], flaw["code"], flaw["detail"]) for flaw in answer.json()["errors"]] == [
        ("/line/2", "invalid_feature", "line 2: monthly_income must be a whole number; got 'x'"),
        ("/line/3", "invalid_feature", "line 3: over_time must be true or false (yes/no, oui/non, 1/0); got 'jo'"),
    ]
    with autocommit(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.jobs")).scalar_one() == 0
    assert gateway.post(PATH, json={"all": True}).status_code == 415
    assert gateway.post("/v1/jobs?features=all", content=b"1\n", headers=CSV).status_code == 422


def test_a_repeated_upload_is_the_same_job(gateway: Gateway) -> None:
    """By its content: another value of one cell is another payload."""
    headers = {**CSV, "Idempotency-Key": "k"}
    first = gateway.post(PATH, content=table([1, 2], ROWS), headers=headers)
    again = gateway.post(PATH, content=table([1, 2], ROWS), headers=headers)
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (first.json()["id"], "true")
    other = gateway.post(PATH, content=table([1, 2], [ROWS[0], {**ROWS[1], "age": 42}]), headers=headers)
    assert other.json()["type"] == "/problems/idempotency-key-reused"


def test_a_promotion_during_the_upload_changes_nothing(gateway: Gateway, engine: Engine, scorer: Scorer) -> None:
    """The rows are scored by the version that they were read for."""

    def body() -> Iterator[bytes]:
        yield table([1], ROWS[:1])
        add_model(engine, TestModel(offset=0.125))
        yield b"31,,Sales,true,2\n"

    job = gateway.post(PATH, content=body(), headers=CSV).json()
    assert job["model_version"] == 1
    score(scorer, Queue.BULK)
    assert results_of(gateway, job)[0]["probability"] == right_answer(**ROWS[0])


def test_names_longer_than_postgresql_takes_are_features(gateway: Gateway, engine: Engine, scorer: Scorer) -> None:
    """Of more than 63 bytes, and alike up to there: each is its own, singly and in bulk."""
    names = ["x" * 70, "x" * 71, "ä" * 32 + "x"]
    frame = pd.DataFrame([[0.01, 0.5, 0.2], [0.99, 0.1, 0.7], [0.3, 0.9, 0.4], [0.6, 0.2, 0.9]], columns=names)
    model = LogisticRegression(C=1e6).fit(frame, [0, 1, 0, 1])
    signature = Signature(tuple(FeatureSpec(name, FeatureKind.NUMBER) for name in names))
    with transaction(engine) as connection:
        version = new_version(build_artefact(model, signature, 0.5, name="long"), source_id=None, model="long")
        promote_version(connection, register_version(connection, version).id)
    rows = frame.to_dict("records")
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    job = gateway.post(f"{PATH}&model=long", content=content, headers=NDJSON).json()
    single = gateway.post("/v1/predict_raw", json={"model": "long", "features": rows[1]}).json()
    while score(scorer, Queue.BULK) or score(scorer, Queue.INTERACTIVE):
        pass
    own = model.predict_proba(frame)[:, 1]
    assert [row["probability"] for row in results_of(gateway, job)] == pytest.approx(own, rel=1e-12)
    answer = gateway.get(f"/v1/jobs/{single['id']}").json()["result"]
    assert answer["probability"] == pytest.approx(own[1], rel=1e-12)
    assert abs(own[1] - own[0]) > 0.5
