"""Faults in the midst of a plan: planners killed, frozen and cut off; no room, no space, no source.

The plans are of the owner whose waiting rows have a limit, so that each of them takes a while.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import psycopg2

from tests.torture import population
from tests.torture.callers import Ask
from tests.torture.faults.base import Fault, Missed, NotEnded, Tools
from tests.torture.faults.workers import wait_idle, worker_of, workers_with
from tests.torture.machinery.cluster import DEFAULTS, LIMITED_ROWS, wait_for

_ALL = {"age": population.STILL_AGE}
_QUARTER = {"age": population.STILL_AGE, "department": "Sales"}


def _begin(tools: Tools) -> str:
    """A plan of all that stand still, in its midst: pages were written more than once."""
    job_id = tools.submit(Ask("select", where=_ALL), tools.limited)
    tools.plan(job_id, beyond=LIMITED_ROWS)
    return job_id


def _note_snapshots(tools: Tools, job_id: str) -> None:
    """What the job says of itself in the end goes into the report."""

    def verify() -> None:
        tools.wait_status(job_id, "succeeded", seconds=60)
        snapshots = tools.cluster.query("SELECT snapshots FROM predictq.jobs WHERE id = %s", [job_id])[0][0]
        tools.notes.append(f"snapshots: {snapshots}")

    tools.verifications.append(verify)


@contextmanager
def planner_killed(tools: Tools) -> Iterator[None]:
    """SIGKILL a planner in the middle of a plan; its worker starts another, and the plan goes on where it was."""
    job_id = _begin(tools)
    pid, _, rows = tools.plan(job_id)
    psutil.Process(pid).kill()
    tools.notes.append(f"killed after {rows} rows")
    _note_snapshots(tools, job_id)
    yield


@contextmanager
def planner_stopped(tools: Tools) -> Iterator[None]:
    """SIGTERM to a whole worker in the middle of a plan (a deploy): the plan is given back, and counts no attempt."""
    job_id = _begin(tools)
    worker = worker_of(tools, tools.plan(job_id)[0])
    worker.terminate()
    try:
        wait_for(lambda: not worker.is_running, 40, "the end of the worker")
    except TimeoutError as error:
        raise AssertionError(f"SIGTERM did not end the worker: {error}") from None
    _note_snapshots(tools, job_id)
    yield
    tools.cluster.heal()


@contextmanager
def worker_killed(tools: Tools) -> Iterator[None]:
    """SIGKILL a whole worker whose planner is in the middle of a plan."""
    job_id = _begin(tools)
    worker_of(tools, tools.plan(job_id)[0]).kill()
    _note_snapshots(tools, job_id)
    yield
    tools.cluster.heal()


@contextmanager
def zombie(tools: Tools) -> Iterator[None]:
    """SIGSTOP a planner for longer than its lease; wake it while another is in the middle of the same plan."""
    with tools.crowd.paused():
        wait_idle(tools)
        job_id = _begin(tools)
        pid, fence, _ = tools.plan(job_id)
        with tools.cluster.freezer.frozen([psutil.Process(pid)]):
            rows = tools.plan(job_id)[2]
            try:
                wait_for(lambda: _is_further(tools, job_id, fence, rows), 30, "another planner that came further")
            except TimeoutError as error:
                raise Missed(str(error)) from None
    tools.notes.append("another planned on while the first slept")
    _note_snapshots(tools, job_id)
    yield


def _is_further(tools: Tools, job_id: str, fence: int, rows: int) -> bool:
    query = (
        "SELECT fence > %s AND planned_rows > %s FROM predictq.prediction_batches WHERE job_id = %s AND queue = 'plan'"
    )
    found = tools.cluster.query(query, [fence, rows, job_id])
    if not found:
        raise Missed("the plan had ended before the first planner woke")
    return bool(found[0][0])


@contextmanager
def cut_off_in_transaction(tools: Tools) -> Iterator[None]:
    """A planner is cut off while its transaction holds the plan's row; PostgreSQL is not told. Then all are killed."""
    cluster = tools.cluster
    traps = [w.postgres.set_trap(_PAGES, on_reply=False, leaves_open=True) for w in cluster.workers]
    job_id = tools.submit(Ask("select", where=_ALL), tools.limited)
    sprung = [trap for trap in traps if trap.sprung.wait(20)]
    for trap in traps:
        trap.left = 0
    if not sprung:
        raise Missed("no page was written")
    for worker in cluster.workers:
        worker.kill()
    _note_snapshots(tools, job_id)
    yield
    cluster.heal()


