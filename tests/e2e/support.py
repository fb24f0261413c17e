"""The real console script as a user runs it, and the stack that it starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from devstack.stack_servers import delete_data
from tests.support import wait_until

PREDICTQ = str(Path(sys.executable).with_name("predictq"))
CLIENTS = 3000  # of the stack that tests share
HIDDEN = ("DATABASE_URL", "REDIS_URL", "PREDICTQ_API_URL", "PREDICTQ_API_KEY")
QUICK = {"PREDICTQ_LEASE_SECONDS": "2", "PREDICTQ_BULK_BATCH_ROWS": "200", "PREDICTQ_SWEEP_SECONDS": "0.5"}


def environment(**variables: str) -> dict[str, str]:
    """The environment of the tests without the addresses of any stack."""
    return {name: value for name, value in os.environ.items() if name not in HIDDEN} | variables


def predictq(cwd: Path, *arguments: str, text: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [PREDICTQ, *arguments],
        cwd=cwd, env=environment(**variables), input=text, capture_output=True, text=True, timeout=200,
    )  # fmt: skip


@dataclass
class Up:
    """A running `predictq up`."""

    directory: Path  # its working directory
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def state(self) -> dict[str, Any]:
        """What it tells other processes."""
        state: dict[str, Any] = json.loads((self.directory / ".predictq" / "stack.json").read_text())
        return state

    def run(self, *arguments: str, text: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command in the stack's directory."""
        return predictq(self.directory, *arguments, text=text, **variables)

    def ask(self, *arguments: str, status: int = 0, text: str | None = None, **variables: str) -> Any:
        """A command with --json: what it printed, once it ended with `status`."""
        result = self.run(*arguments, "--json", text=text, **variables)
        assert result.returncode == status, result.stderr
        return json.loads(result.stdout)

    def refused(self, *arguments: str, status: int = 1, text: str | None = None, **variables: str) -> str:
        """A command that must fail with `status`: its one line."""
        result = self.run(*arguments, text=text, **variables)
        assert result.returncode == status, result.stdout + result.stderr
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1, result.stderr
        return result.stderr

    def family(self) -> list[psutil.Process]:
        """Every process that it started, at any depth."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def children_named(self, module: str) -> list[psutil.Process]:
        """Its own children that run `python -m MODULE`."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if command_of(child)[2:4] == ["-m", module]]


def command_of(process: psutil.Process) -> list[str]:
    """Its command line; empty when it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@contextmanager
def running_up(
    directory: Path, *arguments: str, wait: bool = True, delete: bool = True, **variables: str
) -> Iterator[Up]:
    """`predictq up` in `directory`; at the end it is stopped, and its data deleted unless they shall be used again."""
    log = directory / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PREDICTQ, "up", *arguments],
            cwd=directory, env=environment(**QUICK, **variables), stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    up = Up(directory, process, log)
    try:
        if wait:
            wait_until(lambda: is_ready(up), seconds=240, what="predictq up")
        yield up
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        if delete:
            delete_data(directory / ".predictq")


def is_ready(up: Up) -> bool:
    """Whether it has said that it is up; fails when it has ended."""
    text = up.log.read_text()
    assert up.process.poll() is None, text
    return "Stop: Ctrl-C" in text or '"api_url"' in text


def stop(up: Up, number: signal.Signals) -> int:
    """Send a signal, and return the exit status once it and everything that it started are gone."""
    family = up.family()
    up.process.send_signal(number)
    status = up.process.wait(60)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, alive
    return status
