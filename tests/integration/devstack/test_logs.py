"""Logs of the embedded stack: bounded while a program runs, line by line and in all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import psutil
import pytest

from devstack.supervision import keep_log, log_keeper
from devstack.supervision.child import Child
from devstack.supervision.process import ChildProcess
from devstack.supervision.supervisor import Supervisor
from tests.support import wait_until

MOST, LONGEST = 200_000, 1_000
TALKER = """
import sys, time
for number in range(20_000):
    print(f"line {number:6} of a library that talks", flush=number % 1000 == 0)
print("x" * 3_000_000 + "é" * 10)
sys.stderr.write("the last words, which nobody ended")
sys.stderr.flush()
time.sleep(600)
"""


def talker(directory: Path, program: str = TALKER) -> Child:
    return Child("talker", [sys.executable, "-c", program], dict(os.environ), directory / "t.log", lambda: True)


def content_of(log: Path) -> bytes:
    """What stands in a log; nothing where it is being rotated, for a moment."""
    try:
        return log.read_bytes()
    except FileNotFoundError:
        return b""


@pytest.fixture(autouse=True)
def small_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_keeper, "LOG_LIMIT_BYTES", MOST)
    monkeypatch.setattr(log_keeper, "LONGEST_LINE", LONGEST)


def test_a_log_is_rotated_while_its_program_runs(tmp_path: Path) -> None:
    """Two files, both within the limit and their owner's alone; the newest lines are there, and none is too long."""
    child = ChildProcess(talker(tmp_path))
    log, before = tmp_path / "t.log", tmp_path / "t.log.1"
    child.start()
    try:
        wait_until(lambda: b"bytes left out" in content_of(log), what="all is written")
        assert child.is_running
        assert sorted(path.name for path in tmp_path.iterdir()) == ["t.log", "t.log.1"]
        for path in (log, before):
            assert path.stat().st_size <= MOST
            assert path.stat().st_mode & 0o777 == 0o600
        lines = (before.read_bytes() + log.read_bytes()).splitlines()
        numbers = [int(line.split()[1]) for line in lines if line.startswith(b"line")]
        assert numbers == list(range(numbers[0], 20_000))  # nothing is lost where a file follows another
        assert max(map(len, lines)) < LONGEST + 40
        assert lines[-1] == b"x" * LONGEST + b" [2,999,020 bytes left out]"
    finally:
        child.stop()
    assert log.read_bytes().endswith(b"\nthe last words, which nobody ended\n")


def test_what_a_program_said_last_is_told_when_it_fails(tmp_path: Path) -> None:
    """Also where its log was rotated meanwhile."""
    child = ChildProcess(talker(tmp_path, TALKER.partition("time.sleep")[0].replace("import sys, time", "import sys")))
    child.spawn()
    wait_until(lambda: not child.is_running, what="it ends")
    assert child.tail().endswith("bytes left out]\nthe last words, which nobody ended")


def test_a_log_goes_on_when_the_supervisor_is_killed_and_ends_with_its_program(tmp_path: Path) -> None:
    """Whoever stops in good order after that still has somebody who listens; then nothing is left."""
    program = (
        "import signal, sys, time\n"
        "def stop(*_):\n"
        "    print('x' * 300_000); print('stopped in good order', flush=True); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    supervisor = (
        "import os, sys, time\nfrom pathlib import Path\n"
        "from devstack.supervision.child import Child\nfrom devstack.supervision.process import ChildProcess\n"
        "log = Path(sys.argv[1])\n"
        "child = Child('t', [sys.executable, '-c', sys.argv[2]], dict(os.environ), log, "
        "lambda: b'ready' in log.read_bytes())\n"
        "ChildProcess(child).start()\nprint('up', flush=True)\ntime.sleep(600)\n"
    )
    log = tmp_path / "t.log"
    command = [sys.executable, "-c", supervisor, str(log), program]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        family = psutil.Process(running.pid).children(recursive=True)
        assert sum(keep_log.__file__ in one.cmdline() for one in family) == 1
        running.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert log.read_bytes().endswith(b"stopped in good order\n")


@contextmanager
def keeper_of(path: str) -> Iterator[IO[bytes]]:
    """What it reads; it must end in good order."""
    command = [sys.executable, "-I", "-S", keep_log.__file__, path, str(MOST), str(LONGEST)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0) as keeper:
        assert keeper.stdin is not None
        yield keeper.stdin
        keeper.stdin.close()
        assert keeper.wait(20) == 0


def test_a_disk_that_is_full_stops_nobody() -> None:
    """What cannot be written is read all the same: a program does not wait for its log. The file stays as it was."""
    before = Path("/dev/full").stat()
    with keeper_of("/dev/full") as written:
        for _ in range(100):
            written.write(b"a line\n" * 5_000)
    assert Path("/dev/full").stat().st_mode == before.st_mode


def test_a_log_that_somebody_removes_is_begun_anew(tmp_path: Path) -> None:
    """Nobody has to start the program again for it."""
    log = tmp_path / "t.log"
    with keeper_of(str(log)) as written:
        written.write(b"first\n")
        wait_until(lambda: content_of(log) == b"first\n", what="it is written")
        log.unlink()
        written.write(b"second\n")
        wait_until(lambda: content_of(log) == b"second\n", what="it is written anew")


def test_a_log_that_cannot_be_rotated_grows_on(tmp_path: Path) -> None:
    """One failure takes no line. Once there is room again it is rotated as ever."""
    log, before = tmp_path / "t.log", tmp_path / "t.log.1"
    before.mkdir()
    with keeper_of(str(log)) as written:
        for _ in range(5):
            written.write(b"a line\n" * 9_000)
        wait_until(lambda: log.exists() and log.stat().st_size == 5 * 63_000, what="all is written")
        before.rmdir()
        written.write(b"the next\n")
    assert before.stat().st_size == 5 * 63_000
    assert log.read_bytes() == b"the next\n"


def test_a_log_goes_on_when_what_writes_it_has_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor starts another one on the same pipe; the program notices nothing."""
    monkeypatch.setattr(log_keeper, "PAUSE_SECONDS", 0.1)
    log = tmp_path / "t.log"
    program = "import time\nwhile True:\n    print(time.monotonic(), flush=True); time.sleep(0.02)\n"
    with Supervisor() as supervisor:
        supervisor.start(replace(talker(tmp_path, program), ready=lambda: log.stat().st_size > 0))
        family = psutil.Process().children()
        (talking,) = (one for one in family if program in one.cmdline())
        next(one for one in family if str(log) in one.cmdline()).kill()
        died = time.monotonic()
        wait_until(lambda: float(content_of(log).split()[-1]) > died + 1, what="it goes on")
        assert talking.is_running()


def test_a_start_that_fails_kills_no_process_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a process that has ended may be somebody else's by then."""
    child = ChildProcess(talker(tmp_path, "pass"))
    child.spawn()
    wait_until(lambda: not child.is_running, what="it ends")
    child.kill()
    child.child = replace(child.child, cwd=tmp_path / "nowhere")
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _number: killed.append(group))
    with pytest.raises(FileNotFoundError):
        child.start()
    assert killed == []
    assert [one.name() for one in psutil.Process().children() if str(tmp_path) in " ".join(one.cmdline())] == []


def test_a_log_that_is_gone_has_no_last_words(tmp_path: Path) -> None:
    """A failure is told all the same."""
    child = ChildProcess(talker(tmp_path, "print('some words')"))
    child.spawn()
    wait_until(lambda: not child.is_running, what="it ends")
    assert child.tail() == "some words"
    child.child.log_path.unlink()
    assert child.tail() == ""
