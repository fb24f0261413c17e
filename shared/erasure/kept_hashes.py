"""Hashes of erased keys, kept outside the database: after a restore from an older backup they say who must go again.

`erasures.log` has a line per person, `erasures.secret` the secret of the hashes. Neither is in the database, so that no
copy of the database tells who was erased. Back them up apart from it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

from shared.erasure.errors import ErasureLogRefused, NoHashSecret

LOG_NAME, SECRET_NAME = "erasures.log", "erasures.secret"
_HEX_DIGITS = 64


class KeptHashes:
    """The two files in a directory."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / LOG_NAME
        self._secret_file = directory / SECRET_NAME
        self._secret: bytes | None = None

    def keep(self, source: str, key: str) -> None:
        """Add a line for an erased client, on disk when this returns. The same person twice does no harm."""
        if not self._secret_file.exists():
            self._make_secret()
        line = {"source": source, "hash": self.hash_of(source, key), "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        file = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, json.dumps(line).encode() + b"\n")
            os.fsync(file)
        finally:
            os.close(file)

    def hash_of(self, source: str, key: str) -> str:
        """The keyed hash of a canonical key, 64 hexadecimal digits. Raises NoHashSecret."""
        return blake2b(f"{source}\0{key}".encode(), key=self.secret(), digest_size=32).hexdigest()

    def secret(self) -> bytes:
        """What the hashes are keyed with. Raises NoHashSecret where it cannot be read."""
        if self._secret is None:
            try:
                self._secret = bytes.fromhex(self._secret_file.read_text("ascii").strip())
            except (OSError, ValueError):
                raise NoHashSecret from None
        return self._secret

    def _make_secret(self) -> None:
        """Whole or not at all: a half-written secret would make every later hash worthless."""
        self._secret_file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._secret_file.with_suffix(f".{os.getpid()}")
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(file, secrets.token_hex(32).encode() + b"\n")
            os.fsync(file)
        finally:
            os.close(file)
        try:
            os.link(draft, self._secret_file)  # who comes second keeps the first one's
        except FileExistsError:
            pass
        finally:
            draft.unlink()


def read_log(lines: Iterable[str]) -> list[tuple[str, str]]:
    """The (source, hash) of each line of a log. Raises ErasureLogRefused."""
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            source, digest = entry["source"], entry["hash"]
            if len(bytes.fromhex(digest)) * 2 != _HEX_DIGITS or not isinstance(source, str):
                raise ErasureLogRefused(number)
        except (ValueError, KeyError, TypeError):
            raise ErasureLogRefused(number) from None
        found.append((source, digest))
    return list(dict.fromkeys(found))
