"""Loading a version in a fork first: code in a model's file may hang, or end the process that it runs in."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from model.errors import ArtefactError, ArtefactIncompatible
from worker.models.stored_version import StoredVersion

_MOST_WORDS = 4000


def try_loading(stored: StoredVersion, *, seconds: float) -> None:
    """Load the version in a fork of this process and forget it. Raises ArtefactError where that does not work."""
    source, target = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(source)
        _load_and_exit(stored, seconds, target)
    os.close(target)
    with os.fdopen(source, "rb") as pipe:
        words = pipe.read(_MOST_WORDS).decode(errors="replace")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == 0:
        return
    if code == -signal.SIGALRM:
        raise ArtefactIncompatible(f"The model was not loaded within {seconds:g} s.")
    if words:
        raise ArtefactError(words)
    end = f"signal {-code}" if code < 0 else f"exit status {code}"
    raise ArtefactIncompatible(f"The model ended the process that loaded it ({end}).")


def _load_and_exit(stored: StoredVersion, seconds: float, target: int) -> NoReturn:
    # The kernel ends the fork then, whatever code it hangs in.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    status = 1
    try:
        stored.load()
        status = 0
    except BaseException as error:  # noqa: BLE001 - told to the parent
        os.write(target, str(error).encode(errors="replace")[:_MOST_WORDS])
    os._exit(status)
