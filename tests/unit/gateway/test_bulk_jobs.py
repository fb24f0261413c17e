"""Bulk jobs on their way in: a lost connection makes no second job, and a call waits while PostgreSQL works for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs

from api.access.caller import Caller
from api.access.idempotency import Idempotency
from api.intake import bulk_jobs
from api.intake.bulk_jobs import BulkIntake
from shared.errors import DatabaseReadOnly, DatabaseUnavailable, OutcomeOpen
from shared.jobs.accepting.bulk import BulkJob
from shared.jobs.accepting.singles import Accepted
from shared.status import Queue

JOB = BulkJob(UUID(int=1), "o", 1_000)
ACCEPTED = Accepted(JOB.job_id, "churn", 3, Queue.BULK, (5, 6))
FOUND = Accepted(JOB.job_id, "churn", 3, Queue.BULK, ())
AWAY = DatabaseUnavailable(ConnectionError(104, "reset"))
READ_ONLY = DatabaseReadOnly(OSError("standby"))
THERE = IntegrityError("INSERT", {}, Exception("duplicate key"))


class Threads:
    """One thread for acceptances; looks at them are answered by `look`."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.engine = None
        self.executor = executor
        self.look: Callable[[], bool] = lambda: True

    async def run_long(self, work: Callable[[], Any], *, owner: str) -> Any:
        assert owner == JOB.owner
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self.executor, work))

    def backend_of(self, _: int | None) -> int:
        return 77

    async def read(self, _: Any) -> bool:
        return self.look()


@pytest.fixture
def threads() -> Iterator[Threads]:
    with ThreadPoolExecutor(1) as executor:
        yield Threads(executor)


@pytest.fixture
def published() -> list[tuple[int, Queue]]:
    return []


@pytest.fixture
def intake(threads: Any, published: list[tuple[int, Queue]]) -> BulkIntake:
    room = SimpleNamespace(take=lambda _: None, keep=lambda: None, rows=2)
    others: dict[str, Any] = {
        "publisher": SimpleNamespace(put=lambda messages, queue: published.append((messages, queue))),
        "admission": SimpleNamespace(room=lambda _: nullcontext(room)),
        "metrics": SimpleNamespace(accepted_bulk=lambda _: None),
    }
    return BulkIntake(quick=threads, bulk=threads, idempotency=Idempotency(threads), **others)


