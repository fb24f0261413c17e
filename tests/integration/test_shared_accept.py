"""Acceptance: idempotent, in order, in flat memory, and refused with words that say what to do."""

from __future__ import annotations

import errno
import io
import threading
import tracemalloc
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
from shared.jobs.accept_bulk import BulkJob, accept_filter, accept_ids
from shared.jobs.accept_singles import Accepted, SingleJob, accept_singles
from shared.postgres.engine import autocommit, transaction
from tests.support import OWNER, add_clients, add_model, change_client


def accept(engine: Engine, *jobs: SingleJob) -> list[Accepted | PredictqError]:
    with autocommit(engine) as connection:
        return accept_singles(connection, jobs, grace_seconds=0.5)


def single(client_id: int = 1, **values: Any) -> SingleJob:
    return SingleJob(uuid7(), values.pop("owner", OWNER), client_id, **values)


def bulk(**values: Any) -> BulkJob:
    return BulkJob(uuid7(), OWNER, values.pop("batch_rows", 3), **values)


def client_ids_of(engine: Engine, job_id: UUID) -> list[int]:
    with autocommit(engine) as connection:
        query = text("SELECT client_id FROM prediction_requests WHERE job_id = :id ORDER BY request_id")
        return list(connection.execute(query, {"id": job_id}).scalars())


def total_jobs(engine: Engine) -> int:
    with autocommit(engine) as connection:
        return int(connection.execute(text("SELECT count(*) FROM jobs")).scalar_one())


@pytest.fixture
def ready(engine: Engine) -> Engine:
    """Ten clients and a live model."""
    add_clients(engine, 10)
    add_model(engine)
    return engine


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
    assert total_jobs(ready) == 2
    with pytest.raises(IdempotencyKeyReused):
        accept_ids(ready, bulk(idempotency_key="k", payload_hash="b" * 64), [1], 1)
    replay = accept_ids(ready, bulk(**key), [1], 1)
    assert (replay.job_id, replay.replayed) == (first.job_id, True)


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
    first = accept_ids(ready, bulk(**key), [1, 2], 2)
    assert accept_ids(ready, bulk(**key), [1, 2], 2).job_id == first.job_id
    replay = accept_filter(ready, bulk(**key), {})
    assert (replay.job_id, replay.replayed, replay.batch_ids) == (first.job_id, True, ())


def test_a_key_still_in_flight_is_said_to_be(ready: Engine) -> None:
    """While one transaction holds the key, another with the same key is told to retry."""
    key: dict[str, Any] = {"idempotency_key": "k", "payload_hash": "a" * 64}
    started, ended = threading.Event(), threading.Event()

    def slowly() -> Any:
        yield 1
        started.set()
        assert ended.wait(30)
        yield 2

    first = threading.Thread(target=accept_ids, args=(ready, bulk(**key), slowly(), 2))
    first.start()
    try:
        assert started.wait(30)
        with pytest.raises(IdempotencyKeyInFlight):
            accept_ids(ready, bulk(**key), [1, 2], 2)
    finally:
        ended.set()
        first.join()
    assert accept_ids(ready, bulk(**key), [1, 2], 2).replayed


