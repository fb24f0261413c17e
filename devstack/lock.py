"""One process per directory, by a lock the kernel drops when its holder dies, however it dies."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from devstack.errors import AlreadyRunning, NotWritable

ASKING_SECONDS = 0.1


class DirectoryLock:
    """Holds `<directory>/lock` from `acquire` to `release`; the file names the holder's pid."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; taking it twice is the same as once.

        Raises:
            AlreadyRunning: another holder has it.
            NotWritable: the directory is another user's.

        """
        if self._descriptor is not None:
            return
        path = self._directory / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError:
            raise NotWritable(self._directory) from None
        if not _take(descriptor):
            pid = _read_pid(descriptor)
            os.close(descriptor)
            raise AlreadyRunning(self._directory, pid)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go. The file stays: removing it would let two holders lock two different files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_held(directory: Path) -> bool:
    """Whether a process that lives holds `directory`. The kernel tells, so no number of a dead one can lead astray."""
    try:
        descriptor = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _take(descriptor: int) -> bool:
    """Lock it; who only asks, by `is_held`, has it for some microseconds."""
    deadline = time.monotonic() + ASKING_SECONDS
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(ASKING_SECONDS / 10)


def _read_pid(descriptor: int) -> int | None:
    with suppress(ValueError):
        return int(os.pread(descriptor, 32, 0))
    return None
