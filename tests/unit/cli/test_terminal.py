"""Terminals of any encoding, and words that fit the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import watching
from cli.output.console import plain_text
from cli.output.words import START_IT, as_commands, database_advice
from shared.sources.errors import SourceNotNamed
from tests.support import ROOT
from tests.unit.cli.test_words import predictq

NARROW = {
    "ascii": {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"},
}
AWAY = "postgresql+psycopg2://a:b@127.0.0.1:1/c"


@pytest.mark.parametrize("terminal", NARROW.values(), ids=NARROW)
@pytest.mark.parametrize("arguments", [["doctor"], ["--help"], ["train", "--help"], ["jobs", "--directory", "…\u2713"]])
def test_no_terminal_ends_a_command(tmp_path: Path, terminal: dict[str, str], arguments: list[str]) -> None:
    """What it cannot show is written in other letters, and the command goes on to its own end."""
    result = predictq(*arguments, cwd=tmp_path, DATABASE_URL=AWAY, REDIS_URL="redis://127.0.0.1:1/0", **terminal)
    assert "Traceback" not in result.stderr
    assert "codec" not in result.stderr
    if arguments == ["doctor"]:
        assert "x database" in result.stdout
        assert "-> start it" in result.stdout


@pytest.mark.parametrize("terminal", NARROW.values(), ids=NARROW)
def test_a_file_is_read_the_same_in_any_terminal(tmp_path: Path, terminal: dict[str, str]) -> None:
    """JSON is UTF-8, piped or named; what is not is told by its place."""
    path = tmp_path / "features.json"
    path.write_bytes('{"name": "Zoë"}'.encode("latin-1"))
    result = predictq("predict-raw", "--features", str(path), cwd=tmp_path, **terminal)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "is not UTF-8: byte 13" in result.stderr


def texts_of_errors() -> Iterator[str]:
    """Every text for people in `shared` and `api` that names a call of the gateway."""
    for room in ("shared", "api", "model", "worker"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):  # what is handed to an error, or built for one
                    yield from (
                        part.value for argument in node.args for part in ast.walk(argument)
                        if isinstance(part, ast.Constant) and isinstance(part.value, str) and " /v1/" in part.value
                    )  # fmt: skip


def test_the_command_line_names_no_call_of_the_gateway() -> None:
    """Errors that callers over HTTP read, too, reach a command line with commands in them."""
    found = list(texts_of_errors())
    left = [text for text in found if re.search(r"/v1/|\b(GET|POST|PUT|DELETE)\b", as_commands(text))]
    assert left == []


def test_the_member_of_a_body_is_the_option_of_a_command() -> None:
    """What a call is told to name as `source`, a command names by an option."""
    told = as_commands(str(SourceNotNamed(["hospitals", "stays"])))
    assert told == "A client is one of a source, and say which by --source NAME: hospitals, stays."


def test_advice_fits_what_the_server_said() -> None:
    """Advice to start it helps nobody whose password is wrong."""
    assert "password" in database_advice('FATAL:  password authentication failed for user "a"')
    assert "PgBouncer" in database_advice("FATAL:  unsupported startup parameter: options")
    assert "createdb" in database_advice('FATAL:  database "x" does not exist')
    assert database_advice("connection refused") == START_IT


def test_names_command_no_terminal() -> None:
    """A name may hold what would colour, clear or turn the screen around: it is written out."""
    assert plain_text("\x1b[31mred\u202e\x07") == r"\x1b[31mred\u202e\x07"


@pytest.mark.parametrize("owner", ["", "  ", "a\x1b[31m", "x" * 101])
def test_an_owner_has_a_name(tmp_path: Path, owner: str) -> None:
    """One line, before any database is asked."""
    result = predictq("keys", "create", owner, cwd=tmp_path, DATABASE_URL=AWAY)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "OWNER must be a name" in result.stderr


def test_what_nobody_foresaw_is_one_line_and_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback on the screen; it is kept for the report, for its owner alone."""
    from cli import main as entry

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(entry, "_command", lambda: 1 / 0)
    assert entry.main() == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    (kept,) = tmp_path.iterdir()
    assert str(kept) in said
    assert "Traceback" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_it_says_which_version_it_is(tmp_path: Path) -> None:
    """Whatever else is asked, and where there is no stack."""
    done = predictq("--version", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"predictq \d+\.\d+\.\d+\S*, Python 3\.\d+\.\d+\n", done.stdout)


class _Interrupted:
    """A gateway at whose answers somebody waits, and presses Ctrl-C."""

    def job(self, _job_id: str, wait_seconds: float = 0) -> Any:
        raise KeyboardInterrupt


@pytest.mark.parametrize("follow", [watching.watch, watching.wait_for])
@pytest.mark.parametrize("quiet", [False, True])
def test_whoever_leaves_a_job_is_told_that_it_goes_on(
    capsys: pytest.CaptureFixture[str], follow: Any, *, quiet: bool
) -> None:
    """With its id, and what to type; on standard error, so that JSON stays JSON."""
    job = {
        "id": "01a2",
        "status": "queued",
        "request_counts": {"total": 5, "succeeded": 0, "failed": 0, "cancelled": 0},
    }
    with pytest.raises(KeyboardInterrupt):
        follow(_Interrupted(), job, quiet=quiet)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1] == (
        "job 01a2 goes on; follow it: predictq job 01a2 --watch; stop it: predictq cancel 01a2"
    )
    assert ("following job 01a2" in said.err) == (follow is watching.watch and not quiet)
