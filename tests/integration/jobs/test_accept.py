"""Acceptance: idempotent, in order, in flat memory, and refused with words that say what to do."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from uuid_utils.compat import uuid7

from shared.errors import (
    ClientUnknown,
    FilterRefused,
    IdempotencyKeyInFlight,
    IdempotencyKeyReused,
    ModelChanged,
    NoLiveModel,
    NothingSelected,
    PredictqError,
)
from shared.jobs.accepting.bulk import BulkJob, accept_keys, accept_selection
from shared.jobs.accepting.key_pages import KeyPage, ListedIds
from shared.jobs.accepting.singles import Accepted, SingleJob, Target, accept_singles
from shared.postgres.engine import autocommit
from shared.sources.keys import ClientKey
from shared.sources.lookup import Lookup
from shared.sources.selection import selection_query
from shared.sources.source import read_source
from shared.status import JobStatus, Queue
from tests.support import OWNER, add_clients, add_model, change_client, job_of, wait_until


def accept(engine: Engine, *jobs: SingleJob) -> list[Accepted | PredictqError]:
    with autocommit(engine) as connection:
        return accept_singles(connection, jobs)


CLIENT_IS_KNOWN = "(SELECT true FROM predictq_data.clients c WHERE c.client_id = i.key_int8) IS NOT NULL"
SAMPLE = Target(storage="int8", lookup=Lookup("clients", CLIENT_IS_KNOWN), source_id=1)


def single(client_id: int = 1, **values: Any) -> SingleJob:
    return SingleJob(uuid7(), values.pop("owner", OWNER), SAMPLE, ClientKey(str(client_id)), **values)


def bulk(**values: Any) -> BulkJob:
    return BulkJob(uuid7(), OWNER, values.pop("batch_rows", 3), Target(storage="int8"), **values)


def client_ids_of(engine: Engine, job_id: UUID) -> list[int]:
    with autocommit(engine) as connection:
        query = text("""SELECT client_id::bigint FROM predictq.prediction_requests
                        WHERE job_id = :id ORDER BY batch_id, row_number""")
        return list(connection.execute(query, {"id": job_id}).scalars())


_STORED = """
SELECT (SELECT count(*) FROM predictq.jobs), (SELECT count(*) FROM predictq.prediction_batches),
       (SELECT count(*) FROM predictq.batch_requests), (SELECT count(*) FROM predictq.idempotency_keys)
"""


def stored(engine: Engine) -> tuple[int, ...]:
    """How many jobs, open batches, pages of requests and idempotency keys there are."""
    with autocommit(engine) as connection:
        return tuple(connection.execute(text(_STORED)).one())


class CountedIds:
    """The ids from 0 on, made as they are read; `pause` is called after the first page."""

    def __init__(self, count: int, pause: Any = None) -> None:
        self._count = count
        self._pause = pause

    def pages(self, rows: int) -> Iterator[KeyPage]:
        for first in range(0, self._count, rows):
            yield KeyPage(",".join(map(str, range(first, min(first + rows, self._count)))).encode())
            if self._pause is not None:
                self._pause()


def test_a_known_key_answers_with_the_earlier_job(ready: Engine) -> None:
    """The same key and payload give the same job and nothing to publish; another payload is refused."""
    key: dict[str, Any] = {"idempotency_key": "k", "payload_hash": "a" * 64}
    (first,) = accept(ready, single(**key))
    assert isinstance(first, Accepted)
    again, other, stranger = accept(
        ready, single(**key), single(idempotency_key="k", payload_hash="b" * 64), single(owner="other", **key)
    )
    assert isinstance(again, Accepted)
    assert (again.job_id, again.request_id) == (first.job_id, first.request_id)
    assert (again.batch_ids, again.replayed) == ((), True)
    assert isinstance(other, IdempotencyKeyReused)
    assert isinstance(stranger, Accepted)
    assert not stranger.replayed
    assert stored(ready) == (2, 2, 2, 2)
    with pytest.raises(IdempotencyKeyReused):
        accept_keys(ready, bulk(idempotency_key="k", payload_hash="b" * 64), ListedIds([1]), 1)
    replay = accept_keys(ready, bulk(**key), ListedIds([1]), 1)
    assert (replay.job_id, replay.replayed) == (first.job_id, True)


def test_a_client_of_a_table_that_is_filled_anew_is_there(ready: Engine) -> None:
    """Whoever waits for the table's lock has a snapshot from before it, which sees an empty table."""
    found: list[Accepted | PredictqError] = []
    caller = threading.Thread(target=lambda: found.extend(accept(ready, single(2), single(999))))
    with ready.begin() as connection:
        accept(ready, single())  # on another connection, where the statement is ready from now on
        connection.execute(text("CREATE TEMPORARY TABLE kept ON COMMIT DROP AS TABLE predictq_data.clients"))
        connection.execute(text("TRUNCATE predictq_data.clients"))
        connection.execute(text("INSERT INTO predictq_data.clients SELECT * FROM kept"))
        caller.start()
        with autocommit(ready) as watcher:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation IS NOT NULL")
            wait_until(lambda: bool(watcher.execute(waiting).scalar()), seconds=30, what="the call waits for the table")
    caller.join(30)
    known, unknown = found
    assert isinstance(known, Accepted), known
    assert isinstance(unknown, ClientUnknown)


