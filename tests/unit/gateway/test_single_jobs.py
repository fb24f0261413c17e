"""Single jobs that are accepted together: what one of them meets is its own, and no answer is a guess."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from api.access.caller import Caller
from api.intake import single_jobs
from api.intake.group_spacing import GroupSpacing
from api.intake.single_jobs import Intake
from shared.errors import Backlogged, DatabaseBlocked, DatabaseReadOnly, DatabaseUnavailable, StatementCancelled
from shared.jobs.accepting.singles import ANY_TARGET, Accepted, SingleJob
from shared.pages.request_id import RequestId
from shared.status import Queue

CALLER = Caller("o", ("predict",))
AWAY = DatabaseUnavailable(ConnectionError("reset"))
READ_ONLY = DatabaseReadOnly(OSError("standby"))
CANCELLED = StatementCancelled(TimeoutError("slow"))
BLOCKED = DatabaseBlocked(TimeoutError("lock"))

Accept = Callable[[int, Sequence[SingleJob], bool], None]


def jobs(count: int) -> list[SingleJob]:
    return [SingleJob(UUID(int=number), "o", ANY_TARGET) for number in range(count)]


def accepted(job: SingleJob) -> Accepted:
    return Accepted(job.job_id, "churn", 1, Queue.INTERACTIVE, (job.job_id.int,))


class Rows:
    """The jobs that are in PostgreSQL. `meet` raises what an attempt meets, by its number, after its commit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: dict[UUID, Any] = {}
        self.attempts: list[tuple[list[int], bool]] = []  # which jobs, and whether clients were looked up
        self.meet: Accept = lambda _number, _jobs, _look_up: None
        monkeypatch.setattr(single_jobs, "autocommit", lambda _: nullcontext())
        monkeypatch.setattr(single_jobs, "accept_singles", self._accept)
        monkeypatch.setattr(single_jobs, "read_jobs", lambda _, ids: {i: self.found[i] for i in ids if i in self.found})

    def _accept(self, _: Any, given: Sequence[SingleJob], *, look_up: bool) -> list[Accepted]:
        self.attempts.append(([job.job_id.int for job in given], look_up))
        self.meet(len(self.attempts), given, look_up)
        return [accepted(job) for job in given]

    def commit(self, job: SingleJob) -> None:
        """One that got in though nobody said so."""
        self.found[job.job_id] = SimpleNamespace(
            job_id=job.job_id, model="churn", model_version=1, request_id=RequestId(99, 0), created_at=None
        )


