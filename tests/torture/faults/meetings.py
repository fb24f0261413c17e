"""Two things at the same moment: ends, cancels and claims that meet. No process dies; locks alone keep them apart."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from tests.torture import population
from tests.torture.callers import Ask
from tests.torture.faults.base import Fault, Missed, Tools
from tests.torture.faults.workers import wait_idle
from tests.torture.machinery.cluster import wait_for

_MEETINGS = 5
_TRIES = 6
_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND state = 'active' AND query LIKE %s
"""


@contextmanager
def no_answers(tools: Tools) -> Iterator[None]:
    """No page of answers can be stored during the block: whoever finishes waits in the middle of it."""
    session = psycopg2.connect(tools.cluster.dsn)
    with contextlib.closing(session), session, session.cursor() as cursor:
        cursor.execute("LOCK TABLE predictq.batch_outputs IN SHARE MODE")
        yield


@contextmanager
def last_batches_at_once(tools: Tools) -> Iterator[None]:
    """Two workers hold the last two batches of a job, and finish them in the same moment: one must end the job."""
    _have_two_workers(tools)
    jobs = [_meet_at_the_end(tools) for _ in range(_MEETINGS)]
    yield
    for job in jobs:
        tools.wait_status(job, "succeeded", seconds=10)


def _have_two_workers(tools: Tools) -> None:
    """One that was starting while PostgreSQL came back has ended, and a supervisor starts it again."""
    tools.cluster.heal()
    try:
        tools.cluster.wait_ready(tools.cluster.workers)
    except TimeoutError as error:
        raise Missed(str(error)) from None


def _meet_at_the_end(tools: Tools) -> str:
    """A job whose two workers waited in the middle of their last batches, both at once.

    Who waits too long is ended by its watchdog, and on a busy machine the other may come after that: then another job.
    """
    for tries_left in reversed(range(_TRIES)):
        with contextlib.suppress(*[Missed] if tries_left else []), tools.crowd.paused():
            wait_idle(tools)
            with no_answers(tools):
                job = tools.submit(Ask("bulk", tools.rng.choices(population.ORDINARY, k=1000)))
                _wait_for_finishers(tools, 2, seconds=20)
            return job
    raise AssertionError("the last try returns or raises")


@contextmanager
def cancel_meets_end(tools: Tools) -> Iterator[None]:
    """A worker is in the middle of storing the answer to a single call, and its caller cancels."""
    for _ in range(_MEETINGS):
        with tools.crowd.paused():
            wait_idle(tools)
            with no_answers(tools):
                job = tools.submit(Ask("single", [tools.rng.choice(population.ORDINARY)]))
                _wait_for_finishers(tools, 1)
                cancel = threading.Thread(target=tools.caller.cancel, args=(job,))
                cancel.start()
                tools.hold(0.5)  # until it waits for the worker's lock, or does not
            cancel.join(20)
    yield


@contextmanager
def clients_change(tools: Tools) -> Iterator[None]:
    """The clients of small jobs change before, while and after they are read; some are deleted and inserted again."""
    hand, rng = tools.crowd.hand, tools.rng
    for _ in range(2 * _MEETINGS):
        changing = rng.sample(population.ORDINARY, 40)
        clients = [*changing, *rng.choices(population.FLEETING, k=20), *rng.choices(population.ORDINARY, k=40)]
        rng.shuffle(clients)
        for half in (changing[:20], changing[20:]):
            hand.change(half, population.income(rng.randrange(1000, 9000)), over_time=rng.random() < 0.5)
            tools.submit(Ask("bulk", clients))
        tools.submit(Ask("single", [changing[0]]))
    yield


def _wait_for_finishers(tools: Tools, number: int, *, seconds: float = 60) -> None:
    pattern, words = "%predictq.finish(%", f"{number} workers that finish"
    try:
        wait_for(lambda: tools.cluster.query(_WAITING, [pattern])[0][0] >= number, seconds, words)
    except TimeoutError as error:
        raise Missed(str(error)) from None


@contextmanager
def one_by_one(tools: Tools) -> Iterator[None]:
    """Single calls with nothing else to do: each must be answered by its own message, none by the sweeper."""
    with tools.crowd.paused():
        wait_idle(tools)
        before = tools.cluster.sent_again.count
        for _ in range(_MEETINGS):
            tools.submit(Ask("single", [tools.rng.choice(population.ORDINARY)]))
            wait_idle(tools)
        again = tools.cluster.sent_again.count - before
    tools.notes.append(f"{_MEETINGS} single calls: {again} messages sent again")
    if again:
        raise AssertionError(f"{again} of {_MEETINGS} messages came before their batch was there")
    yield


FAULTS = [
    Fault("the last batches of a job end at once", last_batches_at_once, mixable=False),
    Fault("a cancel meets the end of its batch", cancel_meets_end, mixable=False),
    Fault("no fault, single calls one by one", one_by_one, mixable=False),
    Fault("no fault, clients change, go and come back", clients_change),
]
