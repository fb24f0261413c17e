"""Scoring of one batch, in this process: right answers, stated errors, and a trace that holds."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sqlalchemy import Engine, text
from uuid_utils.compat import uuid7

from model.artefact import build_artefact
from shared.accept import Accepted, SingleJob, accept_singles
from shared.batches import claim, extend_lease
from shared.config import Settings
from shared.db import autocommit, transaction
from shared.errors import FenceLost
from shared.jobs import cancel_job
from shared.models import promote_model, register_model
from shared.results import ResultRow, Trace, copy_results, read_results, read_trace, readable
from shared.signature import FeatureKind, FeatureSpec, Signature
from shared.status import JobStatus
from tests.models import TestModel, right_answer
from tests.support import OWNER, add_clients, add_model, change_client, job_of, submit_bulk, submit_singles
from worker.models import ModelStore
from worker.process import ProcessSlot
from worker.scoring import Scorer


@pytest.fixture
def scorer(settings: Settings, engine: Engine) -> Iterator[Scorer]:
    """What a pool process builds after its fork."""
    slot = ProcessSlot(settings, ModelStore(), node="test")
    slot.prepare()
    yield slot.scorer
    slot.scorer.engine.dispose()


def features_of(client_id: int) -> dict[str, Any]:
    """The features that add_clients gives."""
    return {
        "age": 20 + client_id % 40,
        "monthly_income": 1000 + client_id % 997,
        "department": "Sales" if client_id % 3 == 0 else "Research & Development",
        "over_time": client_id % 2 == 0,
    }


def results(engine: Engine, accepted: Accepted) -> list[ResultRow]:
    with autocommit(engine) as connection:
        extent = readable(connection, accepted.job_id)
        assert extent is not None
        return read_results(connection, accepted.job_id, end=extent.end, after=0, limit=100_000)


def trace_of(engine: Engine, request_id: int) -> Trace:
    with autocommit(engine) as connection:
        return read_trace(connection, request_id, OWNER)


def register(engine: Engine, estimator: Any, signature: Signature, *, threshold: float = 0.5) -> int:
    """Make a model with a signature of its own live."""
    artefact = build_artefact(estimator, signature, threshold, name="own")
    with transaction(engine) as connection:
        version = register_model(
            connection,
            name="own",
            sha256=artefact.metadata.sha256,
            signature=signature,
            threshold=threshold,
            metadata=artefact.metadata.to_json(),
            artefact=artefact.content,
        ).version
        promote_model(connection, version)
    return version


def submit_raw(engine: Engine, given: Sequence[dict[str, Any] | int]) -> list[Accepted]:
    """One batch of single jobs, some with features of their own and some naming clients."""
    jobs = [
        SingleJob(uuid7(), OWNER, item)
        if isinstance(item, int)
        else SingleJob(uuid7(), OWNER, features=json.dumps(item))
        for item in given
    ]
    with autocommit(engine) as connection:
        answers = accept_singles(connection, jobs, grace_seconds=0)
    assert all(isinstance(answer, Accepted) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Accepted)]


def score(scorer: Scorer, accepted: Accepted) -> list[str]:
    return [scorer.score(batch_id) for batch_id in accepted.batch_ids]


@pytest.mark.parametrize(("count", "batch_rows"), [(1, 100), (99, 100), (100, 100), (101, 100), (250, 100), (7, 1)])
def test_every_row_gets_its_own_right_answer(engine: Engine, scorer: Scorer, count: int, batch_rows: int) -> None:
    """Rows come back in submission order, each with the probability, label, versions and fence that are its own."""
    add_clients(engine, count)
    version = add_model(engine, threshold=0.4)
    client_ids = [*range(count, 0, -2), *range(count - 1, 0, -2)]  # not in id order
    accepted = submit_bulk(engine, client_ids, batch_rows=batch_rows)
    assert len(accepted.batch_ids) == math.ceil(count / batch_rows)
    for batch_id in reversed(accepted.batch_ids):  # whichever batch comes first
        assert scorer.score(batch_id) == "finished"
    rows = results(engine, accepted)
    assert [row.client_id for row in rows] == client_ids
    for row in rows:
        assert row.client_id is not None
        expected = right_answer(**features_of(row.client_id))
        assert (row.probability, row.label, row.threshold) == (expected, int(expected >= 0.4), 0.4)
        assert (row.model_version, row.error_code) == (version, None)
        trace = trace_of(engine, row.request_id)
        assert (trace.client_version, trace.fence, trace.attempts) == (1, 1, 1)
    assert job_of(engine, accepted.job_id).status is JobStatus.SUCCEEDED


def test_a_label_at_the_threshold_is_positive(engine: Engine, scorer: Scorer) -> None:
    """A probability equal to the threshold is labelled 1, the next one below 0."""
    add_clients(engine, 1)
    add_model(engine, threshold=right_answer(**features_of(1)))
    (job,) = submit_singles(engine, [1])
    score(scorer, job)
    assert job_of(engine, job.job_id).label == 1
    add_model(engine, threshold=math.nextafter(right_answer(**features_of(1)), 1))
    (job,) = submit_singles(engine, [1])
    score(scorer, job)
    assert job_of(engine, job.job_id).label == 0


@dataclass
class Echo:
    """The probability is the feature `pay%`."""

    def __post_init__(self) -> None:
        self.classes_ = np.array(["stay", "go"])

    def predict_proba(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Shape (rows, 2)."""
        positive = features["pay%"].fillna(0.125).to_numpy(dtype=np.float64)
        return np.column_stack([1 - positive, positive])


