"""Temporary directories of processes that may be ended at any moment: their parent makes and removes them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.environment import remove_leftovers

_PREFIX = "predictq-child-"


@contextmanager
def child_directory() -> Iterator[dict[str, str]]:
    """The environment of a child whose temporary files go when the block ends, however the child ended.

    Those of parents that were killed go when the next one comes here.
    """
    remove_leftovers(_PREFIX)
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        yield {**os.environ, "TMPDIR": str(directory)}
    finally:
        shutil.rmtree(directory, ignore_errors=True)