_PAGES = b"COPY predictq.batch_requests"  # the last statement of a planner's transaction but for its commit


@contextmanager
def postgres_restarted(tools: Tools) -> Iterator[None]:
    """An immediate shutdown of PostgreSQL in the middle of a plan."""
    job_id = _begin(tools)
    process = tools.cluster.postgres.process
    if process is None:
        raise RuntimeError("PostgreSQL does not run")
    process.send_signal(signal.SIGQUIT)
    process.wait(10)
    _note_snapshots(tools, job_id)
    yield
    tools.cluster.heal()


@contextmanager
def redis_emptied(tools: Tools) -> Iterator[None]:
    """FLUSHALL in the middle of a plan, over and over: no message about a page lasts."""
    job_id = _begin(tools)
    for _ in range(10):
        with tools.cluster.redis_client() as client:
            client.flushall()
        tools.hold(0.2)
    _note_snapshots(tools, job_id)
    yield


@contextmanager
def four_plans(tools: Tools) -> Iterator[None]:
    """Four plans of one owner, whose waiting rows may be fewer than any of them has, and two planners."""
    jobs = [tools.submit(Ask("select", where=_QUARTER), tools.limited) for _ in range(4)]
    most = 0
    started = time.monotonic()
    while open_jobs := [job for job in jobs if not _has_ended(tools, job)]:
        most = max(most, int(tools.cluster.query(_WAITING)[0][0]))
        if time.monotonic() - started > 60:
            raise NotEnded(f"{len(open_jobs)} of four plans stand still")
        tools.hold(0.1)
    tools.notes.append(f"all answered after {time.monotonic() - started:.0f} s; at most {most} rows waited")
    # Each planner looks for room by itself and goes beyond it by a page at most: those that look at once both fill it.
    allowed = len(tools.cluster.workers) * (LIMITED_ROWS + int(DEFAULTS["PREDICTQ_BULK_BATCH_ROWS"]))
    if most > allowed:
        raise AssertionError(f"{most} rows of an owner waited, where {LIMITED_ROWS} may: expected at most {allowed}")
    yield


_WAITING = "SELECT coalesce(sum(request_count), 0) FROM predictq.prediction_batches WHERE owner = 'limited'"


def _has_ended(tools: Tools, job_id: str) -> bool:
    query = "SELECT status = 'succeeded' FROM predictq.job_status WHERE job_id = %s"
    return bool(tools.cluster.query(query, [job_id])[0][0])


@contextmanager
def spool_full(tools: Tools) -> Iterator[None]:
    """More keys than the spool holds, and room for few of them: the claim is given back, and the plan goes on later."""
    cluster = tools.cluster
    population.add(cluster.dsn, population.WIDE)
    settings = {"PREDICTQ_PLAN_SPOOL_BYTES": str(1 << 20), "PREDICTQ_BULK_BATCH_ROWS": "10000"}
    with workers_with(cluster, settings), _limit(tools, 20_000):
        job_id = tools.submit(Ask("select", where={"age": population.WIDE_AGE}), tools.limited)
        tools.plan(job_id)
        with cluster.freezer.frozen([process for worker in cluster.workers for process in worker.pool()]):
            tools.hold(8)  # longer than a planner waits for room, and than its spool may hold up the source
        tools.wait_status(job_id, "succeeded", seconds=120)
        snapshots = cluster.query("SELECT snapshots FROM predictq.jobs WHERE id = %s", [job_id])[0][0]
        if snapshots < 2:
            raise Missed("the plan was never given back")
        tools.notes.append(f"snapshots: {snapshots}")
    yield


