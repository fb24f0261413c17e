"""Directories and files that only their owner may read; a file is never seen half written."""

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from devstack.errors import NotWritable


def make_private_directory(directory: Path, *, is_on_the_way: bool = True) -> None:
    """Make `directory`, with its parents, unless it is there.

    Root's is open to pass through, not to list, where it is on the way to the data of PostgreSQL or Redis, which run as
    somebody else. What is secret in it is 0600.

    Raises:
        NotWritable: we may not make it, or may not write there.

    """
    try:
        if not directory.exists():
            directory.mkdir(parents=True)
            directory.chmod(0o711 if is_on_the_way and os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise NotWritable(directory) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise NotWritable(directory)


def open_private_log(path: Path) -> BinaryIO:
    """`path`, to be written on at its end; of mode 0600, whatever an earlier release left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "ab")


def write_private(path: Path, text: str) -> None:
    """Replace `path` by a file of mode 0600 that holds `text`, in one step that survives a crash."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
