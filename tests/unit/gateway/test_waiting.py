"""Waiting for a bulk job: who is woken when, and how often PostgreSQL is asked. Notices and reads come as told here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast
from uuid import uuid4

import pytest

from api.jobs import waiting as waiting_module
from api.jobs.statuses import Statuses
from api.jobs.waiting import Waiting
from shared.jobs.records import JobRecord
from shared.messaging.messages import Notice
from shared.status import JobStatus

_LONG = 30.0  # seconds that callers are ready to wait


class Book:
    """A job of three batches of ten rows, in the place of PostgreSQL."""

    def __init__(self) -> None:
        self.job = JobRecord(
            uuid4(), "bulk", "alice", JobStatus.QUEUED, "churn", 1, *(30, 0, 0, 0), datetime.now(UTC), *[None] * 5
        )
        self.reads = 0
        self.before_answer: Callable[[], None] = lambda: None

    def finish_batch(self) -> Notice:
        """Commit a batch; returns the notice of it, which is not sent yet."""
        done = self.job.succeeded + 10
        status = JobStatus.SUCCEEDED if done == self.job.total else JobStatus.RUNNING
        self.job = replace(self.job, succeeded=done, status=status)
        return Notice(done, self.job.job_id, 10)

    async def again(self, job: JobRecord) -> JobRecord:
        """As `Statuses.again` does: the job as it stood when the query began."""
        assert job.job_id == self.job.job_id
        self.reads += 1
        found = self.job
        await asyncio.sleep(0.01)
        self.before_answer()
        return found


def run(scenario: Callable[[Book, Waiting], Awaitable[None]]) -> None:
    """Run a scenario; it fails where a caller is not woken."""
    book = Book()
    waiting = Waiting(cast("Statuses", book))

    async def whole() -> None:
        async with asyncio.timeout(_LONG / 2):
            await scenario(book, waiting)

    asyncio.run(whole())


@pytest.fixture
def no_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only notices wake callers."""
    monkeypatch.setattr(waiting_module, "_FIRST_POLL", _LONG)


async def begin(waiting: Waiting, job: JobRecord) -> asyncio.Task[JobRecord]:
    """Somebody who waits by the time this returns."""
    task = asyncio.create_task(waiting.wait(job, _LONG))
    await asyncio.sleep(0)
    return task


@pytest.mark.usefixtures("no_polls")
def test_only_the_last_batch_is_read() -> None:
    """Who waits from the beginning costs one read, however many batches there are."""

    async def scenario(book: Book, waiting: Waiting) -> None:
        caller = await begin(waiting, book.job)
        for _ in range(3):
            assert book.reads == 0
            waiting.notify(book.finish_batch())
            await asyncio.sleep(0.001)
        assert (await caller).status is JobStatus.SUCCEEDED
        assert book.reads == 1

    run(scenario)


@pytest.mark.usefixtures("no_polls")
def test_notices_that_came_before_the_caller_count() -> None:
    """Between the commit of a job and the first look at its caller, workers may have begun, or even have finished."""

    async def scenario(book: Book, waiting: Waiting) -> None:
        accepted = book.job
        waiting.notify(book.finish_batch())
        waiting.notify(book.finish_batch())
        caller = await begin(waiting, accepted)
        waiting.notify(book.finish_batch())
        assert (await caller).status is JobStatus.SUCCEEDED
        assert (await (await begin(waiting, accepted))).status is JobStatus.SUCCEEDED
        assert book.reads == 2

    run(scenario)


@pytest.mark.usefixtures("no_polls")
def test_a_job_that_has_begun_is_read_at_the_next_notice() -> None:
    """Which of its batches were in what the caller read is not known; after one read of our own it is."""

    async def scenario(book: Book, waiting: Waiting) -> None:
        sent_late = book.finish_batch()
        caller = await begin(waiting, book.job)
        waiting.notify(sent_late)
        await asyncio.sleep(0.05)
        assert book.reads == 1
        waiting.notify(book.finish_batch())
        await asyncio.sleep(0.05)
        assert book.reads == 1
        waiting.notify(book.finish_batch())
        assert (await caller).status is JobStatus.SUCCEEDED
        assert book.reads == 2

    run(scenario)