class Clock:
    """Goes on where somebody sleeps, and nowhere else."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(single_jobs, "monotonic", lambda: self.now)
        monkeypatch.setattr(single_jobs, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    return Rows(monkeypatch)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def parts() -> Iterator[SimpleNamespace]:
    """What stands around acceptance: nothing is refused, and what is published is noted."""
    published: list[int] = []
    with ThreadPoolExecutor(1) as executor:
        yield SimpleNamespace(
            threads=SimpleNamespace(engine=None, executor=executor),
            published=published,
            publisher=SimpleNamespace(put=lambda messages, _: published.append(messages)),
            admission=SimpleNamespace(check=lambda *_: None, add=lambda *_: None),
            metrics=SimpleNamespace(accepted_single=lambda: None),
        )


@pytest.fixture
def intake(parts: SimpleNamespace) -> Intake:
    fakes: dict[str, Any] = {
        "quick": parts.threads,
        "singles": parts.threads,
        "bulk": parts.threads,
        "publisher": parts.publisher,
        "admission": parts.admission,
        "metrics": parts.metrics,
    }
    return Intake(cast("Any", SimpleNamespace(max_group=100)), **fakes, group_spacing=GroupSpacing(0))


def raising(*errors: Exception) -> Accept:
    """One after the other, and then nothing."""

    def meet(number: int, _jobs: Sequence[SingleJob], _look_up: bool) -> None:
        if number <= len(errors):
            raise errors[number - 1]

    return meet


def test_what_one_job_meets_is_its_own(intake: Intake, rows: Rows, parts: SimpleNamespace) -> None:
    """The others of its group are accepted."""
    error = ValueError("one of them")

    def meet(_number: int, given: Sequence[SingleJob], _look_up: bool) -> None:
        if any(job.job_id.int == 1 for job in given):
            raise error

    rows.meet = meet
    one, bad, other = jobs(3)
    assert intake._accept_group([one, bad, other]) == [accepted(one), error, accepted(other)]
    assert [which for which, _ in rows.attempts] == [[0, 1, 2], [0], [1], [2]]
    assert sum(parts.published) == 2


def test_after_a_lost_connection_what_is_there_is_not_accepted_again(intake: Intake, rows: Rows, clock: Clock) -> None:
    """And the rest is, as often as it takes within two seconds."""
    one, other = jobs(2)
    rows.commit(one)
    rows.meet = raising(AWAY, AWAY, AWAY)
    found, made = intake._accept_group([one, other])
    assert isinstance(found, Accepted)
    assert (found.job_id, found.batch_ids, found.request_id) == (one.job_id, (99,), RequestId(99, 0))
    assert made == accepted(other)
    assert [which for which, _ in rows.attempts] == [[0, 1], [1], [1], [1]]


def test_where_the_connection_stays_lost_every_job_has_the_error(intake: Intake, rows: Rows, clock: Clock) -> None:
    """After two seconds of a try in each tenth."""

    def meet(number: int, _jobs: Sequence[SingleJob], _look_up: bool) -> None:
        assert number < 100, "without a pause"
        raise AWAY

    rows.meet = meet
    assert intake._accept_group(jobs(3)) == [AWAY] * 3
    assert len(rows.attempts) == pytest.approx(21, abs=1)
    assert clock.now == pytest.approx(1002, abs=0.11)


def test_what_no_other_connection_mends_is_not_tried_again(intake: Intake, rows: Rows, clock: Clock) -> None:
    """At once, or after a connection was lost: a server that takes no writes says so for certain."""
    rows.meet = raising(READ_ONLY)
    assert intake._accept_group(jobs(2)) == [READ_ONLY] * 2
    rows.attempts.clear()
    rows.meet = raising(AWAY, READ_ONLY)
    assert intake._accept_group(jobs(2)) == [READ_ONLY] * 2
    assert len(rows.attempts) == 2


@pytest.mark.parametrize("error", [BLOCKED, CANCELLED])
def test_a_table_that_does_not_answer_is_not_asked_for_five_seconds(
    intake: Intake, rows: Rows, clock: Clock, error: DatabaseUnavailable
) -> None:
    """Jobs are accepted without it meanwhile, the one that met it, too."""
    rows.meet = raising(error)
    (job,) = jobs(1)
    assert intake._accept_group([job]) == [accepted(job)]
    for seconds in (0.0, 4.9, 0.2):
        clock.now += seconds
        assert intake._accept_group([job]) == [accepted(job)]
    assert [look_up for _, look_up in rows.attempts] == [True, False, False, False, True]


def test_what_is_blocked_without_a_look_at_clients_is_no_table_of_theirs(
    intake: Intake, rows: Rows, clock: Clock
) -> None:
    """Something else is locked: the next attempt looks clients up as ever."""
    rows.meet = raising(BLOCKED, BLOCKED)
    (job,) = jobs(1)
    assert intake._accept_group([job]) == [accepted(job)]
    assert [look_up for _, look_up in rows.attempts] == [True, False, True]


def test_the_end_waits_for_jobs_that_were_handed_in(intake: Intake, rows: Rows) -> None:
    """They are accepted by then, and their callers hear of it."""
    go = threading.Event()

    def meet(_number: int, _jobs: Sequence[SingleJob], _look_up: bool) -> None:
        assert go.wait(5)

    rows.meet = meet
    (job,) = jobs(1)

    async def run() -> None:
        caller = asyncio.create_task(intake.accept_single(CALLER, job))
        await asyncio.sleep(0)
        end = asyncio.create_task(intake.drain())
        for _ in range(10):
            await asyncio.sleep(0)
        is_early = end.done()
        go.set()
        await end
        assert (await caller, is_early) == (accepted(job), False)

    asyncio.run(run())


@pytest.mark.parametrize("is_known", [True, False])
def test_an_upload_is_refused_before_it_comes(
    intake: Intake, parts: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    """Where there is no room, unless it may repeat what was accepted."""
    asked: list[str | None] = []

    async def earlier(_owner: str, key: str | None, _payload_hash: str | None) -> Accepted | None:
        asked.append(key)
        return accepted(jobs(1)[0]) if is_known else None

    def check(*_: Any) -> None:
        raise Backlogged(10, 10)

    monkeypatch.setattr(intake.idempotency, "earlier", earlier)
    asyncio.run(intake.admit_upload(CALLER, "k"))
    assert asked == []
    parts.admission.check = check
    if is_known:
        asyncio.run(intake.admit_upload(CALLER, "k"))
    else:
        with pytest.raises(Backlogged):
            asyncio.run(intake.admit_upload(CALLER, "k"))
    assert asked == ["k"]
