"""Runs of tests in forks of a process that has imported all libraries and keeps PostgreSQL and Redis warm."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from devstack.servers.postgres import EmbeddedPostgres
from devstack.servers.redis import EmbeddedRedis
from tests.mutants.importing import install
from tests.mutants.mutations import Mutant
from tests.mutants.outcomes import keep_outcome
from tests.mutants.reach import Reach, ReachFirst, Recorder
from tests.mutants.targets import ROOT, Target

_OURS = ("api", "web", "worker", "shared", "model", "cli", "devstack", "sql", "tests")
_KEPT = ("tests.mutants",)
_LIBRARIES = (
    "pandas",
    "pyarrow.csv",
    "pyarrow.compute",
    "sklearn.pipeline",
    "fastapi",
    "celery",
    "hypothesis",
    "httpx",
)
_POSTGRES = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB", "max_connections": "120",
             "autovacuum": "off"}  # fmt: skip
_BASELINE_SECONDS = 900.0
_PATIENCE = 3  # times as long as without a mutant
SURVIVED = "survived"
_KILLED, _LATE = "killed", "killed by time"


@dataclass(frozen=True)
class WarmServers:
    """For tests/conftest.py: servers that outlive one run of pytest."""

    postgres: EmbeddedPostgres
    redis: EmbeddedRedis

    def pytest_configure(self, config: pytest.Config) -> None:
        """Hand them to the fixtures."""
        config.warm_servers = self  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Outcome:
    """How the tests took it."""

    word: str
    seconds: float
    output: str

    @property
    def is_killed(self) -> bool:
        """Whether a test failed, or none of them came to an end."""
        return self.word != SURVIVED


class Runner:
    """Use `warm_runner`."""

    def __init__(self, servers: WarmServers, directory: Path) -> None:
        self._servers = servers
        self._directory = directory

    def reach(self, tests: Sequence[str], paths: Sequence[Path]) -> tuple[Outcome, Reach | None]:
        """Run these tests with everything as it is, and see which lines of the modules they reach."""
        file = self._directory / "reach.json"
        file.unlink(missing_ok=True)
        outcome = self._fork(tests, None, _BASELINE_SECONDS, lambda: Recorder(paths, file))
        return outcome, None if outcome.is_killed else Reach.read(file)

    def run(
        self, tests: Sequence[str], mutant: Mutant, reach: Reach, seconds: float, *, with_others: bool = False
    ) -> Outcome:
        """Run these tests with the mutant in the place of its module: those that reach it, then perhaps the others."""
        return self._fork(
            tests, mutant, seconds, lambda: ReachFirst(reach, mutant.path, mutant.line, with_others=with_others)
        )

    def _fork(
        self, tests: Sequence[str], mutant: Mutant | None, seconds: float, make_plugin: Callable[[], object]
    ) -> Outcome:
        started = time.monotonic()
        output = self._directory / "output.txt"
        child = os.fork()
        if child == 0:
            self._be_tested(tests, mutant, output, make_plugin)
        status = _wait(child, started + seconds)
        _kill_group(child)  # processes that its tests have left behind
        self._drop_databases()
        word = _LATE if status is None else _KILLED if status else SURVIVED
        return Outcome(word, time.monotonic() - started, output.read_text(encoding="utf-8", errors="replace"))

    def _be_tested(
        self, tests: Sequence[str], mutant: Mutant | None, output: Path, make_plugin: Callable[[], object]
    ) -> None:
        """In the fork; does not return."""
        status = 1
        try:
            os.setsid()  # a group of its own to be ended by, and no terminal that could stop it
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
                if not name.startswith(_KEPT) and name != "tests":
                    del sys.modules[name]
            if mutant is not None:
                code_file = self._directory / "mutant.py"
                code_file.write_text(mutant.code, encoding="utf-8")
                install(str(mutant.path), code_file)
            options = ["-q", "-x", "-p", "no:cacheprovider", "--no-header", "--timeout=120",
                       "--hypothesis-profile=mutants", "-W", "ignore::pytest.PytestAssertRewriteWarning"]  # fmt: skip
            status = int(pytest.main([*options, *tests], plugins=[self._servers, make_plugin()]))
        except BaseException:  # noqa: BLE001 - nothing of the fork may come back into its parent's code
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _drop_databases(self) -> None:
        engine = create_engine(self._servers.postgres.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            names = connection.execute(text("SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%'")).scalars()
            for name in names.all():
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


def _wait(child: int, deadline: float) -> int | None:
    """The exit status; None when the time is over."""
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.02)
    _kill_group(child)
    os.waitpid(child, 0)
    return None


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


@contextlib.contextmanager
def warm_runner() -> Iterator[Runner]:
    """Start the servers, and import what does not change."""
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(prefix="predictq-mutants-") as name:
        directory = Path(name)
        for library in _LIBRARIES:
            __import__(library)
        with (
            EmbeddedPostgres(directory / "postgres", settings=_POSTGRES) as postgres,
            EmbeddedRedis(directory / "redis", more=("flushall",)) as redis,
        ):
            yield Runner(WarmServers(postgres, redis), directory)
            postgres.destroy()


def try_mutants(
    mutants: Sequence[Mutant], targets: Mapping[Path, Target], end: float, with_others: bool = False
) -> str:
    """Test these until `end`, with servers of this process's own, and keep what is seen.

    Returns the output of tests that fail without any mutant, which ends the run; otherwise nothing.
    """
    reaches: dict[Target, tuple[Reach, float]] = {}
    with warm_runner() as runner:
        for mutant in mutants:
            if time.monotonic() > end:
                break
            target = targets[mutant.path]
            if target not in reaches:
                outcome, reach = runner.reach(target.tests, target.paths)
                if reach is None:
                    return f"{outcome.output}\nthese fail without any mutant: {' '.join(target.tests)}"
                reaches[target] = (reach, outcome.seconds)
                _say(f"{outcome.seconds:.1f} s without a mutant: {' '.join(target.tests)}")
            reach, seconds = reaches[target]
            outcome = runner.run(target.tests, mutant, reach, 10 + _PATIENCE * seconds, with_others=with_others)
            keep_outcome(mutant.id, outcome.word)
            where = f"{mutant.path}:{mutant.line}"
            _say(f"{outcome.word:>14} {outcome.seconds:5.1f} s  {where}  {mutant.before}  →  {mutant.after}")
    return ""


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()
