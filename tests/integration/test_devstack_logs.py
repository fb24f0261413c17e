"""Logs of the embedded stack: bounded while a program runs, line by line and in all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from devstack.supervision import keep_log, process
from devstack.supervision.child import Child
from devstack.supervision.process import ChildProcess
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


@pytest.fixture(autouse=True)
def small_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_LIMIT_BYTES", MOST)
    monkeypatch.setattr(process, "LONGEST_LINE", LONGEST)


def test_a_log_is_rotated_while_its_program_runs(tmp_path: Path) -> None:
    """Two files, both within the limit and their owner's alone; the newest lines are there, and none is too long."""
    child = ChildProcess(talker(tmp_path))
    log, before = tmp_path / "t.log", tmp_path / "t.log.1"
    child.start()
    try:
        wait_until(lambda: b"bytes left out" in log.read_bytes(), what="all is written")
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


def test_a_disk_that_is_full_stops_nobody(tmp_path: Path) -> None:
    """What cannot be written is read all the same: a program does not wait for its log."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", keep_log.__file__, "/dev/full", str(MOST), str(LONGEST)], stdin=subprocess.PIPE
    ) as keeper:
        assert keeper.stdin is not None
        keeper.stdin.write(b"a line\n" * 500_000)
        keeper.stdin.close()
        assert keeper.wait(20) == 0
