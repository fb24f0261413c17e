"""The outside of a closed process: start it, hand it what it needs, and read what it says as anybody's bytes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import IO, Any

from worker.closed.calls import can_close_calls
from worker.closed.files import landlock_version
from worker.closed.message import MOST_ANSWER_BYTES, write_message
from worker.errands.failures import ErrandRefused

SECONDS = 170.0  # to load libraries and a file, and to try the model

Closed = Callable[..., dict[str, Any]]

# Where modules are, how numbers are computed, which language. The rest of the environment has addresses in it.
_KEPT = (
    "PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE",
)  # fmt: skip
_ADDED = {"HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1", "JOBLIB_MULTIPROCESSING": "0"}


def run_closed(kind: str, asked: dict[str, Any], *blobs: bytes, seconds: float = SECONDS) -> dict[str, Any]:
    """Have `kind` of worker.closed.work done by a closed process; returns what it answers, JSON that is to be doubted.

    Raises ErrandRefused with what the process said, or with how it ended.
    """
    with tempfile.TemporaryFile() as answer:
        child = subprocess.Popen(
            [sys.executable, "-m", "worker.closed", kind],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            env=closed_environment(),
            start_new_session=True,
        )
        try:
            child.communicate(write_message(asked, blobs), timeout=seconds)
        except subprocess.TimeoutExpired:
            raise ErrandRefused("model_refused", f"The file was not opened and tried within {seconds:g} s.") from None
        finally:
            end_group(child)
        answer.seek(0)
        return read_answer(answer, child.returncode)


def closed_environment() -> dict[str, str]:
    """The environment of a process whose code is not ours: nothing of the worker's addresses and secrets."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | _ADDED


def can_close() -> bool:
    """Whether this system can keep network and files from a process."""
    return bool(landlock_version()) and can_close_calls()


def how_closed() -> str:
    """In a sentence, what this system can keep from a file that is opened."""
    if can_close():
        return "opened in a closed process: no network, no secrets, no files but its libraries, nothing to write to"
    if can_close_calls():
        return (
            "opened in a process without network and without the worker's environment; files could not be closed off: "
            "this system has no Landlock (Linux 5.13)"
        )
    return (
        "opened in a process of its own without the worker's environment; neither network nor files could be closed "
        "off: this system has neither Landlock nor filters of system calls"
    )


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it has started: none of it can leave the group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def read_answer(stream: IO[bytes], status: int) -> dict[str, Any]:
    """What a process left that ended with `status`. Raises ErrandRefused with what it said, or with how it ended."""
    output = stream.read(MOST_ANSWER_BYTES + 1)
    if status != 0 or not output:
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise ErrandRefused("model_refused", f"The file ended the process that opened it ({how}).")
    try:
        answer = json.loads(output)
        if "code" in answer:
            raise ErrandRefused(str(answer["code"])[:100], str(answer["detail"])[:4000])
        result: dict[str, Any] = answer["result"]
    except (ValueError, KeyError, TypeError) as error:
        raise ErrandRefused("model_refused", "The process that opened the file gave no answer to be read.") from error
    return result
