"""Scoring in one process: right answers, to the last bit, and a stated error for each bad row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sqlalchemy import Engine, text

from model.artefact import build_artefact
from shared.models.registry import promote_version
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.postgres.engine import autocommit, driver_connection, transaction
from shared.sources.source import read_source
from shared.sources.sql import key_sql
from shared.status import JobStatus, Queue
from tests.integration.worker.scoring_support import features_of, results, score, submit_raw, trace_of
from tests.models import SIGNATURE, TestModel, right_answer
from tests.support import add_clients, add_model, change_client, job_of, register_artefact, submit_bulk, submit_singles
from worker.scoring.scorer import Scorer
from worker.sources.columns import plan_columns
from worker.sources.statements import query_by_keys, session


@pytest.mark.parametrize(("count", "batch_rows"), [(1, 100), (99, 100), (100, 100), (101, 100), (250, 100), (7, 1)])
def test_every_row_gets_its_own_right_answer(engine: Engine, scorer: Scorer, count: int, batch_rows: int) -> None:
    """Rows come back in submission order, each with the probability, label, features and fence that are its own."""
    add_clients(engine, count)
    version = add_model(engine, threshold=0.4)
    client_ids = [*range(count, 0, -2), *range(count - 1, 0, -2)]  # not in order of client id
    accepted = submit_bulk(engine, client_ids, batch_rows=batch_rows)
    assert len(accepted.batch_ids) == math.ceil(count / batch_rows)
    assert score(scorer, Queue.BULK) == ["finished"] * len(accepted.batch_ids)
    rows = results(engine, accepted)
    assert [row.client_id for row in rows] == client_ids
    for row in rows:
        assert row.client_id is not None
        expected = right_answer(**features_of(row.client_id))
        assert (row.probability, row.label, row.threshold) == (expected, int(expected >= 0.4), 0.4)
        assert (row.model_version, row.error_code) == (version, None)
        trace = trace_of(engine, row.request_id)
        assert (trace.features, trace.fence, trace.attempts) == (features_of(row.client_id), 1, 1)
    assert job_of(engine, accepted.job_id).status is JobStatus.SUCCEEDED


@pytest.mark.parametrize("step", [2, 700])  # clients side by side in the table, and far apart
def test_a_row_that_is_asked_for_twice_is_answered_twice(engine: Engine, scorer: Scorer, step: int) -> None:
    """Whatever the order of the keys, and however often one comes: each row has the answer of its own client."""
    add_clients(engine, 100)
    add_clients(engine, 1, first=step * 100)
    add_model(engine)
    asked = [step * 100, *(n * 37 % 101 for n in range(1, 100)), 5, 5, step * 100]
    accepted = submit_bulk(engine, asked, batch_rows=1000)
    assert score(scorer, Queue.BULK) == ["finished"]
    rows = results(engine, accepted)
    assert [row.client_id for row in rows] == asked
    assert [row.probability for row in rows] == [right_answer(**features_of(number)) for number in asked]


@pytest.mark.parametrize("memory", ["64kB", "512MB"])
def test_clients_are_read_by_their_index_whatever_the_memory(engine: Engine, scorer: Scorer, memory: str) -> None:
    """A batch's clients are looked up by key, never by reading the table; what the planner is told for it ends there.

    With much memory it would hash the whole table.
    """
    add_clients(engine, 20_000)
    with transaction(engine) as connection:
        connection.execute(text("ANALYZE predictq_data.clients"))
    keys = np.arange(1, 20_000, 20, dtype=np.int64)
    with autocommit(scorer.engine) as connection:
        source = read_source(connection, "clients")
        query = query_by_keys(
            driver_connection(connection),
            source,
            key_sql(source.key, None),
            plan_columns(source, SIGNATURE),
            keys,
        )
        told = session(source)
        connection.exec_driver_sql(f"SET work_mem = '{memory}'")
        plan = "\n".join(connection.exec_driver_sql(f"{told}EXPLAIN {query}").scalars())
        assert "clients_pkey" in plan
        assert "Seq Scan" not in plan
        assert connection.exec_driver_sql("SHOW enable_hashjoin").scalar_one() == "on"
        connection.exec_driver_sql("RESET work_mem")


def test_a_label_at_the_threshold_is_positive(engine: Engine, scorer: Scorer) -> None:
    """A probability equal to the threshold is labelled 1, the next one below 0."""
    add_clients(engine, 1)
    add_model(engine, threshold=right_answer(**features_of(1)))
    (job,) = submit_singles(engine, [1])
    score(scorer)
    assert job_of(engine, job.job_id).label == 1
    add_model(engine, threshold=math.nextafter(right_answer(**features_of(1)), 1))
    (job,) = submit_singles(engine, [1])
    score(scorer)
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
        promote_version(connection, register_artefact(connection, artefact))
    jobs = submit_raw(engine, [{"pay%": value, 'a "quoted" name': 'x,"\\\n\t'} for value in EXACT] + [{}])
    score(scorer)
    assert [job_of(engine, job.job_id).probability for job in jobs] == [*EXACT, 0.125]


def test_a_whole_number_beyond_what_a_double_holds_is_a_number(engine: Engine, scorer: Scorer) -> None:
    """Where a feature of decimals is given as one: the nearest double, as everywhere; its neighbours have answers."""
    artefact = build_artefact(Echo(), ECHO, 0.5, name="echo", positive_class="go")
    with transaction(engine) as connection:
        promote_version(connection, register_artefact(connection, artefact))
    jobs = submit_raw(engine, [{"pay%": 0.25, "age": 2**53 + 1}, {"pay%": 0.5, "age": 10**30}])
    score(scorer)
    found = [job_of(engine, job.job_id) for job in jobs]
    assert [job.probability for job in found] == [0.25, 0.5]
    traces = [trace_of(engine, job.request_id).features or {} for job in found]
    assert [trace["age"] for trace in traces] == [float(2**53 + 1), 1e30]


def test_given_features_and_clients_come_at_once(engine: Engine, scorer: Scorer) -> None:
    """Features given in a call are scored as given beside clients from the table, whole numbers in any notation."""
    add_clients(engine, 2)
    add_model(engine)
    given = {"age": 30.0, "monthly_income": None, "department": "Sales", "over_time": True}
    without = {"age": 3.1e1, "department": "Research & Development", "over_time": False}
    jobs = submit_raw(engine, [1, given, 2, without])
    score(scorer)
    answers = [job_of(engine, job.job_id).probability for job in jobs]
    assert answers == [
        right_answer(**features_of(1)),
        right_answer(30, None, "Sales", True),
        right_answer(**features_of(2)),
        right_answer(31, None, "Research & Development", False),
    ]
    trace = trace_of(engine, jobs[1].request_id)
    assert (trace.features_from, trace.features) == ("request", given)


def test_a_batch_may_have_both(engine: Engine, scorer: Scorer) -> None:
    """As a gateway of an earlier release accepts them: each row has its own features."""
    add_clients(engine, 2)
    add_model(engine)
    given = {"age": 30, "monthly_income": 7, "department": "Sales", "over_time": True}
    jobs = submit_raw(engine, [given, given, given])
    mixed = "keys_int8 = '{NULL,2,NULL}', given = ARRAY[given[1], NULL, given[3]]"
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE predictq.batch_requests_0 DISABLE TRIGGER USER"))  # pages never change
        connection.execute(text(f"UPDATE predictq.batch_requests SET {mixed}"))
    score(scorer)
    answers = [job_of(engine, job.job_id).probability for job in jobs]
    own = right_answer(30, 7, "Sales", True)
    assert answers == [own, right_answer(**features_of(2)), own]


def test_a_feature_that_no_table_has_is_missing_for_clients(engine: Engine, scorer: Scorer) -> None:
    """A model may need what `clients` does not hold: then a client's row states what is missing."""
    add_clients(engine, 1)
    add_model(engine, signature=Signature((FeatureSpec("shoe_size", FeatureKind.INTEGER),)))
    accepted = submit_bulk(engine, [1])
    score(scorer, Queue.BULK)
    (row,) = results(engine, accepted)
    assert (row.error_code, row.error_detail) == ("missing_feature", "the source has no column shoe_size")


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
    assert score(scorer, Queue.BULK) == ["finished"]
    rows = {row.client_id: row for row in results(engine, accepted)}
    errors = {key: (row.error_code, row.error_detail) for key, row in rows.items() if row.error_code}
    assert errors == {
        999: ("unknown_client", "there is no such client"),
        3: ("missing_feature", "age is missing"),
        4: (
            "invalid_feature",
            "department must be one of 'Research & Development', 'Sales'",
        ),
        6: ("invalid_probability", "the model answered nan, which is no probability, or 0 for both classes"),
        7: ("model_failed", "the model raised ValueError"),
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
    score(scorer, Queue.BULK)
    job = job_of(engine, accepted.job_id)
    assert (job.status, job.succeeded, job.failed) == (JobStatus.FAILED, 0, 3)
