"""The trace: the features that are shown are those that were scored, whatever became of the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from shared.jobs.records import cancel_job
from shared.jobs.trace import read_trace
from shared.postgres.engine import transaction
from shared.status import Queue
from tests.integration.jobs.plan_support import plans_of
from tests.integration.worker.scoring_support import features_of, results, score, submit_raw, trace_of
from tests.models import WritingModel, right_answer
from tests.support import OWNER, add_clients, add_model, change_client, submit_bulk, submit_singles
from worker.scoring.scorer import Scorer


def scored(engine: Engine, scorer: Scorer) -> tuple[str, dict[str, Any]]:
    """Score client 1 as it is now; the request id, and the features in its trace."""
    (job,) = submit_singles(engine, [1])
    assert trace_of(engine, job.request_id).features is None  # nothing is scored yet
    score(scorer)
    features = trace_of(engine, job.request_id).features
    assert features is not None
    return str(job.request_id), features


def test_the_trace_shows_features_as_they_were_scored(engine: Engine, scorer: Scorer) -> None:
    """However a client changes, goes and comes back, each answer's trace shows the values behind it."""
    add_clients(engine, 1)
    add_model(engine)
    seen = [scored(engine, scorer)]
    change_client(engine, 1, age=44, monthly_income=None)
    seen.append(scored(engine, scorer))
    with transaction(engine) as connection:
        connection.execute(text("DELETE FROM predictq_data.clients"))
    add_clients(engine, 1)
    seen.append(scored(engine, scorer))
    change_client(engine, 1, age=45)
    first = features_of(1)
    assert [features for _, features in seen] == [first, {**first, "age": 44, "monthly_income": None}, first]
    for request_id, features in seen:
        trace = trace_of(engine, request_id)
        assert (trace.features, trace.features_from) == (features, "clients")
        assert trace.probability == right_answer(**features)


def test_what_a_model_writes_into_its_input_is_in_no_trace(engine: Engine, scorer: Scorer) -> None:
    """The trace shows the features as they were read, singly and in bulk, whatever the model made of its input."""
    add_clients(engine, 3)
    add_model(engine, WritingModel())
    (job,), bulk = submit_singles(engine, [1]), submit_bulk(engine, [1, 2, 3])
    score(scorer)
    score(scorer, Queue.BULK)
    for request_id, client in [
        (job.request_id, 1),
        *zip([r.request_id for r in results(engine, bulk)], (1, 2, 3), strict=True),
    ]:
        trace = trace_of(engine, request_id)
        assert trace.features == features_of(client)
        assert trace.probability == right_answer(**features_of(client))


def test_a_trace_tells_where_its_features_came_from(engine: Engine, scorer: Scorer) -> None:
    """Given in the call, or read from the source; a client that was not there has none, and its error."""
    add_clients(engine, 1)
    add_model(engine)
    given = {"age": 30, "monthly_income": None, "department": "Sales", "over_time": True}
    from_table, from_call = submit_raw(engine, [1, given])
    bulk = submit_bulk(engine, [1, 999])
    score(scorer)
    score(scorer, Queue.BULK)
    traces = [trace_of(engine, job.request_id) for job in (from_table, from_call)]
    assert [(trace.features_from, trace.features) for trace in traces] == [
        ("clients", features_of(1)),
        ("request", given),
    ]
    known, unknown = (trace_of(engine, row.request_id) for row in results(engine, bulk))
    assert (known.job_kind, known.features) == ("bulk", features_of(1))
    assert unknown.error_code == "unknown_client"
    assert unknown.features is None or set(unknown.features.values()) == {None}


