"""The keys of claimed batches as columns, and where the rows that a source gave belong among them.

Keys of one integer column are a numpy array of int64, with NO_KEY where a row names no client. All other keys are an
Arrow array of their canonical texts, null where a row names none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.batches.claims import Claim

NO_KEY = np.iinfo(np.int64).min  # no key is so low

Keys: TypeAlias = "npt.NDArray[np.int64] | pa.Array"


def key_array(text: str, count: int) -> npt.NDArray[np.int64]:
    """PostgreSQL's text of an int8 array of `count` elements, NULL as `NO_KEY`."""
    inner = text[1:-1]
    if "N" in inner:
        inner = inner.replace("NULL", str(NO_KEY))
    keys = np.fromstring(inner, dtype=np.int64, sep=",")
    if len(keys) != count:
        raise ValueError(f"{len(keys)} keys where there should be {count}")
    return keys


def keys_of(claims: Sequence[Claim]) -> Keys:
    """The keys of all requests of these claims, which are of one source, in order."""
    if any(claim.keys_uuid is not None or claim.keys_text is not None for claim in claims):
        return pa.array([text for claim in claims for text in _texts(claim)], pa.string())
    return np.concatenate([_numbers(claim) for claim in claims])


def keys_of_texts(texts: Sequence[str], storage: str) -> Keys:
    """Canonical keys as a column."""
    return np.array(list(map(int, texts)), np.int64) if storage == "int8" else pa.array(texts, pa.string())


def is_named(keys: Keys) -> npt.NDArray[np.bool_]:
    """Which rows name a client."""
    if isinstance(keys, np.ndarray):
        return np.asarray(keys != NO_KEY)
    return np.asarray(keys.is_valid().to_numpy(zero_copy_only=False))


def named(keys: Keys) -> Keys:
    """The keys of the rows that name a client."""
    return keys[keys != NO_KEY] if isinstance(keys, np.ndarray) else keys.drop_null()


def _numbers(claim: Claim) -> npt.NDArray[np.int64]:
    if claim.keys_int8 is None:
        return np.full(claim.request_count, NO_KEY)
    return key_array(claim.keys_int8, claim.request_count)


def _texts(claim: Claim) -> Sequence[str | None]:
    if claim.keys_text is not None:
        return claim.keys_text
    if claim.keys_uuid is None:
        return [None] * claim.request_count
    return [None if text == "NULL" else text for text in claim.keys_uuid[1:-1].split(",")]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The distinct keys to ask a source for, and for each row of a batch which of them it names."""

    keys: Keys  # distinct; whole numbers rise
    places: npt.NDArray[np.intp] | None  # by row; None where row n names key n. -1 where it names none

    def __len__(self) -> int:
        return len(self.keys)


def wanted_keys(keys: Keys) -> Wanted:
    """What to ask for. Whole numbers are sorted: an index is walked once."""
    if isinstance(keys, np.ndarray):
        if len(keys) and keys[0] != NO_KEY and bool((keys[1:] > keys[:-1]).all()):
            return Wanted(keys, None)
        distinct = np.unique(keys[keys != NO_KEY])
        places: npt.NDArray[np.intp] = np.asarray(np.searchsorted(distinct, keys))
        places[keys == NO_KEY] = -1
        return Wanted(distinct, places)
    distinct = pc.unique(keys.drop_null())
    if len(distinct) == len(keys):
        return Wanted(keys, None)
    return Wanted(distinct, _index(keys, distinct))


def found_places(found: Keys, wanted: Keys) -> npt.NDArray[np.intp]:
    """For each key that a source gave which of the wanted it is; -1: none of them."""
    if not isinstance(wanted, np.ndarray):
        return _index(found, wanted)
    places: npt.NDArray[np.intp] = np.asarray(np.searchsorted(wanted, found))
    places[places == len(wanted)] = 0
    if len(wanted):
        places[wanted[places] != found] = -1
    return places


def _index(keys: pa.Array, among: pa.Array) -> npt.NDArray[np.intp]:
    found = pc.index_in(keys, value_set=among)
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False)).astype(np.intp)
