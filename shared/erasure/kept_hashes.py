"""Hashes of erased keys, kept outside the database: after a restore from an older backup they say who must go again.

`erasures.log` has a line per person, `erasures.secret` the secret of the hashes. Neither is in the database, so that no
copy of the database tells who was erased. Back them up apart from it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from shared.erasure.errors import ErasureLogRefused, ErasureLogUnwritable, NoHashSecret

LOG_NAME, SECRET_NAME = "erasures.log", "erasures.secret"
_SECRET_BYTES = 32
_HASH_DIGITS, _FINGERPRINT_DIGITS = 64, 16


@dataclass(frozen=True, slots=True, repr=False)
class HashSecret:
    """What the hashes are keyed with."""

    key: bytes

    @property
    def fingerprint(self) -> str:
        """Which secret it is, in 16 hexadecimal digits that tell nothing of it."""
        return blake2b(b"fingerprint", key=self.key, digest_size=_FINGERPRINT_DIGITS // 2).hexdigest()

    def hash_of(self, source: str, key: str) -> str:
        """The keyed hash of a canonical key, 64 hexadecimal digits."""
        return blake2b(f"{source}\0{key}".encode(), key=self.key, digest_size=_HASH_DIGITS // 2).hexdigest()


class KeptLine(NamedTuple):
    """A line of a log: who was erased, as a hash, and which secret made it (None: a line of an earlier release)."""

    source: str
    hash: str
    secret: str | None = None


class KeptHashes:
    """The two files in a directory. Nothing of them is remembered: somebody may put others in their place."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / LOG_NAME
        self._secret_file = directory / SECRET_NAME

    def check(self) -> None:
        """See that a line could be added. Raises ErasureLogUnwritable, NoHashSecret."""
        self._secret_to_keep()
        try:
            os.close(self._open_log())
        except OSError as error:
            raise ErasureLogUnwritable(self._log, error) from None

    def keep(self, source: str, key: str) -> None:
        """Add a line for an erased client, on disk when this returns. The same person twice does no harm.

        Raises ErasureLogUnwritable, with the log as it was, and NoHashSecret where there is a secret that cannot be
        read.
        """
        secret = self._secret_to_keep()
        line = {
            "source": source,
            "hash": secret.hash_of(source, key),
            "secret": secret.fingerprint,
            "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        try:
            file = self._open_log()
            try:
                _append_line(file, json.dumps(line).encode())
            finally:
                os.close(file)
            _flush_folder(self._log.parent)  # else a new file may be gone after a crash of the machine
        except OSError as error:
            raise ErasureLogUnwritable(self._log, error) from None

    def secret(self) -> HashSecret:
        """What the hashes are keyed with, as the file has it now. Raises NoHashSecret where it cannot be read."""
        try:
            key = bytes.fromhex(self._secret_file.read_text("ascii").strip())
        except (OSError, ValueError):
            raise NoHashSecret(self._secret_file) from None
        if len(key) != _SECRET_BYTES:  # an empty one would make hashes that everybody can make
            raise NoHashSecret(self._secret_file)
        return HashSecret(key)

    def _open_log(self) -> int:
        return os.open(self._log, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)

    def _secret_to_keep(self) -> HashSecret:
        try:
            if not self._secret_file.exists():
                self._make_secret()
        except OSError as error:
            raise ErasureLogUnwritable(self._secret_file, error) from None
        return self.secret()

    def _make_secret(self) -> None:
        """Whole or not at all: a half-written secret would make every later hash worthless."""
        self._secret_file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._secret_file.with_suffix(f".{secrets.token_hex(8)}")
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            try:
                _write_whole(file, secrets.token_hex(_SECRET_BYTES).encode() + b"\n")
                os.fsync(file)
            finally:
                os.close(file)
            with suppress(FileExistsError):  # who comes second keeps the first one's
                os.link(draft, self._secret_file)
        finally:
            draft.unlink()
        _flush_folder(self._secret_file.parent)


def _append_line(file: int, line: bytes) -> None:
    """Whole or not at all, and on a line of its own, whatever a crash has left at the end of the file."""
    fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed: what is cut off below must not be another one's line
    size = os.fstat(file).st_size
    begin = b"\n" if size and os.pread(file, 1, size - 1) != b"\n" else b""
    try:
        _write_whole(file, begin + line + b"\n")
        os.fsync(file)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, size)
        raise


def _write_whole(file: int, content: bytes) -> None:
    if os.write(file, content) != len(content):  # as on a disk that has become full
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _flush_folder(directory: Path) -> None:
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_log(lines: Iterable[str], *, skip_bad: bool = False) -> list[KeptLine]:
    """The lines of a log, each once. Raises ErasureLogRefused, which has the numbers of those that are none.

    With `skip_bad` they are left out; `bad_lines` has their numbers.
    """
    numbered = [(number, _read_line(line)) for number, line in enumerate(lines, 1) if line.strip()]
    bad = [number for number, line in numbered if line is None]
    if bad and not skip_bad:
        raise ErasureLogRefused(bad)
    return list(dict.fromkeys(line for _, line in numbered if line is not None))


def bad_lines(lines: Iterable[str]) -> list[int]:
    """The numbers of the lines that are none of a log, from 1."""
    return [number for number, line in enumerate(lines, 1) if line.strip() and _read_line(line) is None]


def _read_line(line: str) -> KeptLine | None:
    try:
        entry = json.loads(line)
        kept = KeptLine(entry["source"], entry["hash"], entry.get("secret"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    is_right = (
        isinstance(kept.source, str)
        and _is_hex(kept.hash, _HASH_DIGITS)
        and (kept.secret is None or _is_hex(kept.secret, _FINGERPRINT_DIGITS))
    )
    return kept if is_right else None


def _is_hex(value: object, digits: int) -> bool:
    return isinstance(value, str) and len(value) == digits and set(value) <= set("0123456789abcdef")
