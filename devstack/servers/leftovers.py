"""Servers that an earlier supervisor, killed without warning, left running in our data directory."""

import logging
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from signal import Signals

import psutil

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 20.0


def stop_leftovers(directory: Path, programs: Collection[str], stop_signal: Signals) -> None:
    """Stop every process of one of `programs` that works in `directory`, gently and then by force.

    A pid file is not believed: its number may have gone to a stranger since. Program and working directory
    together are proof. The caller holds the directory's lock, so nobody else's server can be meant.
    """
    found = _working_in(directory, programs)
    if not found:
        return
    pids = {process.pid for process in found}
    logger.warning("stopping what is left over in %s: %s", directory, sorted(pids))
    for process in found:
        with suppress(psutil.NoSuchProcess):
            if process.ppid() not in pids:  # the head of the family; it stops its own
                process.send_signal(stop_signal)
    _, alive = psutil.wait_procs(found, timeout=PATIENCE_SECONDS)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=PATIENCE_SECONDS)


def _working_in(directory: Path, programs: Collection[str]) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _works_in(process, directory, programs)]


def _works_in(process: psutil.Process, directory: Path, programs: Collection[str]) -> bool:
    try:
        return process.name() in programs and Path(process.cwd()) == directory
    except psutil.Error:  # gone, or another user's: not ours
        return False
