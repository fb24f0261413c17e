"""Hashes of client keys with this installation's secret, by which pages are found again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from shared.installation import read_installation
from shared.pages.key_hash import HashKeys, hash_keys
from shared.postgres.engine import autocommit
from worker.pages.key_filter import build_filter
from worker.pages.key_hash import hash_numbers, hash_texts
from worker.sources.key_columns import Keys

_SMALL_PAGE = 64  # rows below which a client is found by key_hashes, and from which by the page's own filter

Hasher = Callable[[Keys, int | None], npt.NDArray[np.int64]]  # of keys and their source


@dataclass(frozen=True, slots=True)
class FoundBy:
    """What a page of answers carries, so that it is found by the keys of its clients; both None where it names none."""

    key_filter: bytes | None
    key_hashes: list[int] | None


def found_by(keys: Keys, source_id: int | None, rows: int, hasher: Hasher) -> FoundBy:
    """That of a page of `rows` rows, of which `keys` name a client of this source."""
    if not len(keys):
        return FoundBy(None, None)
    hashes = hasher(keys, source_id)
    return FoundBy(None, hashes.tolist()) if rows < _SMALL_PAGE else FoundBy(build_filter(hashes), None)


class KeyHashes:
    """Hashes keys; the secret is read when it is first needed, and kept."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._keys: dict[int | None, HashKeys] = {}

    def __call__(self, keys: Keys, source_id: int | None) -> npt.NDArray[np.int64]:
        """The hashes of keys of one source, or of models without one, in their order."""
        if source_id not in self._keys:
            with autocommit(self._engine) as connection:
                self._keys[source_id] = hash_keys(read_installation(connection).hash_secret, source_id)
        secret = self._keys[source_id]
        return hash_numbers(secret, keys) if isinstance(keys, np.ndarray) else hash_texts(secret, keys)
