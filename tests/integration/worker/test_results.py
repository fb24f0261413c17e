"""What becomes of scored rows: exports, partial results, cancelled jobs."""

from __future__ import annotations

import csv
import io
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sqlalchemy import Engine, text

import shared.jobs.results
from shared.jobs.accepting.singles import Accepted
from shared.jobs.records import cancel_job
from shared.jobs.results import Readable, copy_results, read_errors, readable
from shared.pages.request_id import parse_request_id
from shared.postgres.engine import autocommit, transaction
from shared.status import JobStatus, Queue
from tests.integration.jobs.jobs_support import answer, take
from tests.integration.worker.scoring_support import results, score, trace_of
from tests.models import TestModel
from tests.support import OWNER, add_clients, add_model, job_of, read_results, submit_bulk, submit_singles
from worker.scoring.scorer import Scorer


class Rude(TestModel):
    """Raises an error whose name is hard to store; its text has a feature in it."""

    def predict_proba(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Never."""
        named = type('Quote ", comma, back\\slash, ünïcode 😀\nsecond line', (RuntimeError,), {})
        raise named(f"ages {list(features['age'])}, nul \x00, lone \ud800")


def test_awkward_error_texts_are_stored_and_exported(engine: Engine, scorer: Scorer) -> None:
    """Whatever a model raises, its type is stored, and comes out of CSV and NDJSON as it is read row by row."""
    add_clients(engine, 3)
    add_model(engine, Rude())
    accepted = submit_bulk(engine, [1, 2, 3], batch_rows=2)
    assert score(scorer, Queue.BULK) == ["finished", "finished"]
    rows = results(engine, accepted)
    assert [row.error_detail for row in rows] == ['the model raised Quote ", comma, back\\slash, ünïcode 😀'] * 3
    assert exported(engine, accepted) == [vars(row) for row in rows]


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


class Tenths(TestModel):
    """Answers a probability that takes 17 digits."""

    def predict_proba(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """0.1 + 0.2 for every row."""
        return np.tile([1 - (0.1 + 0.2), 0.1 + 0.2], (len(features), 1))


def test_numbers_come_back_exactly_whatever_the_database_is_set_to(engine: Engine, scorer: Scorer) -> None:
    """A database that writes fewer digits, and dates in its own way, rounds no answer and no threshold."""
    add_clients(engine, 1)
    with autocommit(engine) as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        for setting in ("extra_float_digits = 0", "datestyle = 'SQL, DMY'", "bytea_output = 'escape'"):
            connection.execute(text(f"ALTER DATABASE {name} SET {setting}"))
    for each in (engine, scorer.engine):
        each.dispose()  # new connections take the settings of the database
    add_model(engine, Tenths(), threshold=1 / 3)
    (single,), bulk = submit_singles(engine, [1]), submit_bulk(engine, [1])
    assert score(scorer) + score(scorer, Queue.BULK) == ["finished", "finished"]
    assert [(row["probability"], row["threshold"]) for row in exported(engine, bulk)] == [(0.1 + 0.2, 1 / 3)]
    trace = trace_of(engine, single.request_id)
    assert (trace.probability, trace.threshold) == (0.1 + 0.2, 1 / 3)
    job = job_of(engine, single.job_id)
    assert (job.probability, job.threshold) == (0.1 + 0.2, 1 / 3)


def test_exports_equal_what_is_read(engine: Engine, scorer: Scorer) -> None:
    """CSV and NDJSON hold the same rows, in the same order, as reading page by page."""
    add_clients(engine, 30)
    add_model(engine)
    accepted = submit_bulk(engine, [*range(30, 0, -1), 999], batch_rows=7)
    score(scorer, Queue.BULK)
    rows = results(engine, accepted)
    assert len(rows) == 31
    assert exported(engine, accepted) == [vars(row) for row in rows]
    with autocommit(engine) as connection:
        paged: list[dict[str, Any]] = []
        last = None
        while page := read_results(connection, accepted.job_id, end=2**60, after=last, limit=4):
            paged += page
            last = parse_request_id(page[-1]["request_id"])
    assert [SimpleNamespace(**row) for row in paged] == rows


def test_rows_with_an_error_are_read_alone(engine: Engine, scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """In JSON, NDJSON and CSV alike, those with one code or all, however few pages are gone through for a part."""
    add_clients(engine, 6)
    add_model(engine)
    accepted = submit_bulk(engine, [1, 901, 2, 3, 4, 5, 902, 903, 6, 904], batch_rows=2)
    score(scorer, Queue.BULK)
    wanted = [vars(row) for row in results(engine, accepted) if row.error_code]
    assert [row["client_id"] for row in wanted] == [901, 902, 903, 904]
    for pages in (2, 50):
        monkeypatch.setattr(shared.jobs.results, "_ERROR_PAGES", pages)
        for code, rows in ((None, wanted), ("unknown_client", wanted), ("model_failed", [])):
            for limit in (1, 3, 4, 100):
                assert errors_in_parts(engine, accepted, code, limit) == rows, (pages, code, limit)
    as_json, as_csv = io.BytesIO(), io.BytesIO()
    only = {"only_errors": True, "code": "unknown_client"}
    with transaction(engine) as connection:
        copy_results(connection, accepted.job_id, end=2**60, target=as_json, as_json=True, **only)  # type: ignore[arg-type]
        copy_results(connection, accepted.job_id, end=2**60, target=as_csv, **only)  # type: ignore[arg-type]
    assert [json.loads(line) for line in as_json.getvalue().splitlines()] == wanted
    table = list(csv.DictReader(io.StringIO(as_csv.getvalue().decode(), newline="")))
    assert table == [{name: "" if value is None else str(value) for name, value in item.items()} for item in wanted]


def errors_in_parts(engine: Engine, accepted: Accepted, code: str | None, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after, has_more = None, True
    with autocommit(engine) as connection:
        while has_more:
            part = read_errors(connection, accepted.job_id, end=2**60, after=after, limit=limit, code=code)
            assert part.count <= limit
            found += json.loads(b"[%b]" % part.rows)
            after, has_more = part.last, part.has_more
    return found


def test_results_end_where_the_first_open_batch_begins(engine: Engine) -> None:
    """A reader who goes on from where it stopped misses no row, though batches finish in any order."""
    add_clients(engine, 9)
    add_model(engine)
    accepted = submit_bulk(engine, list(range(1, 10)), batch_rows=3)
    first, middle, last = take(engine), take(engine), take(engine)
    assert extent_of(engine, accepted) is None
    answer(engine, last)
    assert [row.client_id for row in results(engine, accepted)] == []
    answer(engine, first)
    assert extent_of(engine, accepted) == Readable(middle.batch_id, complete=False)
    assert [row.client_id for row in results(engine, accepted)] == [1, 2, 3]
    assert len(exported(engine, accepted)) == 3
    answer(engine, middle)
    assert [row.client_id for row in results(engine, accepted)] == list(range(1, 10))
    assert extent_of(engine, accepted) == Readable(last.batch_id + 1, complete=True)


def extent_of(engine: Engine, accepted: Accepted) -> Readable | None:
    with autocommit(engine) as connection:
        return readable(connection, accepted.job_id)


def test_a_single_job_has_its_own_row_among_its_batch(engine: Engine, scorer: Scorer) -> None:
    """Single jobs share a batch, never each other's results."""
    add_clients(engine, 3)
    add_model(engine)
    jobs = submit_singles(engine, [1, 2, 3])
    score(scorer)
    for number, job in enumerate(jobs, 1):
        assert [row.client_id for row in results(engine, job)] == [number]


def test_a_cancelled_single_is_left_out(engine: Engine, scorer: Scorer) -> None:
    """A cancelled request gets no output; its neighbours in the batch get theirs."""
    add_clients(engine, 3)
    add_model(engine)
    jobs = submit_singles(engine, [1, 2, 3])
    with transaction(engine) as connection:
        cancel_job(connection, jobs[1].job_id, OWNER)
    assert score(scorer) == ["finished"]
    assert [job_of(engine, job.job_id).status for job in jobs] == ["succeeded", "cancelled", "succeeded"]
    assert job_of(engine, jobs[1].job_id).probability is None


def test_answers_of_a_job_cancelled_meanwhile_are_dropped(
    engine: Engine, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bulk job cancelled while a batch is scored keeps what was committed before, and takes nothing after."""
    add_clients(engine, 4)
    add_model(engine)
    accepted = submit_bulk(engine, [1, 2, 3, 4], batch_rows=2)
    assert scorer.work(Queue.BULK) == ["finished"]
    predict = TestModel.predict_proba

    def cancel_first(model: TestModel, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        with transaction(engine) as connection:
            cancel_job(connection, accepted.job_id, OWNER)
        return predict(model, features)

    monkeypatch.setattr(TestModel, "predict_proba", cancel_first)
    assert scorer.work(Queue.BULK) == ["fenced"]
    assert scorer.work(Queue.BULK) == ["not_needed"]
    job = job_of(engine, accepted.job_id)
    assert (job.status, job.succeeded, job.cancelled) == (JobStatus.CANCELLED, 2, 2)
    assert [row.client_id for row in results(engine, accepted)] == [1, 2]
