"""What goes into a closed process: one line of JSON, and then bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import IO, Any

MOST_ANSWER_BYTES = 32 * 2**20  # of what comes back; also of any file that the process could write


def write_message(asked: dict[str, Any], blobs: Sequence[bytes]) -> bytes:
    """The message as bytes."""
    head = json.dumps({"asked": asked, "sizes": [len(blob) for blob in blobs]}).encode()
    return b"".join([head, b"\n", *blobs])


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """What `write_message` made. Raises EOFError where nothing comes any more."""
    line = stream.readline()
    if not line:
        raise EOFError
    head = json.loads(line)
    return head["asked"], [stream.read(size) for size in head["sizes"]]