@pytest.mark.usefixtures("no_polls")
def test_a_batch_that_ends_during_a_read_is_not_missed() -> None:
    """Its notice comes before the answer, which does not have it: the caller reads again at once."""

    async def scenario(book: Book, waiting: Waiting) -> None:
        book.finish_batch()
        caller = await begin(waiting, book.job)
        waiting.notify(book.finish_batch())

        def end_meanwhile() -> None:
            book.before_answer = lambda: None
            waiting.notify(book.finish_batch())

        book.before_answer = end_meanwhile
        assert (await caller).status is JobStatus.SUCCEEDED
        assert book.reads == 2

    run(scenario)


def test_a_batch_that_ends_during_a_poll_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it counted as still to come, which would put the last notice off for ever."""

    class Once(float):
        """A pause that grows beyond the test when it is doubled."""

        def __mul__(self, _: float) -> float:
            return _LONG

    monkeypatch.setattr(waiting_module, "_FIRST_POLL", Once(0.01))
    monkeypatch.setattr(waiting_module, "_LONGEST_POLL", _LONG)

    async def scenario(book: Book, waiting: Waiting) -> None:
        polled = asyncio.Event()

        def end_meanwhile() -> None:
            book.before_answer = polled.set
            waiting.notify(book.finish_batch())

        book.before_answer = end_meanwhile
        caller = await begin(waiting, book.job)
        await polled.wait()
        for _ in range(2):
            waiting.notify(book.finish_batch())
        assert (await caller).status is JobStatus.SUCCEEDED

    run(scenario)


@pytest.mark.usefixtures("no_polls")
def test_a_notice_without_a_number_of_rows_wakes_at_once() -> None:
    """A cancel ends batches without saying how many rows they had."""

    async def scenario(book: Book, waiting: Waiting) -> None:
        caller = await begin(waiting, book.job)
        book.job = replace(book.job, status=JobStatus.CANCELLED, cancelled=30)
        waiting.notify(Notice(0, book.job.job_id))
        assert (await caller).status is JobStatus.CANCELLED

    run(scenario)


def test_a_lost_notice_costs_a_poll() -> None:
    """Redis may drop any of them."""

    async def scenario(book: Book, waiting: Waiting) -> None:
        caller = await begin(waiting, book.job)
        book.finish_batch()
        waiting.notify(book.finish_batch())
        waiting.notify(book.finish_batch())
        assert (await caller).status is JobStatus.SUCCEEDED

    run(scenario)


@pytest.mark.usefixtures("no_polls")
def test_a_job_whose_rows_are_still_counted_is_read_now_and_then() -> None:
    """Each of its batches sends a notice, and nobody can say which is the last: a burst of them costs one read."""

    async def scenario(book: Book, waiting: Waiting) -> None:
        book.job = replace(book.job, total=None)
        caller = await begin(waiting, book.job)
        for done in range(500):
            waiting.notify(Notice(done, book.job.job_id, 10))
        await asyncio.sleep(waiting_module._REST + 0.05)
        assert book.reads == 1
        book.job = replace(book.job, total=30, succeeded=20)
        waiting.notify(Notice(501, book.job.job_id, 10))
        await asyncio.sleep(waiting_module._REST + 0.05)
        assert book.reads == 2
        book.job = replace(book.job, succeeded=30, status=JobStatus.SUCCEEDED)
        waiting.notify(Notice(502, book.job.job_id, 10))
        assert (await caller).status is JobStatus.SUCCEEDED
        assert book.reads == 3

    run(scenario)


@pytest.mark.usefixtures("no_polls")
def test_notices_of_a_job_whose_rows_were_never_counted_before_the_caller_came() -> None:
    """It may have ended already: it is read at once."""

    async def scenario(book: Book, waiting: Waiting) -> None:
        accepted = replace(book.job, total=None)
        book.job = replace(book.job, total=0, status=JobStatus.SUCCEEDED)
        waiting.notify(Notice(1, book.job.job_id))
        assert (await waiting.wait(accepted, _LONG)).status is JobStatus.SUCCEEDED

    run(scenario)
