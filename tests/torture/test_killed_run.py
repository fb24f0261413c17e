"""What is left of a torture that is itself killed: no frozen process, none at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from devstack.servers.postgres import EmbeddedPostgres
from tests.support import wait_until
from tests.torture.machinery.freezer import family
from tests.torture.machinery.services import ROOT

pytestmark = pytest.mark.torture


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_killed_leaves_nothing_frozen(number: signal.Signals, tmp_path: Path) -> None:
    """Whatever ends the run while it holds PostgreSQL frozen, everything that it started thaws and ends."""
    directory = tmp_path / "run"
    command = [sys.executable, "-m", "tests.torture", "--only", "PostgreSQL frozen", "--keep", str(directory)]
    started: list[psutil.Process] = []
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(
            lambda: run.poll() is not None or _holds_postgres_frozen(run.pid), seconds=120, what="a frozen PostgreSQL"
        )
        assert run.poll() is None
        started = family(run.pid)[1:]
        run.send_signal(number)
        wait_until(lambda: not [process for process in started if _lives(process)], seconds=90, what="the end of all")
        assert run.wait(30) == (-signal.SIGKILL if number is signal.SIGKILL else 1)
    finally:
        run.kill()
        for process in filter(_lives, started):
            process.kill()
        run.wait()
        EmbeddedPostgres(directory / "postgres").destroy()  # what the killed run could not do any more


def _holds_postgres_frozen(pid: int) -> bool:
    # Not all of them: one that was about to end, or had just begun, is not frozen with the others.
    return any(_is_postgres(process) and _status(process) == psutil.STATUS_STOPPED for process in family(pid))


def _is_postgres(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres"
    except psutil.NoSuchProcess:
        return False


def _lives(process: psutil.Process) -> bool:
    return _status(process) not in {None, psutil.STATUS_ZOMBIE}


def _status(process: psutil.Process) -> str | None:
    try:
        return process.status() if process.is_running() else None
    except psutil.NoSuchProcess:
        return None