@pytest.fixture
def is_there(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the job is found, at each look in turn."""
    looks: list[bool] = []
    record = SimpleNamespace(model="churn", model_version=3)
    monkeypatch.setattr(bulk_jobs, "autocommit", lambda _: nullcontext())
    monkeypatch.setattr(bulk_jobs, "read_jobs", lambda _, ids: dict.fromkeys(ids, record) if looks.pop(0) else {})
    monkeypatch.setattr(bulk_jobs, "met_itself", lambda error: error is THERE)
    return looks


def accepting(*outcomes: Accepted | Exception) -> Callable[[Engine], Accepted]:
    """One after the other, at each try."""
    left = list(outcomes)

    def accept(_: Engine) -> Accepted:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return accept


@pytest.mark.parametrize(
    ("outcomes", "looks", "expected"),
    [
        ([ACCEPTED], [], ACCEPTED),
        ([AWAY], [True], FOUND),
        ([AWAY, ACCEPTED], [False], ACCEPTED),
        ([AWAY, THERE], [False, True], FOUND),
    ],
)
def test_after_a_lost_connection_a_job_is_looked_for_before_it_is_tried_again(
    intake: BulkIntake,
    is_there: list[bool],
    outcomes: list[Accepted | Exception],
    looks: list[bool],
    expected: Accepted,
) -> None:
    """Once more, and also where the first attempt got in meanwhile; its batches are published by others then."""
    is_there += looks
    assert intake._accept(bulk_jobs._Attempt(), JOB, accepting(*outcomes)) == expected
    assert is_there == []


@pytest.mark.parametrize(
    ("outcomes", "looks"),
    [
        ([READ_ONLY], []),
        ([AWAY, AWAY], [False]),
        ([AWAY, THERE], [False, False]),
        ([AWAY, IntegrityError("INSERT", {}, Exception("another"))], [False]),
    ],
)
def test_an_error_that_says_nothing_of_the_job_is_the_callers(
    intake: BulkIntake, is_there: list[bool], outcomes: list[Exception], looks: list[bool]
) -> None:
    """The last one that was met."""
    is_there += looks
    with pytest.raises(type(outcomes[-1])) as raised:
        intake._accept(bulk_jobs._Attempt(), JOB, accepting(*outcomes))
    assert raised.value is outcomes[-1]
    assert is_there == []


def test_nobody_tries_again_for_a_caller_who_has_left(intake: BulkIntake, is_there: list[bool]) -> None:
    """What got in is found all the same."""
    for is_found in (True, False):
        is_there.append(is_found)
        attempt = bulk_jobs._Attempt()

        def leave(_: Engine, attempt: Any = attempt) -> Accepted:
            attempt.is_awaited = False
            raise AWAY

        if is_found:
            assert intake._accept(attempt, JOB, leave) == FOUND
        else:
            with pytest.raises(DatabaseUnavailable):
                intake._accept(attempt, JOB, leave)


def test_a_sign_of_life_puts_the_deadline_off(
    intake: BulkIntake, threads: Threads, published: list[tuple[int, Queue]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While PostgreSQL waits for a lock or is silent there is none."""
    go = threading.Event()
    signs: list[float] = []
    looks: list[bool | None] = [None, False, True]

    def at_least(seconds: float) -> None:
        signs.append(seconds)
        go.set()

    def look() -> bool:
        found = looks.pop(0) if looks else True
        if found is None:
            raise AWAY
        assert found or not signs
        return found

    def accept(_: Engine) -> Accepted:
        assert go.wait(5)
        return ACCEPTED

    threads.look = look
    deadline = SimpleNamespace(at_least=at_least, make_error=None)
    monkeypatch.setattr(bulk_jobs, "_PULSE_SECONDS", 0.01)
    monkeypatch.setattr(bulk_jobs, "current", lambda: deadline)
    assert asyncio.run(intake.accept(Caller("o", ("predict",)), JOB, 2, accept)) == ACCEPTED
    assert looks == []
    assert set(signs) == {bulk_jobs._BEAT_SECONDS}
    assert deadline.make_error is OutcomeOpen
    assert published == [(2, Queue.BULK)]


def test_a_sign_of_life_is_good_until_the_next_can_come() -> None:
    """Between two of them lie a pause and a look, each as long as a pulse at most."""
    assert bulk_jobs._BEAT_SECONDS > 2 * bulk_jobs._PULSE_SECONDS


@pytest.mark.parametrize(
    ("outcome", "is_awaited", "said"),
    [
        (ACCEPTED, True, []),
        (ACCEPTED, False, ["accepted"]),
        (AWAY, True, []),
        (AWAY, False, ["DatabaseUnavailable: PostgreSQL does not answer: ConnectionError: [Errno 104] reset"]),
        (asyncio.CancelledError(), False, []),
    ],
)
def test_how_an_acceptance_ended_that_nobody_waited_for_is_logged(
    intake: BulkIntake, outcome: Accepted | BaseException, is_awaited: bool, said: list[str]
) -> None:
    """For its caller was sent away without knowing."""

    async def work() -> Accepted:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def run() -> None:
        task = asyncio.create_task(work())
        await asyncio.wait([task])
        attempt = bulk_jobs._Attempt()
        attempt.is_awaited = is_awaited
        intake._end(attempt, task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain

    with capture_logs() as logged:
        asyncio.run(run())
    assert [entry["outcome"] for entry in logged] == said


@pytest.mark.parametrize(
    ("is_awaited", "away_for", "looks"),
    [(True, 3, 4), (True, 99, 5), (False, 99, 1)],
    ids=["it comes back", "it stays away", "the caller has gone"],
)
def test_while_postgresql_is_away_a_job_is_looked_for_some_seconds(
    monkeypatch: pytest.MonkeyPatch, intake: BulkIntake, is_awaited: bool, away_for: int, looks: int
) -> None:
    """By a clock that goes on by a quarter of that at each look; for nobody who has left."""
    now, tried = [100.0], 0

    def connect(_: Any) -> Any:
        nonlocal tried
        tried += 1
        now[0] += bulk_jobs._LOOK_UP_SECONDS / 4
        if tried <= away_for:
            raise AWAY
        return nullcontext()

    monkeypatch.setattr(bulk_jobs, "autocommit", connect)
    monkeypatch.setattr(bulk_jobs, "read_jobs", lambda _connection, _ids: {})
    monkeypatch.setattr(bulk_jobs, "monotonic", lambda: now[0])
    attempt = bulk_jobs._Attempt()
    attempt.is_awaited = is_awaited
    if away_for < looks:
        assert intake._look_up(attempt, JOB.job_id) is None
    else:
        with pytest.raises(DatabaseUnavailable):
            intake._look_up(attempt, JOB.job_id)
    assert tried == looks