ECHO = Signature(
    (
        FeatureSpec("pay%", FeatureKind.NUMBER, nullable=True),
        FeatureSpec("given", FeatureKind.INTEGER, nullable=True),
        FeatureSpec('a "quoted" name', FeatureKind.CATEGORY, nullable=True),
        FeatureSpec("age", FeatureKind.NUMBER, nullable=True),
    )
)
EXACT = [
    0.0,
    1.0,
    1 / 3,
    0.1,
    0.1 + 0.2,
    5e-324,
    2.2250738585072014e-308,
    math.nextafter(1, 0),
    1e-17,
    0.9999999999999999,
]


def test_probabilities_survive_to_the_last_bit(engine: Engine, scorer: Scorer) -> None:
    """What the model answered is what is read, bit for bit, from features given in the call."""
    artefact = build_artefact(Echo(), ECHO, 0.5, name="echo", positive_class="go")
    with transaction(engine) as connection:
        version = register_model(
            connection, name="echo", sha256=artefact.metadata.sha256, signature=ECHO, threshold=0.5,
            metadata=artefact.metadata.to_json(), artefact=artefact.content,
        ).version  # fmt: skip
        promote_model(connection, version)
    jobs = submit_raw(engine, [{"pay%": value, 'a "quoted" name': 'x,"\\\n\t'} for value in EXACT] + [{}])
    score(scorer, jobs[0])
    assert [job_of(engine, job.job_id).probability for job in jobs] == [*EXACT, 0.125]


def test_given_features_and_clients_share_a_batch(engine: Engine, scorer: Scorer) -> None:
    """Features given in a call are scored as given beside clients from the table, whole numbers in any notation."""
    add_clients(engine, 2)
    add_model(engine)
    given = {"age": 30.0, "monthly_income": None, "department": "Sales", "over_time": True}
    without = {"age": 3.1e1, "department": "Research & Development", "over_time": False}
    jobs = submit_raw(engine, [1, given, 2, without])
    score(scorer, jobs[0])
    answers = [job_of(engine, job.job_id).probability for job in jobs]
    assert answers == [
        right_answer(**features_of(1)),
        right_answer(30, None, "Sales", True),
        right_answer(**features_of(2)),
        right_answer(31, None, "Research & Development", False),
    ]
    assert jobs[1].request_id is not None
    trace = trace_of(engine, jobs[1].request_id)
    assert (trace.features_from, trace.features, trace.client_version) == ("request", given, None)