def test_what_a_job_had_answered_before_it_was_cancelled_keeps_its_trace(engine: Engine, scorer: Scorer) -> None:
    """Of a cancelled bulk job, and of single jobs that shared a batch; a cancelled row says that it was."""
    add_clients(engine, 3)
    add_model(engine)
    bulk, singles = submit_bulk(engine, [1, 2, 3], batch_rows=2), submit_singles(engine, [1, 2])
    (alone,) = submit_singles(engine, [3])
    assert {trace_of(engine, job.request_id).state for job in (*singles, alone)} == {"open"}
    with transaction(engine) as connection:
        cancel_job(connection, singles[1].job_id, OWNER)
        cancel_job(connection, alone.job_id, OWNER)
    assert trace_of(engine, singles[1].request_id).state == "cancelled"  # its batch is open, for the other one
    score(scorer)
    scorer.work(Queue.BULK)
    with transaction(engine) as connection:
        cancel_job(connection, bulk.job_id, OWNER)
    first, second = bulk.batch_ids
    answered = (f"{first}-0", f"{first}-1", singles[0].request_id)
    for request_id, client in zip(answered, (1, 2, 1), strict=True):
        trace = trace_of(engine, request_id)
        assert (trace.state, trace.features) == ("answered", features_of(client))
        assert trace.probability == right_answer(**features_of(client))
        assert trace.answered_at is not None
    for gone in (f"{second}-0", singles[1].request_id, alone.request_id):
        trace = trace_of(engine, gone)
        assert (trace.state, trace.probability, trace.features, trace.answered_at) == ("cancelled", None, None, None)


def _delete(connection: Connection) -> None:
    connection.execute(text("DELETE FROM predictq_data.clients WHERE client_id = 1"))


def _insert(connection: Connection) -> None:
    connection.execute(
        text("""INSERT INTO predictq_data.clients (client_id, age, monthly_income, department, over_time)
                VALUES (1, 55, 1, 'Sales', true) ON CONFLICT (client_id) DO UPDATE SET age = excluded.age""")
    )


def _change(connection: Connection) -> None:
    connection.execute(text("UPDATE predictq_data.clients SET age = 33 WHERE client_id = 1"))


@pytest.mark.parametrize(
    ("first", "second"),
    [([_delete, _insert], [_insert]), ([_delete], [_insert]), ([_change], [_delete, _insert]), ([_insert], [_delete])],
    ids=["replaced beside an insert", "deleted beside an insert", "changed beside a replace", "beside a delete"],
)
def test_writers_that_cross_can_neither_bend_a_trace_nor_lock_a_client(
    engine: Engine,
    scorer: Scorer,
    first: list[Callable[[Connection], None]],
    second: list[Callable[[Connection], None]],
) -> None:
    """Two sessions delete and insert one client crossways while answers are made: the traces stay what was scored.

    Triggers on the table once numbered its rows; two such writers gave two rows one number, after which a trace showed
    the other's features and nobody could change the client.
    """
    add_clients(engine, 1)
    add_model(engine)
    seen = [scored(engine, scorer)]
    with engine.connect() as one, engine.connect() as other:
        one.begin()
        other.begin()
        other.execute(text("SELECT count(*) FROM predictq_data.clients"))  # its snapshot is of before
        for step in first:
            step(one)
        seen.append(scored(engine, scorer))  # nothing of an open transaction holds scoring back, or is seen
        one.commit()
        for step in second:
            step(other)
        other.commit()
    _run(engine, _insert)
    seen.append(scored(engine, scorer))
    change_client(engine, 1, age=21)  # it can still be changed
    _run(engine, _delete)
    assert [features["age"] for _, features in seen] == [21, 21, 55]
    for request_id, features in seen:
        trace = trace_of(engine, request_id)
        assert trace.features == features
        assert trace.probability == right_answer(**features)


def _run(engine: Engine, step: Callable[[Connection], None]) -> None:
    with transaction(engine) as connection:
        step(connection)


def test_a_trace_looks_for_its_job_in_one_partition(engine: Engine, scorer: Scorer) -> None:
    """Years of jobs are a hundred partitions: to plan for each of them took longer than all the rest."""
    add_clients(engine, 1)
    add_model(engine)
    (single,), bulk = submit_singles(engine, [1]), submit_bulk(engine, [1])
    score(scorer)
    score(scorer, Queue.BULK)
    for request_id in (str(single.request_id), f"{bulk.batch_ids[0]}-0"):
        plans = plans_of(engine, lambda connection, wanted=request_id: read_trace(connection, wanted, OWNER))
        partitions = [node["Relation Name"] for nodes in plans for node in nodes if "Relation Name" in node]
        assert len([name for name in partitions if name.startswith("jobs_")]) == 1