def test_one_key_twice_in_a_group_is_one_job(ready: Engine) -> None:
    """Two calls with one key that share a commit are one job; the group's other jobs are not touched."""
    key: dict[str, Any] = {"idempotency_key": "k", "payload_hash": "a" * 64}
    first, second, third, other = accept(
        ready, single(1, **key), single(1, **key), single(1, idempotency_key="k", payload_hash="c" * 64), single(2)
    )
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert first.job_id == second.job_id
    assert {first.replayed, second.replayed} == {False, True}
    assert isinstance(third, IdempotencyKeyReused)
    assert isinstance(other, Accepted)


def test_bulk_jobs_replay_too(ready: Engine) -> None:
    """A bulk job sent again is the same job, whichever form selects its rows."""
    key: dict[str, Any] = {"idempotency_key": "k", "payload_hash": "a" * 64}
    first = accept_keys(ready, bulk(**key), ListedIds([1, 2]), 2)
    assert accept_keys(ready, bulk(**key), ListedIds([1, 2]), 2).job_id == first.job_id
    replay = accept_selection(ready, bulk(**key), {})
    assert (replay.job_id, replay.replayed, replay.batch_ids) == (first.job_id, True, ())


def test_a_key_still_in_flight_is_said_to_be(ready: Engine) -> None:
    """While one transaction holds the key, another with the same key is told to retry."""
    key: dict[str, Any] = {"idempotency_key": "k", "payload_hash": "a" * 64}
    started, ended = threading.Event(), threading.Event()

    def pause() -> None:
        started.set()
        assert ended.wait(30)

    slowly = CountedIds(2, pause)
    first = threading.Thread(target=accept_keys, args=(ready, bulk(batch_rows=1, **key), slowly, 2))
    first.start()
    try:
        assert started.wait(30)
        with pytest.raises(IdempotencyKeyInFlight):
            accept_keys(ready, bulk(**key), ListedIds([1, 2]), 2)
        with pytest.raises(IdempotencyKeyInFlight):
            accept_selection(ready, bulk(**key), {})
    finally:
        ended.set()
        first.join()
    assert accept_keys(ready, bulk(**key), ListedIds([1, 2]), 2).replayed


def test_what_cannot_be_accepted_says_why(engine: Engine) -> None:
    """No model, an unknown client, a changed model, an empty list: each is its own error, and nothing is stored."""
    add_clients(engine, 1)
    assert isinstance(accept(engine, single())[0], NoLiveModel)
    with pytest.raises(NoLiveModel):
        accept_selection(engine, bulk(), {})
    with pytest.raises(NoLiveModel, match="predictq promote NAME"):
        accept_keys(engine, bulk(), ListedIds([1]), 1)
    version = add_model(engine)
    unknown, changed, good = accept(engine, single(99), single(1, checked_version=version + 1), single(1))
    assert isinstance(unknown, ClientUnknown)
    assert "99" not in str(unknown)  # texts of errors reach logs
    assert isinstance(changed, ModelChanged)
    assert str(version) in str(changed)
    assert isinstance(good, Accepted)
    with pytest.raises(NothingSelected):
        accept_keys(engine, bulk(), ListedIds([]), 0)
    key: dict[str, Any] = {"idempotency_key": "k", "payload_hash": "a" * 64}
    assert isinstance(accept(engine, single(98, **key))[0], ClientUnknown)
    assert stored(engine) == (1, 1, 1, 0)
    assert isinstance(accept(engine, single(1, **key))[0], Accepted)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({"department": "Sales"}, [3, 6, 9]),
        ({"age": [22, 24.0, 99]}, [2, 4]),
        ({"age": None}, [10]),
        ({"age": [21, None]}, [1, 10]),
        ({"department": "Sales", "over_time": True}, [6]),
        ({"age": {"gte": 22, "lt": 24}}, [2, 3]),
        ({"client_id": {"gt": 8}, "age": [None, 29]}, [9, 10]),
        ({"over_time": [True, False]}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ],
)
def test_a_filter_selects_by_equality(ready: Engine, where: dict[str, Any], expected: list[int]) -> None:
    """A filter takes values, lists of them, and null; keys come in order, and can be read on after any of them."""
    change_client(ready, 10, age=None)
    assert selected(ready, where) == expected
    assert selected(ready, where, after=str(expected[0])) == expected[1:]


def selected(engine: Engine, where: dict[str, Any], *, after: str | None = None) -> list[int]:
    with autocommit(engine) as connection:
        query, parameters = selection_query(read_source(connection, "clients"), where, after=after)
        return list(connection.exec_driver_sql(query, parameters).scalars())


