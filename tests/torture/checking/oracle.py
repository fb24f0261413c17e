"""The oracle: what the estimator itself says of a state of a client, asked in a process apart."""

from __future__ import annotations

import atexit
import json
import math
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from tests.torture.population import Features

Answer = float | str  # a probability, or the code of an error
State = Features | None  # None: there is no such client

_ROOT = Path(__file__).parents[3]
_UNKNOWN = "unknown_client"
_TOLERANCE = 1e-12  # sums in another order differ by about 1e-15


class Oracle:
    """Right answers by model version. `files`: the estimator of each version, kept aside before the service had it."""

    def __init__(self, files: Mapping[int, Path]) -> None:
        self._files = files
        self._known: dict[tuple[int, Features], Answer] = {}

    def learn(self, version: int, states: Iterable[State]) -> None:
        """Have the estimator answer for those of these states that it was not asked about yet, all of them at once."""
        new = [state for state in set(states) if state is not None and (version, state) not in self._known]
        if new:
            for state, answer in zip(new, _judge().ask(self._files[version], new), strict=True):
                self._known[version, state] = answer

    def expected(self, version: int, state: State) -> Answer:
        """What the answer for a client in this state is, once it is learnt."""
        return _UNKNOWN if state is None else self._known[version, state]

    def agrees(self, version: int, state: State, outcome: Answer) -> bool:
        """Whether this is the right answer for a client in this state."""
        expected = self.expected(version, state)
        if isinstance(expected, str) or isinstance(outcome, str):
            return expected == outcome
        return math.isclose(expected, outcome, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


class _Judge:
    """One process for all who ask: to import scikit-learn takes longer than all answers."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.torture.checking.judge"]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._lock = threading.Lock()
        atexit.register(self._end)

    def ask(self, file: Path, states: list[Features]) -> list[Answer]:
        """Its answers, in the order of the states. Raises RuntimeError when it has ended."""
        with self._lock:
            if self._process.stdin is None or self._process.stdout is None:
                raise RuntimeError("the judge has no pipes")
            self._process.stdin.write(json.dumps({"file": str(file), "states": states}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the judge has ended, with status {self._process.wait()}")
        answers: list[Answer] = json.loads(line)
        return answers

    def _end(self) -> None:
        self._process.communicate()  # an end of its input is an end of its work


@cache
def _judge() -> _Judge:
    return _Judge()
