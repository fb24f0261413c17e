"""Small disks: memory file systems, where this machine lets us mount them."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NoSmallDisk(Exception):
    """A file system of limited size cannot be mounted here."""


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A tmpfs of that size, which every account can enter, for the length of the block. Raises NoSmallDisk."""
    directory = Path(tempfile.mkdtemp(prefix="predictq-disk-", dir="/var/tmp"))
    directory.chmod(0o755)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(directory)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        directory.rmdir()
        raise NoSmallDisk(f"a tmpfs cannot be mounted here: {error}") from None
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
        directory.rmdir()
