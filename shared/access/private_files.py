"""Files and folders with keys, features or answers in them: their owner's alone, whatever the umask of the caller."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any


def open_private(path: Path, mode: str) -> IO[Any]:
    """`path.open(mode)` for writing, as UTF-8, of mode 0600; a file that is there becomes so, too. Raises OSError."""
    return open(path, mode, encoding=None if "b" in mode else "utf-8", opener=_open)


def make_private_folders(directory: Path) -> None:
    """Make `directory`, and those above it that are lacking, of mode 0700. One that is there stays as it is."""
    if directory.exists():
        return
    make_private_folders(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)


def _open(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor
