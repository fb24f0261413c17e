"""Which tests reach a line: seen once without a mutant, so that each mutant meets those first that can notice it."""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from coverage import Coverage

from tests.mutants.targets import ROOT

_PATIENCE = 3  # times as long as without a mutant
_GRACE_SECONDS = 20.0  # and so much more: a machine is busy at times


@dataclass(frozen=True)
class Reach:
    """What one run without a mutant showed."""

    seconds: Mapping[str, float]  # of each test, with its fixtures
    tests: Mapping[str, Mapping[int, frozenset[str]]]  # path -> line -> the tests that ran it in their own process

    @classmethod
    def read(cls, file: Path) -> Reach:
        """What a `Recorder` wrote."""
        kept = json.loads(file.read_text(encoding="utf-8"))
        lines = {path: {int(n): frozenset(tests) for n, tests in of.items()} for path, of in kept["tests"].items()}
        return cls(kept["seconds"], lines)

    def of(self, path: Path, line: int) -> frozenset[str]:
        """The tests that ran the statement on this line; for what runs at an import, all that ran the module."""
        seen = self.tests.get(str(path), {})
        first, last = _statement(path, line) or (0, 1 << 30)
        return frozenset().union(*(tests for number, tests in seen.items() if first <= number <= last))


class Recorder:
    """A plugin of pytest: writes to `file` which tests run which lines of `paths`, and how long they take."""

    def __init__(self, paths: Sequence[Path], file: Path) -> None:
        self._paths = paths
        self._file = file
        self._seconds: dict[str, float] = {}
        self._coverage = Coverage(data_file=None, config_file=False, include=[str(ROOT / path) for path in paths])
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """One test."""
        self._coverage.switch_context(item.nodeid)
        started = time.monotonic()
        result = yield
        self._seconds[item.nodeid] = time.monotonic() - started
        return result

    def pytest_sessionfinish(self) -> None:
        """All have run."""
        self._coverage.stop()
        data = self._coverage.get_data()
        tests = {
            str(path): {
                line: [test for test in of if test] for line, of in data.contexts_by_lineno(str(ROOT / path)).items()
            }
            for path in self._paths
        }
        self._file.write_text(json.dumps({"seconds": self._seconds, "tests": tests}), encoding="utf-8")


class ReachFirst:
    """A plugin of pytest: tests that reach the mutant come first, and none may take much longer than without it.

    Where some do, the others are left out, unless `with_others`: they may reach it in a process that they start.
    """

    def __init__(self, reach: Reach, path: Path, line: int, *, with_others: bool = False) -> None:
        self._seconds = reach.seconds
        self._tests = reach.of(path, line)
        self._with_others = with_others or not self._tests

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Module by module, for their fixtures may be the module's; the shortest first that have such a test."""
        if not self._with_others:
            items[:] = [item for item in items if item.nodeid in self._tests]
        shortest: dict[str, float] = {}
        for item in items:
            if item.nodeid in self._tests:
                seconds = self._seconds[item.nodeid]
                shortest[_module(item)] = min(seconds, shortest.get(_module(item), seconds))
        items.sort(key=lambda item: (shortest.get(_module(item), 1e9), item.nodeid not in self._tests))
        for item in items:
            seconds = _GRACE_SECONDS + _PATIENCE * self._seconds.get(item.nodeid, 0.0)
            item.add_marker(pytest.mark.timeout(seconds), append=False)


def _module(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _statement(path: Path, line: int) -> tuple[int, int] | None:
    """First and last line of the innermost statement of a function that holds this line; of a block, only its head."""
    everything = ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    functions = [node for node in everything if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = [node for function in functions for part in function.body for node in ast.walk(part)]
    spans = [(node.lineno, _end_of_head(node)) for node in inside if isinstance(node, ast.stmt)]
    holding = [(first, last) for first, last in spans if first <= line <= last]
    return min(holding, key=lambda span: span[1] - span[0], default=None)


def _end_of_head(statement: ast.stmt) -> int:
    body: list[ast.stmt] | None = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno
    return max(statement.lineno, last or 0)
