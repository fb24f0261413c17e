"""What becomes of scored rows: exports, partial results, traces, cancelled jobs."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sqlalchemy import Engine, text

from shared.jobs.accept_singles import Accepted
from shared.jobs.records import cancel_job
from shared.jobs.results import ResultRow, copy_results, read_results, readable
from shared.postgres.engine import autocommit, transaction
from shared.status import JobStatus
from tests.integration.scoring_support import features_of, results, score, trace_of
from tests.models import TestModel, right_answer
from tests.support import OWNER, add_clients, add_model, change_client, job_of, submit_bulk, submit_singles
from worker.scoring.scorer import Scorer


class Rude(TestModel):
    """Raises with a text that is hard to store."""

    def predict_proba(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Never."""
        raise RuntimeError('nul \x00, quote ", comma, back\\slash, ünïcode 😀, lone \ud800\nsecond line')


def test_awkward_error_texts_are_stored_and_exported(engine: Engine, scorer: Scorer) -> None:
    """Whatever text a model raises is stored and comes out of CSV and NDJSON as it is read row by row."""
    add_clients(engine, 3)
    add_model(engine, Rude())
    accepted = submit_bulk(engine, [1, 2, 3], batch_rows=2)
    assert score(scorer, accepted) == ["finished", "finished"]
    rows = results(engine, accepted)
    assert [row.error_detail for row in rows] == [
        'the model raised RuntimeError: nul \N{REPLACEMENT CHARACTER}, quote ", comma, back\\slash, ünïcode 😀, lone ?'
    ] * 3
    assert exported(engine, accepted) == [{name: getattr(row, name) for name in ResultRow.__slots__} for row in rows]


def exported(engine: Engine, accepted: Accepted) -> list[dict[str, Any]]:
    """The rows as NDJSON, after seeing that the CSV says the same."""
    as_json, as_csv = io.BytesIO(), io.BytesIO()
    with transaction(engine) as connection:
        extent = readable(connection, accepted.job_id)
        assert extent is not None
        copy_results(connection, accepted.job_id, end=extent.end, target=as_json, as_json=True)
        copy_results(connection, accepted.job_id, end=extent.end, target=as_csv)
    objects = [json.loads(line) for line in as_json.getvalue().decode().splitlines()]
    table = list(csv.DictReader(io.StringIO(as_csv.getvalue().decode(), newline="")))
    assert table == [{name: "" if value is None else str(value) for name, value in item.items()} for item in objects]
    return objects


def test_exports_equal_what_is_read(engine: Engine, scorer: Scorer) -> None:
    """CSV and NDJSON hold the same rows, in the same order, as reading page by page."""
    add_clients(engine, 30)
    add_model(engine)
    accepted = submit_bulk(engine, [*range(30, 0, -1), 999], batch_rows=7)
    score(scorer, accepted)
    rows = results(engine, accepted)
    assert len(rows) == 31
    assert exported(engine, accepted) == [{name: getattr(row, name) for name in ResultRow.__slots__} for row in rows]
    with autocommit(engine) as connection:
        paged: list[ResultRow] = []
        while page := read_results(
            connection, accepted.job_id, end=2**60, after=paged[-1].request_id if paged else 0, limit=4
        ):
            paged += page
    assert paged == rows


def test_results_end_where_the_first_open_batch_begins(engine: Engine, scorer: Scorer) -> None:
    """A reader who goes on from where it stopped misses no row, though batches finish in any order."""
    add_clients(engine, 9)
    add_model(engine)
    accepted = submit_bulk(engine, list(range(1, 10)), batch_rows=3)
    first, middle, last = accepted.batch_ids
    with autocommit(engine) as connection:
        assert readable(connection, accepted.job_id) is None
    scorer.score(last)
    with autocommit(engine) as connection:
        assert readable(connection, accepted.job_id) is None
    scorer.score(first)
    with autocommit(engine) as connection:
        extent = readable(connection, accepted.job_id)
    assert extent is not None
    assert not extent.complete
    assert [row.client_id for row in results(engine, accepted)] == [1, 2, 3]
    assert len(exported(engine, accepted)) == 3
    scorer.score(middle)
    assert [row.client_id for row in results(engine, accepted)] == list(range(1, 10))
    with autocommit(engine) as connection:
        extent = readable(connection, accepted.job_id)
    assert extent is not None
    assert extent.complete


