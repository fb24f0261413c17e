"""Programs that a scenario starts and ends: each with its log, ended by its own process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from devstack.supervision import die_with_parent

ROOT = Path(__file__).parents[2]
_START_SECONDS = 60
_STOP_SECONDS = 10
_ENDING_WITH_US = [sys.executable, "-I", "-S", die_with_parent.__file__, f"--signal={signal.SIGTERM.value}"]


class ProgramFailed(Exception):
    """A program ended, or did not come up in time; the message has the end of its log."""


@contextmanager
def running(command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> Iterator[psutil.Process]:
    """`python COMMAND` until the block ends, and its children.

    They are killed: nothing is left for them to do by then, and Celery takes two seconds to find that out. What they
    leave behind lies beside the log.
    """
    with log.open("ab") as output:
        popen = subprocess.Popen(
            [*_ENDING_WITH_US, f"--parent={os.getpid()}", "--", sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(log.parent), **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    process = psutil.Process(popen.pid)
    try:
        yield process
    finally:
        children = process.children(recursive=True) if process.is_running() else []
        popen.kill()  # first, so that it starts no others
        popen.wait()
        for child in children:
            if child.is_running():
                child.kill()
        _wait_for_end(children)


def _wait_for_end(processes: Sequence[psutil.Process]) -> None:
    """Return when all have ended, reaped or not: that is init's part, and it may take seconds."""
    deadline = time.monotonic() + _STOP_SECONDS
    while any(not _has_ended(each) for each in processes) and time.monotonic() < deadline:
        time.sleep(0.01)


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for_http(url: str, process: psutil.Process, log: Path) -> None:
    """Return when `url` answers 200. Raises ProgramFailed."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and not _has_ended(process):
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise ProgramFailed(f"{url} did not come up:\n{tail(log)}")


def tail(log: Path) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def run_script(module: str, *arguments: str, environment: Mapping[str, str]) -> str:
    """Run `python -m MODULE ARGUMENTS` to its end; returns what it printed. Raises ProgramFailed."""
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise ProgramFailed(f"{module} failed:\n{ended.stderr[-2000:]}")
    return ended.stdout
