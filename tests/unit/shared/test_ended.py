"""What ends a process or a thread goes through the log: no raw traceback, whose text may repeat a value."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support import ROOT

_PROGRAM = """
import sys, threading
from shared.config import Settings
from shared.logging import configure_logging
given = {"database_url": "postgresql://h/d", "redis_url": "redis://h"}
configure_logging(Settings.model_validate(given), service="test")

class FromDriver(Exception):
    pgcode = "23505"

def fail():
    raise FromDriver("DETAIL: Key (key)=(planted-3141) already exists")

if sys.argv[1] == "thread":
    thread = threading.Thread(target=fail, name="beat")
    thread.start()
    thread.join()
else:
    fail()
"""


@pytest.mark.parametrize(("ends", "event", "status"), [("process", "process_ended", 1), ("thread", "thread_ended", 0)])
def test_what_ends_a_process_or_a_thread_is_a_line_without_values(ends: str, event: str, status: int) -> None:
    """One line of JSON with the place and PostgreSQL's code, and nothing beside it."""
    command = [sys.executable, "-c", _PROGRAM, ends]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (status, "")
    (line,) = map(json.loads, ended.stderr.splitlines())
    assert (line["event"], line["service"]) == (event, "test")
    assert "in fail" in line["exception"]
    assert line["exception"].endswith("FromDriver (SQLSTATE 23505)")
    assert "planted" not in ended.stderr