def test_a_single_job_has_its_own_row_among_its_batch(engine: Engine, scorer: Scorer) -> None:
    """Single jobs share a batch, never each other's results."""
    add_clients(engine, 3)
    add_model(engine)
    jobs = submit_singles(engine, [1, 2, 3])
    score(scorer, jobs[0])
    for number, job in enumerate(jobs, 1):
        assert [row.client_id for row in results(engine, job)] == [number]


def test_the_trace_shows_features_as_they_were_scored(engine: Engine, scorer: Scorer) -> None:
    """However a client changes, goes and comes back, each answer's trace shows the values behind it."""
    add_clients(engine, 1)
    add_model(engine)
    seen: list[tuple[int, dict[str, Any], int]] = []

    def scored(version: int) -> None:
        (job,) = submit_singles(engine, [1])
        assert job.request_id is not None
        assert trace_of(engine, job.request_id).features is None  # nothing is scored yet
        score(scorer, job)
        trace = trace_of(engine, job.request_id)
        assert trace.features is not None
        assert trace.client_version == version
        seen.append((job.request_id, trace.features, version))

    scored(1)
    change_client(engine, 1, age=44)
    scored(2)
    with transaction(engine) as connection:
        connection.execute(text("DELETE FROM clients"))
    add_clients(engine, 1)
    scored(3)
    change_client(engine, 1, age=45)
    assert [features["age"] for _, features, _ in seen] == [21, 44, 21]
    for request_id, features, version in seen:
        trace = trace_of(engine, request_id)
        assert (trace.features, trace.client_version, trace.features_from) == (features, version, "clients_history")
        names = features_of(1)
        assert trace.probability == right_answer(**{name: features[name] for name in names})


def test_a_cancelled_single_is_left_out(engine: Engine, scorer: Scorer) -> None:
    """A cancelled request gets no output; its neighbours in the batch get theirs."""
    add_clients(engine, 3)
    add_model(engine)
    jobs = submit_singles(engine, [1, 2, 3])
    with transaction(engine) as connection:
        cancel_job(connection, jobs[1].job_id, OWNER)
    assert score(scorer, jobs[0]) == ["finished"]
    assert [job_of(engine, job.job_id).status for job in jobs] == ["succeeded", "cancelled", "succeeded"]
    assert job_of(engine, jobs[1].job_id).probability is None


def test_answers_of_a_job_cancelled_meanwhile_are_dropped(
    engine: Engine, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bulk job cancelled while a batch is scored keeps what was committed before, and takes nothing after."""
    add_clients(engine, 4)
    add_model(engine)
    accepted = submit_bulk(engine, [1, 2, 3, 4], batch_rows=2)
    assert scorer.score(accepted.batch_ids[0]) == "finished"
    predict = TestModel.predict_proba

    def cancel_first(model: TestModel, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        with transaction(engine) as connection:
            cancel_job(connection, accepted.job_id, OWNER)
        return predict(model, features)

    monkeypatch.setattr(TestModel, "predict_proba", cancel_first)
    assert scorer.score(accepted.batch_ids[1]) == "fenced"
    assert scorer.score(accepted.batch_ids[1]) == "not_needed"
    job = job_of(engine, accepted.job_id)
    assert (job.status, job.succeeded, job.cancelled) == (JobStatus.CANCELLED, 2, 2)
    assert [row.client_id for row in results(engine, accepted)] == [1, 2]
