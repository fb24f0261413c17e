"""A full directory for temporary files, told in words: uploads, plans and exports lie there while worked on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC

from shared.errors import PredictqError


class NoTemporaryRoom(PredictqError):
    """The disk with this worker's temporary files is full."""

    def __init__(self) -> None:
        super().__init__(
            "The worker's directory for temporary files (TMPDIR) is full. Give it more room, and ask again. "
            "Uploads, plans and exports lie there while they are worked on."
        )


@contextmanager
def named_when_full() -> Iterator[None]:
    """What is written in the block goes to temporary files. Raises NoTemporaryRoom where these have no room."""
    try:
        yield
    except OSError as error:
        if error.errno in {ENOSPC, EDQUOT}:
            raise NoTemporaryRoom from error
        raise
