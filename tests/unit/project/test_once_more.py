"""Tests that failed beside others run again by themselves, and what is broken stays broken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import once_more
from tests.once_more import EVIDENCE
from tests.support import ROOT

_TESTS = """
import pathlib

def test_of_a_busy_machine():
    mark = pathlib.Path("mark")
    was_there = mark.exists()
    mark.touch()
    assert was_there

def test_broken():
    assert False

def test_sound():
    pass
"""


def _run(directory: Path, *names: str) -> subprocess.CompletedProcess[str]:
    (directory / "pytest.ini").touch()
    (directory / "test_some.py").write_text(_TESTS, encoding="utf-8")
    tests = [f"test_some.py::{name}" for name in names]
    whole = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *tests, "-o", "cache_dir=.pytest_cache/whole", "--cache-clear"],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return subprocess.run(
        [sys.executable, str(ROOT / "tests" / "once_more.py"), str(whole.returncode)],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_passes_by_itself_is_named_and_is_no_failure(tmp_path: Path) -> None:
    """It failed beside others only."""
    run = _run(tmp_path, "test_of_a_busy_machine", "test_sound")
    assert run.returncode == 0, run.stdout
    assert run.stdout.endswith("(to be mended):\n  test_some.py::test_of_a_busy_machine\n")
    assert "1 passed" in run.stdout, "the sound one did not run again"


def test_what_fails_twice_is_a_failure(tmp_path: Path) -> None:
    """Whatever else passes the second time."""
    run = _run(tmp_path, "test_of_a_busy_machine", "test_broken")
    assert run.returncode == 1
    assert "1 failed, 1 passed" in run.stdout


def test_evidence_is_not_tried_again(tmp_path: Path) -> None:
    """One lost row is one too many; and what is named is there."""
    cache = tmp_path / ".pytest_cache" / "whole" / "v" / "cache"
    cache.mkdir(parents=True)
    for place in EVIDENCE:
        assert (ROOT / place).exists()
        (cache / "lastfailed").write_text(json.dumps({f"{place}::test_some": True}), encoding="utf-8")
        assert once_more.main(1, cache.parents[1]) == 1


@pytest.mark.parametrize(("status", "failed"), [(1, 4), (1, 0), (2, 1), (3, 1)])
def test_many_failures_and_broken_runs_are_not_tried_again(tmp_path: Path, status: int, failed: int) -> None:
    """Four failures are no accident, and a run that was stopped or broke says nothing of its tests."""
    cache = tmp_path / ".pytest_cache" / "whole" / "v" / "cache"
    cache.mkdir(parents=True)
    names = {f"test_some.py::test_{number}": True for number in range(failed)}
    (cache / "lastfailed").write_text(json.dumps(names), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "once_more.py"), str(status)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (status, "")
