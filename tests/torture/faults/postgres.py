"""Faults of PostgreSQL: restarted at once, its replies lost, a table locked, connections used up, frozen."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from tests.torture.faults.base import Fault, Missed, Tools
from tests.torture.faults.gateways import ACCEPT
from tests.torture.machinery.freezer import family

FINISH = b"predictq.finish("  # the statement by which a worker ends batches


@contextmanager
def restarted(tools: Tools) -> Iterator[None]:
    """An immediate shutdown (SIGQUIT: no goodbye, crash recovery at the next start)."""
    process = tools.cluster.postgres.process
    if process is None:
        raise RuntimeError("PostgreSQL does not run")
    process.send_signal(signal.SIGQUIT)
    process.wait(10)
    tools.hold(2)
    yield
    tools.cluster.heal()  # a process that was just starting has ended for want of it: a supervisor starts it again


@contextmanager
def accept_reply_lost(tools: Tools) -> Iterator[None]:
    """PostgreSQL commits jobs, and the reply never reaches the gateway."""
    traps = [g.postgres.set_trap(ACCEPT, on_reply=True) for g in tools.cluster.gateways]
    if not all(trap.sprung.wait(30) for trap in traps):
        raise Missed("no accept came by")
    yield


@contextmanager
def finish_reply_lost(tools: Tools) -> Iterator[None]:
    """PostgreSQL commits outputs, and the reply never reaches the worker."""
    traps = [w.postgres.set_trap(FINISH, on_reply=True) for w in tools.cluster.workers]
    if not any(trap.sprung.wait(30) for trap in traps):
        raise Missed("no batch was finished")
    tools.hold(1)
    for trap in traps:
        trap.left = 0
    yield


@contextmanager
def cut_off_in_finish(tools: Tools) -> Iterator[None]:
    """A worker is cut off with its answers on the way, then killed; PostgreSQL is not told and hears of neither."""
    traps = [w.postgres.set_trap(FINISH, on_reply=False, leaves_open=True) for w in tools.cluster.workers]
    if not any(trap.sprung.wait(30) for trap in traps):
        raise Missed("no batch was finished")
    for trap in traps:
        trap.left = 0
    for worker in tools.cluster.workers:
        worker.kill()
    yield
    tools.cluster.heal()


@contextmanager
def locked_table(tools: Tools) -> Iterator[None]:
    """Somebody holds an exclusive lock on the open work for 8 s."""
    session = psycopg2.connect(tools.cluster.dsn)
    with contextlib.closing(session), session.cursor() as cursor:
        cursor.execute("LOCK TABLE predictq.prediction_batches IN ACCESS EXCLUSIVE MODE")
        tools.hold(8)
        yield


@contextmanager
def connections_exhausted(tools: Tools) -> Iterator[None]:
    """Somebody takes every free connection; those of the service are cut, and cannot come back."""
    sessions = []
    dsn = tools.cluster.dsn
    deadline = time.monotonic() + 8
    try:
        while time.monotonic() < deadline:
            try:
                sessions.append(psycopg2.connect(dsn, connect_timeout=3))
            except psycopg2.OperationalError:
                with sessions[0], sessions[0].cursor() as cursor:
                    cursor.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> '' "
                        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
                    )
                time.sleep(0.05)
        tools.notes.append(f"{len(sessions)} connections taken")
        yield
    finally:
        for session in sessions:
            session.close()


@contextmanager
def frozen(tools: Tools) -> Iterator[None]:
    """SIGSTOP of every PostgreSQL process for 8 s: connections stay up, nothing answers."""
    postgres = tools.cluster.postgres.process
    if postgres is None:
        raise RuntimeError("PostgreSQL does not run")
    with tools.cluster.freezer.frozen(family(postgres.pid)):
        tools.hold(8)
        yield


FAULTS = [
    Fault("PostgreSQL immediate restart", restarted),
    Fault("accept committed, its reply lost", accept_reply_lost),
    Fault("outputs committed, their reply lost", finish_reply_lost),
    Fault("worker cut off in its finish", cut_off_in_finish, mixable=False),
    Fault("table of open work locked 8 s", locked_table),
    Fault("PostgreSQL connections exhausted 8 s", connections_exhausted),
    Fault("PostgreSQL frozen 8 s", frozen),
]
