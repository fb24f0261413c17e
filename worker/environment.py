"""What must stand in the environment before numpy and prometheus_client are imported."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PREFIX = "predictq-metrics-"


def prepare_environment() -> None:
    """One thread per process, and a directory in which the pool's processes share their metrics.

    Replicas are processes: numeric threads on top of them only fight for the same cores. The directory goes when
    the process ends; those of workers that were killed go when the next one starts.
    """
    limit_threads()
    remove_leftovers(_PREFIX)
    directory = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
    atexit.register(_remove, directory, os.getpid())


def limit_threads() -> None:
    """One thread for the numeric libraries of this process."""
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, "1")


def _remove(directory: str, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked child that happens to end in good order
        shutil.rmtree(directory, ignore_errors=True)


def remove_leftovers(prefix: str) -> None:
    """Remove temporary directories called `prefix`, process id, dash and more, whose process is no more."""
    for directory in Path(tempfile.gettempdir()).glob(f"{prefix}*-*"):
        owner = directory.name.removeprefix(prefix).partition("-")[0]
        if owner.isdecimal() and not _exists(int(owner)):
            shutil.rmtree(directory, ignore_errors=True)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