def test_a_feature_that_no_table_has_is_missing_for_clients(engine: Engine, scorer: Scorer) -> None:
    """A model may need what `clients` does not hold: then a client's row states what is missing."""
    add_clients(engine, 1)
    register(engine, TestModel(), Signature((FeatureSpec("shoe_size", FeatureKind.INTEGER),)))
    accepted = submit_bulk(engine, [1])
    score(scorer, accepted)
    (row,) = results(engine, accepted)
    assert (row.error_code, row.error_detail) == ("missing_feature", "shoe_size is missing")


def test_each_bad_row_states_its_own_error(engine: Engine, scorer: Scorer) -> None:
    """An unknown client, a missing and an unknown value, a NaN answer and a raising model cost their row alone."""
    add_clients(engine, 20)
    add_model(engine, TestModel(poisonous=True))
    change_client(engine, 3, age=None)
    change_client(engine, 4, department="Human Resources")
    change_client(engine, 5, monthly_income=None)
    change_client(engine, 6, age=63)
    change_client(engine, 7, age=60)
    accepted = submit_bulk(engine, [*range(1, 9), 999, *range(9, 21)])
    assert score(scorer, accepted) == ["finished"]
    rows = {row.client_id: row for row in results(engine, accepted)}
    errors = {key: (row.error_code, row.error_detail) for key, row in rows.items() if row.error_code}
    assert errors == {
        999: ("unknown_client", "there is no such client"),
        3: ("missing_feature", "age is missing"),
        4: (
            "invalid_feature",
            "department must be one of 'Research & Development', 'Sales'; got 'Human Resources'",
        ),
        6: ("invalid_probability", "the model answered nan, which is no probability"),
        7: ("model_failed", "the model raised ValueError: age 60 is more than I can take"),
    }
    for client_id in {*range(1, 21)} - {3, 4, 5, 6, 7}:
        assert rows[client_id].probability == right_answer(**features_of(client_id))
    assert rows[5].probability == right_answer(**{**features_of(5), "monthly_income": None})
    job = job_of(engine, accepted.job_id)
    assert (job.status, job.succeeded, job.failed) == (JobStatus.SUCCEEDED, 16, 5)


def test_a_job_of_errors_alone_has_failed(engine: Engine, scorer: Scorer) -> None:
    """When no row has an answer, the job is failed and its counts say so."""
    add_model(engine)
    accepted = submit_bulk(engine, [1, 2, 3])
    score(scorer, accepted)
    job = job_of(engine, accepted.job_id)
    assert (job.status, job.succeeded, job.failed) == (JobStatus.FAILED, 0, 3)


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


def expire(engine: Engine) -> None:
    """Let every lease run out now."""
    with transaction(engine) as connection:
        connection.execute(text("UPDATE prediction_batches SET lease_until = now() WHERE status = 'running'"))


def lost_attempts(engine: Engine, accepted: Accepted, attempts: int) -> None:
    """Claims whose workers died."""
    for _ in range(attempts):
        for batch_id in accepted.batch_ids:
            assert claim(engine, batch_id, worker="dead", lease_seconds=60) is not None
        expire(engine)


def test_rows_that_kill_or_hang_the_model_are_found_at_the_last_attempt(
    engine: Engine, scorer: Scorer, settings: Settings
) -> None:
    """After two lost workers the third finds the row that kills and the row that hangs, and answers all others."""
    add_clients(engine, 3)
    add_model(engine, TestModel(poisonous=True))
    change_client(engine, 2, age=61)
    change_client(engine, 3, age=62)
    accepted = submit_bulk(engine, [1, 2, 3])
    lost_attempts(engine, accepted, 2)
    patient = replace(scorer, settings=settings.model_copy(update={"batch_timeout_seconds": 0.4}))
    assert score(patient, accepted) == ["finished"]
    rows = {row.client_id: row for row in results(engine, accepted)}
    assert {key: row.error_detail for key, row in rows.items() if row.error_code == "model_failed"} == {
        2: "the model ended its process (signal 9)",
        3: "the model did not answer within 0.4 s",
    }
    assert rows[1].probability == right_answer(**features_of(1))