def test_what_cannot_be_accepted_says_why(engine: Engine) -> None:
    """No model, an unknown client, a changed model, nothing selected: each is its own error, and nothing is stored."""
    add_clients(engine, 1)
    assert isinstance(accept(engine, single())[0], NoLiveModel)
    with pytest.raises(NoLiveModel, match="predictq train --promote"):
        accept_ids(engine, bulk(), [1], 1)
    version = add_model(engine)
    unknown, changed, good = accept(engine, single(99), single(1, model_version=version + 1), single(1))
    assert isinstance(unknown, ClientUnknown)
    assert "99" in str(unknown)
    assert isinstance(changed, ModelChanged)
    assert str(version) in str(changed)
    assert isinstance(good, Accepted)
    with pytest.raises(NothingSelected):
        accept_ids(engine, bulk(), [], 0)
    with pytest.raises(NothingSelected):
        accept_filter(engine, bulk(), {"age": 119})
    assert total_jobs(engine) == 1


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({"department": "Sales"}, [3, 6, 9]),
        ({"age": [22, 24.0, 99]}, [2, 4]),
        ({"age": None}, [10]),
        ({"age": [21, None]}, [1, 10]),
        ({"department": "Sales", "over_time": True}, [6]),
        ({"over_time": [True, False]}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ],
)
def test_a_filter_selects_by_equality(ready: Engine, where: dict[str, Any], expected: list[int]) -> None:
    """A filter takes values, lists of them, and null; rows come ordered by client id, cut into batches."""
    change_client(ready, 10, age=None)
    accepted = accept_filter(ready, bulk(batch_rows=4), where)
    assert client_ids_of(ready, accepted.job_id) == expected
    assert len(accepted.batch_ids) == -(-len(expected) // 4)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"shoe_size": 40}, "clients have no feature 'shoe_size'"),
        ({"client_id": 1}, "clients have no feature 'client_id'"),
        ({"age": "old"}, "age must be a whole number"),
        ({"age": 30.5}, "age must be a whole number"),
        ({"age": 10**400}, "age must be a whole number"),
        ({"age": True}, "age must be a whole number"),
        ({"age": {"gt": 30}}, "age must be a whole number"),
        ({"age": [30, [31]]}, "age must be a whole number"),
        ({"over_time": "yes"}, "over_time must be true or false"),
        ({"department": "Moon"}, "department must be one of"),
        ({"department": "\x00"}, "department must be a string"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(ready: Engine, where: dict[str, Any], words: str) -> None:
    """A wrong column or value is named in the refusal."""
    with pytest.raises(FilterRefused, match=words) as caught:
        accept_filter(ready, bulk(), where)
    assert caught.value.column == next(iter(where))


def test_an_empty_list_selects_nothing(ready: Engine) -> None:
    """One of no values matches no client."""
    with pytest.raises(NothingSelected):
        accept_filter(ready, bulk(), {"age": []})


def test_rows_keep_the_order_in_which_they_were_given(ready: Engine) -> None:
    """Ids are stored in submission order, duplicates too."""
    given = [9, 1, 9, 5, 5, 1, 2**63 - 1]
    accepted = accept_ids(ready, bulk(batch_rows=3), given, len(given))
    assert client_ids_of(ready, accepted.job_id) == given


def test_a_failing_source_leaves_nothing(ready: Engine) -> None:
    """When the ids end in an error, that error is raised and no part of the job is stored."""

    def broken() -> Any:
        yield 1
        raise UnicodeError("row 2 is not a number")

    with pytest.raises(UnicodeError, match="row 2"):
        accept_ids(ready, bulk(), broken(), 2)
    assert total_jobs(ready) == 0


def test_memory_is_flat_in_the_number_of_rows(ready: Engine) -> None:
    """Two hundred thousand ids pass from a generator to PostgreSQL in a few megabytes."""
    count = 200_000
    tracemalloc.start()
    accepted = accept_ids(ready, bulk(batch_rows=10_000), iter(range(count)), count)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000
    assert len(accepted.batch_ids) == 20


def test_a_filter_selects_any_number_in_flat_memory(ready: Engine) -> None:
    """A hundred thousand clients pass from their table to the requests in a few megabytes: none lost, in order."""
    add_clients(ready, 100_000, first=11)
    tracemalloc.start()
    accepted = accept_filter(ready, bulk(batch_rows=10_000), {})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000
    assert accepted.request_count == 100_010
    assert client_ids_of(ready, accepted.job_id) == list(range(1, 100_011))


def test_a_filter_without_room_for_its_ids_leaves_nothing(ready: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is named as what it is, not as a failing server; the connection is fit for the next job."""

    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shared.sources.selection.tempfile.SpooledTemporaryFile", lambda _: Full())
        with pytest.raises(OSError, match="No space left"):
            accept_filter(ready, bulk(), {})
    assert total_jobs(ready) == 0
    assert accept_filter(ready, bulk(), {}).request_count == 10


def test_the_grace_begins_when_the_rows_are_there(ready: Engine) -> None:
    """However long its rows took to arrive, the sweeper leaves a bulk job its grace after the commit."""

    def slow() -> Any:
        with transaction(ready) as connection:
            connection.execute(text("SELECT pg_sleep(0.2)"))
        yield 1

    accepted = accept_ids(ready, bulk(grace_seconds=0.5), slow(), 1)
    with autocommit(ready) as connection:
        grace = connection.execute(
            text("SELECT extract(epoch FROM dispatch_after - created_at) FROM prediction_batches WHERE id = ANY(:ids)"),
            {"ids": list(accepted.batch_ids)},
        ).scalar_one()
    assert grace >= 0.7


@pytest.mark.parametrize(
    ("count", "batches"),
    [(900, [900]), (12_000, [5_000, 5_000, 2_000]), (48_000, [6_000] * 8), (81_000, [10_000] * 8 + [1_000])],
)
def test_a_job_of_middling_size_is_cut_so_that_workers_share_it(ready: Engine, count: int, batches: list[int]) -> None:
    """Small jobs stay whole, large ones have full batches, and those between are cut in about eight."""
    accepted = accept_ids(ready, bulk(batch_rows=10_000), iter(range(1, count + 1)), count)
    with ready.connect() as connection:
        rows = connection.execute(
            text("SELECT request_count FROM prediction_batches WHERE job_id = :id ORDER BY id"), {"id": accepted.job_id}
        )
        assert list(rows.scalars()) == batches
