"""The code of an earlier version, out of the repository's history: the oldest that runs on today's schema."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path

from tests.torture.machinery.services import ROOT

_CODE = ("worker", "shared", "model")
_SCHEMA = "sql/versions"


@cache
def earlier_commit() -> str:
    """The oldest commit with today's schema that is complete. Raises LookupError with the reason if there is none."""
    try:
        schema = _git("log", "-1", "--format=%h", "--", _SCHEMA)
        if not schema or _git("diff", "--name-only", schema, "--", _SCHEMA):
            raise LookupError("the schema has changed since the last commit")
        commits = [schema, *_git("log", "--reverse", "--format=%h", f"{schema}..HEAD", "--", *_CODE).split()]
        commit = next((commit for commit in commits if _is_complete(commit)), None)
        if commit is None or not _git("diff", "--name-only", commit, "--", *_CODE):
            raise LookupError("no earlier code has today's schema")
    except (OSError, subprocess.CalledProcessError) as error:
        raise LookupError(f"there is no history of this code here ({error})") from None
    return commit


def _is_complete(commit: str) -> bool:
    """Whether a worker would start: a change may have been committed in parts."""
    with tempfile.TemporaryDirectory() as directory:
        _unpack(commit, Path(directory))
        command = [sys.executable, "-c", "import worker.main"]
        return subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode == 0


def obstacle() -> str | None:
    """Why there is no earlier code; None when there is."""
    try:
        earlier_commit()
    except LookupError as error:
        return str(error)
    return None


def unpack(directory: Path) -> Path:
    """The worker's packages as they were at `earlier_commit`, in `directory`; returns it."""
    _unpack(earlier_commit(), directory)
    return directory


def _unpack(commit: str, directory: Path) -> None:
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", commit, *_CODE]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(directory, filter="data")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
