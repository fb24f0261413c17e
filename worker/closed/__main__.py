"""`python -m worker.closed KIND`: close this process in, and only then read what is to be opened."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from worker.closed.calls import can_close_calls, close_calls, forbid_new_privileges
from worker.closed.files import close_files, landlock_version
from worker.closed.message import MOST_ANSWER_BYTES, read_message

_END_WITH_PARENT = 1  # of prctl(2)


def main() -> None:
    """A message on standard input, JSON on standard output. Whatever the file prints goes nowhere."""
    close_in()
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    with answers:
        answers.write(json.dumps(_answer(sys.argv[1])).encode())
        answers.flush()
        os._exit(0)  # the file may have left something to be done at the end


def close_in(*readable: Path) -> None:
    """All that this system can do; what is in `readable` may be read all the same.

    Before libraries are loaded: the kernel's rules hold for the thread that asks.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_ANSWER_BYTES, MOST_ANSWER_BYTES))
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)
    forbid_new_privileges()
    if landlock_version():
        close_files(*readable)
    if can_close_calls():
        close_calls()


def _answer(kind: str) -> dict[str, Any]:
    from worker.closed.work import WORK  # noqa: PLC0415 - the libraries of models, now that this process is closed in
    from worker.errands.failures import describe  # noqa: PLC0415

    asked, blobs = read_message(sys.stdin.buffer)
    try:
        return {"result": WORK[kind](asked, *blobs)}
    except Exception as error:  # noqa: BLE001 - told to the caller, who waits
        return describe(error)


if __name__ == "__main__":
    main()