def test_a_selection_is_accepted_as_a_plan_whatever_its_size(ready: Engine) -> None:
    """A filter costs a job and one batch to plan; how many rows it has is not known yet, and no row is written."""
    accepted = accept_selection(ready, bulk(), {"department": "Sales"})
    assert (accepted.queue, len(accepted.batch_ids), accepted.request_count) == (Queue.PLAN, 1, None)
    job = job_of(ready, accepted.job_id)
    assert (job.status, job.total, job.rows_left) == (JobStatus.QUEUED, None, None)
    assert stored(ready) == (1, 1, 0, 0)
    with autocommit(ready) as connection:
        kept = connection.execute(text("SELECT selection FROM predictq.jobs")).scalar_one()
    assert kept == {"where": {"department": "Sales"}}


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"shoe_size": 40}, "the source clients has no column 'shoe_size' that can be filtered by; there are "),
        ({"departement": "x"}, "no column 'departement' that can be filtered by; there is 'department'"),
        ({"client_id": "x"}, "client_id must be a whole number"),
        ({"age": "old"}, "age must be a whole number"),
        ({"age": 30.5}, "age must be a whole number"),
        ({"age": 10**400}, "age must be a whole number"),
        ({"age": True}, "age must be a whole number"),
        ({"age": {"above": 30}}, "age must be compared with a value, a list, or a range"),
        ({"age": {"gt": None}}, "age must be a whole number"),
        ({"age": {}}, "age must be compared with"),
        ({"over_time": {"lt": True}}, "over_time has no order"),
        ({"age": [30, [31]]}, "age must be a whole number"),
        ({"over_time": "maybe"}, "over_time must be true or false"),
        ({"department": 7}, "department must be a string"),
        ({"department": "\x00"}, "department holds the character NUL"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(ready: Engine, where: dict[str, Any], words: str) -> None:
    """A wrong column or value is named in the refusal."""
    with autocommit(ready) as connection, pytest.raises(FilterRefused, match=words) as caught:
        selection_query(read_source(connection, "clients"), where, after=None)
    assert caught.value.column == next(iter(where))


def test_an_empty_list_selects_nothing(ready: Engine) -> None:
    """One of no values matches no client."""
    assert selected(ready, {"age": []}) == []


def test_rows_keep_the_order_in_which_they_were_given(ready: Engine) -> None:
    """Ids are stored in submission order, duplicates too."""
    given = [9, 1, 9, 5, 5, 1, 2**63 - 1]
    accepted = accept_keys(ready, bulk(batch_rows=3), ListedIds(given), len(given))
    assert client_ids_of(ready, accepted.job_id) == given


def test_a_failing_source_leaves_nothing(ready: Engine) -> None:
    """When the ids end in an error, that error is raised and no part of the job is stored."""

    def fail() -> None:
        raise UnicodeError("row 2 is not a number")

    with pytest.raises(UnicodeError, match="row 2"):
        accept_keys(ready, bulk(batch_rows=1, idempotency_key="k", payload_hash="a" * 64), CountedIds(2, fail), 2)
    assert stored(ready) == (0, 0, 0, 0)
    assert accept_keys(ready, bulk(), ListedIds([1]), 1).request_count == 1  # the connection is fit for the next job


def test_fewer_pages_than_promised_leave_nothing(ready: Engine) -> None:
    """A source whose ids are not as many as was said is refused as a whole: no batch without its page."""
    with pytest.raises(ValueError, match="zip"):
        accept_keys(ready, bulk(batch_rows=1), CountedIds(2), 3)
    assert stored(ready) == (0, 0, 0, 0)


def test_memory_is_flat_in_the_number_of_rows(ready: Engine) -> None:
    """Two hundred thousand ids pass from a source to PostgreSQL in a few megabytes."""
    count = 200_000
    tracemalloc.start()
    accepted = accept_keys(ready, bulk(batch_rows=10_000), CountedIds(count), count)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000
    assert len(accepted.batch_ids) == 20


@pytest.mark.parametrize(
    ("count", "batches"),
    [(900, [900]), (12_000, [5_000, 5_000, 2_000]), (48_000, [6_000] * 8), (81_000, [10_000] * 8 + [1_000])],
)
def test_a_job_of_middling_size_is_cut_so_that_workers_share_it(ready: Engine, count: int, batches: list[int]) -> None:
    """Small jobs stay whole, large ones have full batches, and those between are cut in about eight."""
    accepted = accept_keys(ready, bulk(batch_rows=10_000), CountedIds(count), count)
    query = text("""
SELECT b.request_count, r.request_count, cardinality(r.keys_int8) FROM predictq.prediction_batches b
JOIN predictq.batch_requests r ON r.batch_id = b.id WHERE b.job_id = :id ORDER BY b.id""")
    with ready.connect() as connection:
        rows = connection.execute(query, {"id": accepted.job_id}).all()
    assert [tuple(row) for row in rows] == [(size,) * 3 for size in batches]
    assert job_of(ready, accepted.job_id).total == count


def test_nothing_to_accept_is_nothing(ready: Engine) -> None:
    """As where a lost connection had committed every job of a group: what is missing of it is none."""
    assert accept(ready) == []
