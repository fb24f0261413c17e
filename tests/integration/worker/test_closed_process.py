"""Files that break in: what a pickle can do while a worker opens it for the first time."""

from __future__ import annotations

import io
import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sklearn.ensemble import RandomForestClassifier

from tests.support import ROOT, wait_until
from tests.unit.models.test_models_of_boosters import lightgbm, with_categories
from tests.unit.models.test_models_of_others import FRAME, LABELS, dumped, fitted, prepared
from worker.closed.calls import can_close_calls
from worker.closed.files import landlock_version
from worker.closed.process import how_closed, read_answer, run_closed
from worker.closed.work import WORK
from worker.errands.failures import ErrandRefused
from worker.errands.models import read_prepared

ASKED = {"name": "file", "columns": None, "source_id": None}


class OnOpening:
    """A pickle that runs a program in the process that opens it."""

    def __init__(self, program: str) -> None:
        self.program = program

    def __reduce__(self) -> Any:
        return exec, (self.program, {})


INTO_FILES = """
import stat
for fd in range(3, 20):
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            {}
    except OSError: pass
os._exit(0)"""  # whatever is open for writing: the answer is one


def attempts(*statements: str) -> str:
    """A program that tries each statement, and keeps the name of what each raises, or `done`."""
    lines = ["tried = []"]
    for statement in statements:
        lines += [f"try:\n    {statement}\n    tried.append('done')"]
        lines += ["except BaseException as error: tried.append(type(error).__name__)"]
    return "\n".join(lines)


class Burgled(NamedTuple):
    """What one file tried, and what it saw of each; how the machine was before, and is after."""

    network: list[str]
    files: list[str]
    secrets: list[str]
    others: list[str]
    found: str
    was_called: bool
    home: Path
    child: int


@pytest.fixture(scope="module")
def burgled(tmp_path_factory: pytest.TempPathFactory) -> Burgled:
    """One file that tries everything while it is opened, as registration opens it."""
    home, beside = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("beside")
    (home / "mine").write_text("as it was")
    (home / "mine").chmod(0o600)
    (beside / ".env").write_text("SOURCE=s3cret")
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", "postgresql://somebody:s3cret@nowhere/none")
        patch.setenv("PREDICTQ_API_KEY", "s3cret")
        patch.setenv("HOME", str(home))
        patch.setenv("PYTHONPATH", f"{ROOT}:{beside}")
        patch.chdir(beside)
        program = "\n".join(
            [
                "import ctypes, json, os, pathlib, resource, signal, socket, subprocess, tempfile, time",
                attempts(*network(server.getsockname()[1])),
                "seen = {'network': tried}; found = dict(os.environ)",
                attempts(*secrets(beside)),
                "seen['secrets'] = tried; seen['found'] = str(found)",
                attempts(*writing(home)),
                "seen['files'] = tried",
                "libc = ctypes.CDLL(None, use_errno=True)",
                "def call(*a):\n    if libc.syscall(*a) < 0: raise OSError(ctypes.get_errno(), 'no')",
                attempts(*others(other.pid)),
                "seen['others'] = tried; seen['child'] = os.fork()",
                "if seen['child'] == 0:\n    time.sleep(600); os._exit(0)",
                # A refusal has few letters: what was seen comes back as an answer of the file's own making.
                "answer = json.dumps({'result': seen}).encode()",
                *INTO_FILES.format("os.write(fd, answer)").splitlines(),
            ]
        )
        seen = run_closed("prepare", ASKED, pickle.dumps(OnOpening(program)), seconds=120)
        server.settimeout(0.2)
        with suppress(TimeoutError):
            server.accept()
            seen["called"] = True
    assert other.poll() is None
    other.kill()
    other.wait()
    return Burgled(
        **{name: seen[name] for name in ("network", "files", "secrets", "others", "found", "child")},
        was_called="called" in seen,
        home=home,
    )


def network(port: int) -> list[str]:
    return [
        f"socket.create_connection(('127.0.0.1', {port}), 2)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_UNIX)",
        "socket.socketpair()",
        "subprocess.run(['true'])",
        "os.execv('/bin/true', ['true'])",
    ]


def secrets(beside: Path) -> list[str]:
    return [
        f"found[1] = open('/proc/{os.getpid()}/environ').read()",
        "found[2] = open(f'/proc/{os.getppid()}/environ').read()",
        f"found[3] = open({str(beside / '.env')!r}).read()",
        "found[4] = open('/etc/shadow').read()",
        "found[5] = open('/etc/passwd').read()",
    ]