def corrupt(engine: Engine, change: dict[str, Any], content: bytes | None = None) -> int:
    """Register and promote a model whose metadata do not fit."""
    artefact = build_artefact(TestModel(), Signature(()), 0.5, name="bad")
    with transaction(engine) as connection:
        version = register_model(
            connection,
            name="bad",
            sha256=artefact.metadata.sha256,
            signature=Signature(()),
            threshold=0.5,
            metadata={**artefact.metadata.to_json(), **change},
            artefact=content or artefact.content,
        ).version
        promote_model(connection, version)
    return version


@pytest.mark.parametrize(
    ("change", "content", "words"),
    [
        ({}, b"cut", "digest"),
        ({"library_versions": {"scikit-learn": "0.1"}}, None, "scikit-learn 0.1"),
        ({"library_versions": None}, None, "metadata is not as the training wrote it"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_stated_on_every_row(
    engine: Engine, scorer: Scorer, change: dict[str, Any], content: bytes | None, words: str
) -> None:
    """After the attempt cap every row says why its model is unavailable; batches of good models go on meanwhile."""
    add_clients(engine, 3)
    corrupt(engine, change, content)
    accepted = submit_bulk(engine, [1, 2, 999])
    add_model(engine)
    good = submit_bulk(engine, [3])
    for attempt in range(3):
        assert score(scorer, accepted) == ["finished" if attempt == 2 else "failed"]
        expire(engine)
        if attempt == 0:
            assert score(scorer, good) == ["finished"]
    rows = results(engine, accepted)
    assert {row.error_code for row in rows} == {"model_unavailable"}
    assert all(words in (row.error_detail or "") for row in rows)
    assert len(rows) == 3


def test_a_batch_that_cannot_be_read_is_given_up_with_a_stated_error(engine: Engine, scorer: Scorer) -> None:
    """Even features that slipped past every check end in a stated error, not in endless tries."""
    add_model(engine)
    (job,) = submit_raw(engine, [{"age": "old", "department": "Sales", "over_time": True}])
    outcomes = []
    for _ in range(4):
        outcomes += score(scorer, job)
        expire(engine)
    assert outcomes == ["failed", "failed", "failed", "finished"]
    record = job_of(engine, job.job_id)
    assert (record.status, record.error_code) == (JobStatus.FAILED, "model_failed")


def test_a_process_apart_that_cannot_start_gives_the_batch_back(
    engine: Engine, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the process apart cannot start, no row is blamed: the batch is tried again."""
    add_clients(engine, 1)
    add_model(engine)
    accepted = submit_bulk(engine, [1])
    lost_attempts(engine, accepted, 2)
    monkeypatch.setattr("worker.isolation.sys.executable", "/bin/false")
    assert score(scorer, accepted) == ["failed"]
    monkeypatch.undo()
    expire(engine)
    assert score(scorer, accepted) == ["finished"]
    assert job_of(engine, accepted.job_id).succeeded == 1


def test_a_job_keeps_the_model_it_was_accepted_with(engine: Engine, scorer: Scorer) -> None:
    """A promotion between acceptance and scoring changes new jobs only; one process serves many versions."""
    add_clients(engine, 1)
    pinned = []
    for number in range(6):  # more than a process keeps loaded
        version = add_model(engine, TestModel(offset=number / 1000))
        pinned.append((version, number, submit_bulk(engine, [1])))
    for version, number, accepted in [*pinned, *pinned[:1]]:
        score(scorer, accepted)
        (row,) = results(engine, accepted)
        assert row.model_version == version
        assert row.probability == right_answer(**features_of(1)) + number / 1000


def test_a_zombie_cannot_extend_or_end_what_another_claimed(engine: Engine, scorer: Scorer) -> None:
    """A heartbeat of an old claim is refused, and the newer claim's answers carry the newer fence."""
    add_clients(engine, 1)
    add_model(engine)
    accepted = submit_bulk(engine, [1])
    old = claim(engine, accepted.batch_ids[0], worker="zombie", lease_seconds=60)
    assert old is not None
    expire(engine)
    assert score(scorer, accepted) == ["finished"]
    with pytest.raises(FenceLost, match="claim 1 is no longer the newest"):
        extend_lease(engine, old, lease_seconds=60)
    (row,) = results(engine, accepted)
    assert trace_of(engine, row.request_id).fence == 2
