"""The key hashes and the filters by which pages are found: the gateway's form and the worker's agree."""

from __future__ import annotations

from struct import unpack
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.util import hash_array

from shared.pages.key_filter import BLOCK_BYTES, block_holds, block_of, count_blocks
from shared.pages.key_hash import hash_key, hash_keys, hash_number, hash_text, siphash
from worker.pages.key_filter import build_filter
from worker.pages.key_hash import hash_numbers, hash_texts

SECRET = bytes(range(100, 132))
KEYS = hash_keys(SECRET, 7)

# From the 64 results that the authors of SipHash publish for the inputs 00 01 02 … and the key 00 01 … 0f.
VECTORS = {
    0: "310e0edd47db6f72",
    1: "fd67dc93c539f874",
    7: "37d1018bf50002ab",
    8: "6224939a79f5f593",
    9: "b0e4a90bdf82009e",
    15: "e545be4961ca29a1",
    16: "db9bc2577fcc2a3f",
}


@pytest.mark.parametrize("size", VECTORS)
def test_siphash_is_siphash(size: int) -> None:
    """The published results come out."""
    first, second = unpack("<2Q", bytes(range(16)))
    assert siphash((first, second), bytes(range(size))).to_bytes(8, "little").hex() == VECTORS[size]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=40), st.integers(0, 5))
@settings(max_examples=200)
def test_texts_hash_alike_one_by_one_and_together(texts: list[str], start: int) -> None:
    """Whatever their lengths, and in a slice of an array, too."""
    together = hash_texts(KEYS, pa.array(texts, pa.string()).slice(start))
    assert together.tolist() == [hash_text(KEYS, text) for text in texts[start:]]


@pytest.mark.parametrize("size", [*range(20), 63, 64, 255, 256, 257, 1000])
def test_texts_of_every_length_hash_as_pandas_does(size: int) -> None:
    """A third opinion on SipHash: pandas' own, whose last step is undone here."""
    text = "ä" * (size // 2) + "x" * (size % 2)
    key = "0123456789abcdef"
    value = int(hash_array(np.array([text], dtype=object), hash_key=key, categorize=False)[0])
    first, second = unpack("<2Q", key.encode())
    assert _pandas_last_step(siphash((first, second), text.encode())) == value


def _pandas_last_step(value: int) -> int:
    mask = (1 << 64) - 1
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
    return value ^ value >> 31


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_numbers_hash_alike_one_by_one_and_together(numbers: list[int]) -> None:
    """And all are what PostgreSQL's bigint can hold."""
    together = hash_numbers(KEYS, np.array(numbers, np.int64)).tolist()
    assert together == [hash_number(KEYS, number) for number in numbers]
    assert all(-(2**63) <= value < 2**63 for value in together)


def test_a_hash_depends_on_secret_source_and_key() -> None:
    """Each of them alone changes it, for numbers and for texts; a number and its digits differ."""
    others = [hash_keys(SECRET, 8), hash_keys(SECRET, None), hash_keys(SECRET[::-1], 7)]
    for key in (5, "5", str(UUID(int=5))):
        hashes = [hash_key(keys, key) for keys in (KEYS, *others)]
        assert len({*hashes, hash_key(KEYS, 6), hash_key(KEYS, "6")}) == 6
    assert hash_key(KEYS, 5) != hash_key(KEYS, "5")


def test_the_hashes_never_change() -> None:
    """They stand in stored pages: another hash would lose every client."""
    assert hash_key(KEYS, 483_920) == 6153082174417460508
    assert hash_key(KEYS, "P-0000017") == 7526185607473588363
    assert hash_key(hash_keys(SECRET, None), "ä") == -3207221244346361786


def test_a_short_secret_is_refused() -> None:
    """It is said at start-up, not found out later."""
    with pytest.raises(ValueError, match="16 bytes instead of 32"):
        hash_keys(bytes(16), 1)


def test_the_secret_is_not_shown() -> None:
    """Not even when the keys land in a log by accident."""
    assert str(KEYS.numbers[0]) not in repr(KEYS)


def in_filter(content: bytes, key_hash: int) -> bool:
    start = BLOCK_BYTES * block_of(key_hash, len(content) // BLOCK_BYTES)
    return block_holds(content[start : start + BLOCK_BYTES], key_hash)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=300))
def test_a_filter_never_loses_a_key(hashes: list[int]) -> None:
    """A page that holds a client is always found."""
    content = build_filter(np.array(hashes, np.int64))
    assert len(content) == BLOCK_BYTES * count_blocks(len(hashes))
    assert all(in_filter(content, key_hash) for key_hash in hashes)


@pytest.mark.parametrize("keys", [64, 1_000, 10_000, 50_000])
def test_a_filter_is_seldom_wrong(keys: int) -> None:
    """At most one page in 200 is opened in vain, at 12 bits a key."""
    content = build_filter(hash_numbers(KEYS, np.arange(keys)))
    assert 8 * len(content) <= 12 * keys + 8 * BLOCK_BYTES
    strangers = hash_numbers(KEYS, np.arange(10**9, 10**9 + 50_000)).tolist()
    assert sum(in_filter(content, key_hash) for key_hash in strangers) / len(strangers) <= 0.005


def test_a_filter_is_the_same_for_keys_in_any_order() -> None:
    """So that one made anew after an erasure shows nothing of the old."""
    hashes = hash_numbers(KEYS, np.arange(500))
    assert build_filter(hashes) == build_filter(hashes[::-1])
