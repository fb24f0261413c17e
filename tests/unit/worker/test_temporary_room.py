"""A full directory for temporary files: told in words wherever a worker writes to it."""

from __future__ import annotations

import errno
import os
from typing import Any
from uuid import uuid4

import pytest

from shared.status import JobError
from worker.errands.failures import describe
from worker.exports import writing
from worker.planning.failures import source_failure
from worker.planning.spool import KeySpool
from worker.temporary_room import NoTemporaryRoom, named_when_full

WORDS = "directory for temporary files"


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_only_a_full_disk_is_called_so() -> None:
    """Another error of the system stays what it is."""
    with pytest.raises(NoTemporaryRoom, match=WORDS), named_when_full():
        full()
    with pytest.raises(PermissionError), named_when_full():
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_caller_is_told_in_words() -> None:
    """A look or an export that finds no room says so, with a code of its own."""
    told = describe(NoTemporaryRoom())
    assert told["code"] == "no_room"
    assert WORDS in told["detail"]


def test_an_export_without_room_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same error wherever in the writing the room ends."""
    monkeypatch.setattr(writing, "TemporaryFile", full)
    arguments = {"export_id": str(uuid4()), "job_id": str(uuid4()), "format": "parquet"}
    with pytest.raises(NoTemporaryRoom):
        writing.write_export(None, arguments)  # type: ignore[arg-type]


def test_a_plan_without_room_fails_with_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's error names the room, and the plan may be tried again."""
    spool = KeySpool(1 << 20, patience_seconds=1)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(NoTemporaryRoom) as raised:
        spool.write(b"1\n")
    spool.discard()
    failure = source_failure("clients", raised.value)
    assert failure.code is JobError.PLANNING_FAILED
    assert WORDS in str(failure)


def test_a_spool_writes_all_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes a part at a time loses nothing."""
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda number, data, offset: write(number, data[:3], offset))
    spool = KeySpool(1 << 20, patience_seconds=1)
    spool.write(b"one\ntwo\nthree\n")
    assert spool.take(1 << 20) == b"one\ntwo\nthree\n"
    spool.discard()
