"""A file on its way into pages, opened by a process: how long it may take, and what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from shared.uploads.table_order import TableOrder
from tests.support import wait_until
from worker.child_directory import child_directory
from worker.planning import upload_pages
from worker.planning.failures import UploadRefusedAtPlan
from worker.planning.upload_pages import UploadReader

# A process in the place of the one that opens a file: it says that it begins, and gives rows when it is told to.
_OPENS = """
import sys, tempfile, time
from pathlib import Path
sys.stdin.read()
place = Path(tempfile.mkdtemp())
print('{"rows": 2}', flush=True)
while not Path(sys.argv[1]).exists():
    time.sleep(0.02)
print("1\\t\\t{}", flush=True)
time.sleep(600)
"""


@contextmanager
def reading(monkeypatch: pytest.MonkeyPatch, go: Path) -> Iterator[UploadReader]:
    start = subprocess.Popen
    command = [sys.executable, "-c", _OPENS, str(go)]
    monkeypatch.setattr(upload_pages.subprocess, "Popen", lambda _, **more: start(command, **more))
    with UploadReader(TableOrder(uuid7()), owner="a", version_id=1, skip=0, most=10, spool_bytes=10**6) as reader:
        yield reader


def test_looking_through_a_file_may_take_longer_than_its_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The short patience is for pauses between rows, and begins with the first."""
    monkeypatch.setattr(upload_pages, "_STALL_SECONDS", 0.3)
    go = tmp_path / "go"
    with reading(monkeypatch, go) as reader:
        time.sleep(1)  # longer than rows may pause
        reader.check()
        go.touch()
        wait_until(lambda: reader._has_begun, what="the first row")
        time.sleep(0.5)
        with pytest.raises(UploadRefusedAtPlan, match=r"not read within 0\.3 s"):
            reader.check()


def test_a_process_that_is_ended_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Callers' rows lie in the temporary directory for as long as they are read, and no longer."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with reading(monkeypatch, tmp_path / "go"):
        wait_until(lambda: list(tmp_path.glob("predictq-child-*/*")), what="the process's file")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_parent_left_goes_with_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Found by the process id in its name."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import os, signal\nfrom worker.child_directory import child_directory\n"
        "with child_directory():\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with child_directory() as of_child:
        assert [str(path) for path in tmp_path.iterdir()] == [of_child["TMPDIR"]]