def writing(home: Path) -> list[str]:
    mine = str(home / "mine")
    return [
        f"open({str(home / 'new')!r}, 'w')",
        f"open({mine!r}, 'r+')",
        f"os.truncate({mine!r}, 0)",
        f"os.remove({mine!r})",
        f"os.rename({mine!r}, {mine + '2'!r})",
        f"os.symlink('/etc/passwd', {mine + '3'!r})",
        f"os.mkdir({mine + '4'!r})",
        f"os.chmod({mine!r}, 0o666)",
        f"os.chown({mine!r}, 65534, 65534)",
        f"os.utime({mine!r}, (1, 1))",
        f"os.setxattr({mine!r}, 'user.x', b'y')",
        "tempfile.TemporaryFile()",
        "open('/dev/shm/here', 'w')",
        f"open({str(ROOT / 'worker' / '__init__.py')!r}, 'a')",
    ]


def others(pid: int) -> list[str]:
    return [
        f"os.kill({pid}, signal.SIGKILL)",
        f"os.killpg({os.getpgid(0)}, signal.SIGTERM)",
        f"call(101, 16, {pid}, 0, 0)",
        f"resource.prlimit({pid}, resource.RLIMIT_NOFILE, (3, 3))",
        "os.setsid()",
        "os.setpgid(0, 0)",
        "call(29, 0, 4096, 0o1666)",
        "call(272, 0x10000000)",
        "call(425, 1, 0)",
    ]


def test_this_machine_can_close_everything() -> None:
    """The tests below would prove nothing on a system without Landlock or without filters of calls."""
    assert landlock_version() >= 1
    assert can_close_calls()
    assert "no network, no secrets" in how_closed()


def test_a_file_reaches_no_network(burgled: Burgled) -> None:
    """No socket of any kind, no connection to a server that listens beside it, no other program to do it."""
    assert len(burgled.network) == len(network(0))
    assert "done" not in burgled.network
    assert not burgled.was_called


def test_a_file_finds_no_secret(burgled: Burgled) -> None:
    """Not in its environment, not in that of the process that started it, not in a file beside the code."""
    assert burgled.secrets == ["PermissionError"] * 5
    assert "PATH" in burgled.found
    assert [word for word in ("s3cret", "DATABASE_URL", "API_KEY") if word in burgled.found] == []


def test_a_file_writes_nothing(burgled: Burgled) -> None:
    """Not into a home, not for temporary files, not over the code that it runs; it changes no rights and no times."""
    assert len(burgled.files) == len(writing(burgled.home))
    assert "done" not in burgled.files
    assert [path.name for path in burgled.home.iterdir()] == ["mine"]
    mine = burgled.home / "mine"
    assert (mine.read_text(), mine.stat().st_mode & 0o777) == ("as it was", 0o600)
    assert mine.stat().st_mtime > 1


def test_a_file_touches_no_other_process(burgled: Burgled) -> None:
    """It ends none, follows none, leaves no group and no namespace, and takes no memory that others share."""
    assert len(burgled.others) == len(others(0))
    assert "done" not in burgled.others


def test_nothing_that_a_file_starts_outlives_it(burgled: Burgled) -> None:
    """A child that it forked and left behind ends with it."""
    assert burgled.child > 0
    wait_until(lambda: not _runs(burgled.child), seconds=10, what="the end of the child")


def _runs(pid: int) -> bool:
    try:
        return b"worker.closed" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize(
    "output", [b"not json", b"[]", b'{"result": {}}', b'{"result": {"reference": 5}}', b"{}", b"7"]
)
def test_what_a_file_says_in_the_place_of_the_process_is_doubted(output: bytes) -> None:
    """It can write what it likes to whoever waits: that is read as JSON and refused, never unpickled."""
    with pytest.raises(ErrandRefused, match=r"gave no answer"):
        read_prepared(read_answer(io.BytesIO(output), 0), "model", b"", None)


def test_an_answer_without_end_is_cut() -> None:
    """Whoever waits for it reads a bounded number of bytes."""
    program = "import os\n" + INTO_FILES.format("while True: os.write(fd, b'x' * 2**20)")
    with pytest.raises(ErrandRefused, match=r"gave no answer"):
        run_closed("prepare", ASKED, pickle.dumps(OnOpening(program)), seconds=120)


HONEST: dict[str, Callable[[], bytes]] = {
    "a forest": lambda: dumped(fitted(prepared(RandomForestClassifier(10, n_jobs=2), filled=True))),
    "LightGBM": lambda: dumped(lightgbm("LGBMClassifier").fit(with_categories(FRAME), LABELS)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", sorted(HONEST))
def test_honest_files_are_opened_closed_in(kind: str) -> None:
    """A closed process finds and answers what one finds and answers that is open."""
    content = HONEST[kind]()
    inside, outside = run_closed("prepare", ASKED, content), WORK["prepare"](ASKED, content)
    assert inside.pop("created_at") != outside.pop("created_at")
    assert inside == json.loads(json.dumps(outside))