@contextmanager
def _limit(tools: Tools, rows: int) -> Iterator[None]:
    """Another limit for the limited owner's waiting rows."""
    change = "UPDATE predictq.api_keys SET max_waiting_rows = %s WHERE owner = 'limited'"
    tools.cluster.query(change, [rows])
    try:
        yield
    finally:
        tools.cluster.query(change, [LIMITED_ROWS])


@contextmanager
def cancel_meets_page(tools: Tools) -> Iterator[None]:
    """A planner is in the middle of storing a page, and the job is cancelled: nothing of it may be scored after."""
    with tools.crowd.paused():
        wait_idle(tools)
        session = psycopg2.connect(tools.cluster.dsn)
        with contextlib.closing(session), session, session.cursor() as cursor:
            cursor.execute("LOCK TABLE predictq.batch_requests IN SHARE MODE")
            job_id = tools.submit(Ask("select", where=_QUARTER), tools.caller)
            _wait_for_writer(tools)
            cancel = threading.Thread(target=tools.caller.cancel, args=(job_id,))
            cancel.start()
            tools.hold(1)  # until it waits for the plan's row, or does not
        cancel.join(20)
    yield


def _wait_for_writer(tools: Tools) -> None:
    query = (
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY predictq.batch_requests%'"
    )
    try:
        wait_for(lambda: tools.cluster.query(query), 20, "a planner that stores a page")
    except TimeoutError as error:
        raise Missed(str(error)) from None


@contextmanager
def source_locked(tools: Tools) -> Iterator[None]:
    """Somebody's ALTER TABLE of the clients stays open for 12 s: calls that bring their features are answered on."""
    session = psycopg2.connect(tools.cluster.dsn)
    slowest = 0.0
    with contextlib.closing(session), session.cursor() as cursor, tools.crowd.hands_off():
        cursor.execute("ALTER TABLE predictq_data.clients ADD COLUMN note text")  # never committed
        deadline = time.monotonic() + 12
        while (started := time.monotonic()) < deadline:
            job = tools.submit(Ask("raw", features=dict(_FEATURES)))
            tools.wait_status(job, "succeeded", seconds=10)
            slowest = max(slowest, time.monotonic() - started)
        yield
    tools.notes.append(f"slowest answer to a call with features: {slowest:.1f} s")
    if slowest > _LOCKED_SECONDS:
        raise AssertionError(f"a call that needs nothing of the locked source was answered after {slowest:.1f} s")


_FEATURES = {"age": 40, "monthly_income": 4000, "department": "Sales", "over_time": True}
_LOCKED_SECONDS = 2.0

FAULTS = [
    Fault("planner SIGKILL in mid-plan", planner_killed),
    Fault("SIGTERM in mid-plan (deploy)", planner_stopped, mixable=False),
    Fault("worker SIGKILL in mid-plan", worker_killed),
    Fault("planner SIGSTOP past the lease, SIGCONT", zombie, mixable=False),
    Fault("planner cut off inside its transaction", cut_off_in_transaction, mixable=False),
    Fault("PostgreSQL immediate restart in mid-plan", postgres_restarted),
    Fault("Redis emptied over and over in mid-plan", redis_emptied),
    Fault("four plans of one owner above her limit", four_plans, mixable=False),
    Fault("a full spool", spool_full, mixable=False),
    Fault("a cancel meets a page of its plan", cancel_meets_page, mixable=False),
    Fault("a source locked by ALTER TABLE 12 s", source_locked, mixable=False),
]
