"""Finding a browser for the tests: a missing one is a failure that says what to do, not a skip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import __main__ as install
from tests.browser import find


def test_a_machine_without_a_browser_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the command; the machine's own is taken before Playwright's."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(find, "PLACES", ())
    monkeypatch.setattr(find, "_own", lambda: tmp_path / "own")
    with pytest.raises(find.BrowserMissing, match="make browser"):
        find.browser_program()
    (tmp_path / "own").touch(mode=0o755)
    assert find.browser_program() == tmp_path / "own"
    (tmp_path / "chromium").touch(mode=0o755)
    assert find.browser_program() == tmp_path / "chromium"


def test_an_installation_that_brings_none_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each way is said before it is tried, and none of them is taken for done."""
    tried: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        tried.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(find, "PLACES", ())
    monkeypatch.setattr(find, "_own", lambda: tmp_path / "none")
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit, match="tests of pages fail"):
        install.main()
    assert tried == [[sys.executable, "-m", "playwright", "install", "chromium"]]
    assert "playwright install chromium" in capsys.readouterr().err
