"""The stack under attack: a watched gateway, a worker, clients, a live model, keys, and what attacks need."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from shared.access.api_keys import create_key, revoke_key
from shared.config import Settings
from shared.postgres.engine import make_engine, transaction
from tests.hostile.attack import ATTACKS
from tests.hostile.attacker import Target
from tests.hostile.figures import Figures
from tests.hostile.neighbour import Neighbour
from tests.hostile.watched_gateway import WatchedGateway
from tests.support import ROOT, add_clients, add_model, wait_until, worker_process

FEATURES = {"age": 41, "monthly_income": 2000, "department": "Sales", "over_time": False}
_GRACE_SECONDS = 120.0  # that an attack may take beyond its time: 8 MB of short lines, beside other tests
_ENDLESS_ROWS = 100_000  # some 6 MB as CSV: the kernel takes up to 4 MB (tcp_wmem) that nobody reads
CALLERS = 4  # hostile ones that do their worst at once


@dataclass
class Stack:
    """What is running."""

    settings: Settings
    gateway: WatchedGateway
    worker: subprocess.Popen[bytes]
    keys: Sequence[str]  # of the hostile callers
    neighbour_key: str
    facts: dict[str, Any]
    calm: Figures = field(init=False)

    def measure_calm(self, seconds: float) -> None:
        """What the neighbour sees when nobody is hostile; once before, so that all is warm."""
        for length in (seconds / 2, seconds):
            self.gateway.reset()
            with self._neighbour() as neighbour:
                time.sleep(length)
            self.calm = Figures("calm", "calm", "nobody attacks")
            self._note(self.calm, neighbour)

    def attack(self, names: Sequence[str], seconds: float, *, callers: int = 1) -> Figures:
        """Let `callers` processes do these attacks at once, each in turns, with a key each. Returns what was seen."""
        only = ATTACKS[names[0]]
        figures = (
            Figures(only.name, only.kind, only.what)
            if len(names) == 1
            else Figures("at_once", "at once", f"{callers} callers with a key each, doing all of the worst in turns")
        )
        before = self.gateway.connections()
        self.gateway.reset()
        with contextlib.ExitStack() as stack:
            processes = [
                stack.enter_context(self._caller(names[number:] + names[:number], seconds, number))
                for number in range(callers)
            ]
            with self._neighbour() as neighbour:
                for process in processes:
                    _expect(process, "done", seconds + _GRACE_SECONDS)
                figures.open_at_end = max(0, self.gateway.connections() - before - 1)
                seen = [_end(process) for process in processes]
        figures.left_open = max(0, self.gateway.settle(before) - before)
        self._note(figures, neighbour)
        for item in seen:
            figures.bytes_taken += item["bytes_sent"]
            figures.complaints += item["complaints"]
            for status, count in item["answers"].items():
                figures.answers[status] = figures.answers.get(status, 0) + count
        return figures

    def _neighbour(self) -> Neighbour:
        return Neighbour(self.gateway.port, self.neighbour_key, FEATURES)

    def _note(self, figures: Figures, neighbour: Neighbour) -> None:
        figures.peak_memory = self.gateway.peak_memory()
        figures.longest_stall = self.gateway.longest_stall()
        figures.neighbour_calls = len(neighbour.figures.seconds)
        figures.neighbour_p50, figures.neighbour_p99 = neighbour.figures.p(0.5), neighbour.figures.p(0.99)
        figures.neighbour_wrong = neighbour.figures.wrong
        if not self.gateway.is_alive or self.worker.poll() is not None:
            figures.complaints.append("the gateway or the worker has ended")

    @contextmanager
    def _caller(self, names: Sequence[str], seconds: float, number: int) -> Iterator[subprocess.Popen[str]]:
        target = Target(
            "127.0.0.1",
            self.gateway.port,
            self.keys[number],
            self.settings.redis_url.get_secret_value(),
            self.settings.database_url.get_secret_value(),
            seconds,
            self.facts,
        )
        with subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.caller", *names],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            try:
                assert process.stdin is not None
                process.stdin.write(target.to_json() + "\n")
                process.stdin.flush()
                _expect(process, "ready", 120)
                yield process
            finally:
                process.kill()


def _expect(process: subprocess.Popen[str], word: str, seconds: float) -> None:
    assert process.stdout is not None
    # Attacks have time-outs of their own; this one is for an attack that forgot.
    end = time.monotonic() + seconds
    line = process.stdout.readline()
    if line.strip() != word or time.monotonic() > end:
        raise AssertionError(f"the attack's process said {line!r} in place of {word!r}, or took too long")


def _end(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    seen: dict[str, Any] = json.loads(process.stdout.readline())
    process.communicate("\n", timeout=30)
    return seen


@contextmanager
def running_stack(settings: Settings, directory: Path) -> Iterator[Stack]:
    """Start everything on servers that are there."""
    engine = make_engine(settings, application_name="test", pool_size=2)
    add_model(engine)
    add_clients(engine, 20_000)
    keys = [_key(engine, f"hostile-{number}") for number in range(CALLERS)]
    facts: dict[str, Any] = {"revoked": _key(engine, "gone"), "strangers": [_key(engine, "stranger") for _ in range(3)]}
    with transaction(engine) as connection:
        revoke_key(connection, str(facts["revoked"])[:11])
    with (
        worker_process(settings, log=directory / "worker.log") as worker,
        WatchedGateway(settings, directory) as gateway,
    ):
        stack = Stack(settings, gateway, worker, keys, _key(engine, "neighbour"), facts)
        facts |= _jobs(stack)
        yield stack
    engine.dispose()


def _key(engine: Engine, owner: str) -> str:
    with transaction(engine) as connection:
        return create_key(connection, owner)[0]


def _jobs(stack: Stack) -> dict[str, Any]:
    """Ended jobs: a large one of each hostile caller, one that no buffer holds, and one of the neighbour's."""
    from tests.hostile.attacker import Attacker

    def create(key: str, body: bytes = b'{"all": true}') -> str:
        target = Target("127.0.0.1", stack.gateway.port, key, "", "", 60)
        caller = Attacker(target)
        answer = caller.call("POST", "/v1/jobs", body)
        assert answer.status == 202, answer.body
        location = answer.headers["location"]
        wait_until(
            lambda: caller.call("GET", location).json()["status"] == "succeeded", seconds=120, what="a large job ends"
        )
        return location

    endless = json.dumps({"client_ids": [*range(1, 20_001)] * (_ENDLESS_ROWS // 20_000)}).encode()
    return {
        "jobs": {key: create(key) for key in stack.keys},
        "endless_jobs": {key: create(key, endless) for key in stack.keys},
        "neighbours_job": create(stack.neighbour_key),
    }
