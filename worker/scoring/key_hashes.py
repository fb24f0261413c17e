"""Hashes of client keys with this installation's secret, by which pages are found again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from shared.installation import read_installation
from shared.pages.key_hash import HashKeys, hash_keys
from shared.postgres.engine import autocommit
from worker.pages.key_hash import hash_numbers, hash_texts
from worker.sources.key_columns import Keys


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
