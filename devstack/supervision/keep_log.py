"""Write what comes on standard input to a log: rotated while it grows, each line bounded.

Run by file path, as `python -I -S keep_log.py PATH MOST_BYTES LONGEST_LINE`, with nothing but the standard library: it
starts quickly and stays small. It lives until everybody who can write has ended. So it outlives a supervisor that was
killed, and nobody gets a broken pipe while stopping in good order. What cannot be written, as on a full disk, is read
all the same: nobody waits for a log.
"""

import os
import signal
import sys

_PIECE = 65_536  # bytes read at once


class Log:
    """A log of at most `most` bytes, beside the one before it (PATH.1).

    Where it cannot be rotated it grows on. Where somebody has removed it a new one is begun.
    """

    def __init__(self, path: str, most: int) -> None:
        self._path = path
        self._most = most
        self._file = -1  # none is open yet
        self._size = 0

    def write(self, content: bytes) -> None:
        """Add whole lines."""
        try:  # noqa: SIM105 - contextlib takes its time to import
            self._make_room(len(content))
        except OSError:
            pass  # what is open goes on
        try:
            while content:
                written = os.write(self._file, content)
                self._size += written
                content = content[written:]
        except OSError:
            return

    def _make_room(self, wanted: int) -> None:
        if self._file < 0 or not os.path.exists(self._path):  # noqa: PTH110 - as below
            self._open()
        if self._size and self._size + wanted > self._most:
            os.replace(self._path, f"{self._path}.1")  # noqa: PTH105 - no pathlib: this starts in a few milliseconds
            self._open()

    def _open(self) -> None:
        """Go on in the file at the path. What was open until now is closed only then."""
        fresh = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = fresh, os.fstat(fresh).st_size


class Lines:
    """Cuts a stream into lines of at most `longest` bytes; of a longer one it says how much is left out."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._begun = b""
        self._left_out = 0

    def add(self, content: bytes) -> bytes:
        """The lines that are whole with this."""
        *ends, rest = content.split(b"\n")
        whole = [self._finish(end) for end in ends]
        self._hold(rest)
        return b"".join(whole)

    def last(self) -> bytes:
        """A line that nobody ended; empty where there is none."""
        return self._finish(b"") if self._begun else b""

    def _hold(self, content: bytes) -> None:
        room = self._longest - len(self._begun)
        self._left_out += max(0, len(content) - room)
        self._begun += content[:room]

    def _finish(self, content: bytes) -> bytes:
        self._hold(content)
        line, left_out = self._begun, self._left_out
        self._begun, self._left_out = b"", 0
        if left_out:
            whole_characters = line.decode("utf-8", "ignore").encode()
            line = whole_characters + f" [{left_out:,} bytes left out]".encode()
        return line + b"\n"


def main() -> None:
    """Until the last writer has ended."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # they are for those whose words are kept
        signal.signal(number, signal.SIG_IGN)
    path, most, longest = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    log, lines = Log(path, most), Lines(longest)
    while piece := os.read(0, _PIECE):
        log.write(lines.add(piece))
    log.write(lines.last())


if __name__ == "__main__":
    main()
