"""The keyed hashes of all keys of a page: what `shared.pages.key_hash` says of one key, for columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.pages.key_hash import HashKeys

Words = npt.NDArray[np.uint64]

_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def hash_numbers(keys: HashKeys, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`hash_number` of each key."""
    before, between, after = (np.uint64(word) for word in keys.numbers)
    values = _mix(numbers.view(np.uint64) ^ before)
    values ^= between
    values = _mix(values)
    values ^= after
    return values.view(np.int64)


def _mix(values: Words) -> Words:
    """The mixing step, in place."""
    values ^= values >> np.uint64(30)
    values *= _FIRST
    values ^= values >> np.uint64(27)
    values *= _SECOND
    values ^= values >> np.uint64(31)
    return values


def hash_texts(keys: HashKeys, texts: pa.Array) -> npt.NDArray[np.int64]:
    """`hash_text` of each key, of an Arrow array of strings without nulls.

    All rows go through SipHash together, a word of eight bytes at a time. They are sorted by their number of words, so
    that the rows that still have one are always the first.
    """
    count = len(texts)
    if not count:
        return np.empty(0, np.int64)
    starts, lengths, content = _parts(texts)
    order = np.argsort(lengths >> 3, kind="stable")[::-1] if (lengths[1:] != lengths[:1]).any() else slice(None)
    starts, lengths = starts[order], lengths[order]
    state = [np.full(count, word ^ keys.texts[place % 2], np.uint64) for place, word in enumerate(_START)]
    whole = lengths >> 3
    for place in range(int(whole[0])):
        active = int(np.searchsorted(-whole, -place, side="left"))  # rows with more than `place` whole words
        _absorb([words[:active] for words in state], content[starts[:active] + 8 * place])
    _absorb(state, _last_words(starts, lengths, content))
    state[2] ^= np.uint64(0xFF)
    for _ in range(4):
        _round(state)
    hashes = np.empty(count, np.uint64)
    hashes[order] = state[0] ^ state[1] ^ state[2] ^ state[3]
    return hashes.view(np.int64)


def _parts(texts: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Words]:
    """Where each text starts, its length, and the word of eight bytes that starts at each byte."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32, len(texts) + 1, 4 * texts.offset).astype(np.int64)
    first, last = int(ends[0]), int(ends[-1])
    content = (bytes(memoryview(data)[first:last]) if last > first else b"") + bytes(8)
    words: Words = np.ndarray((last - first + 1,), np.dtype("<u8"), buffer=content, strides=(1,))
    return ends[:-1] - first, np.diff(ends), words


def _last_words(starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], content: Words) -> Words:
    """The bytes after the last whole word, with the length in the highest byte."""
    rest = (lengths & 7).astype(np.uint64) * np.uint64(8)
    words = content[starts + (lengths & ~7)] & ((np.uint64(1) << rest) - np.uint64(1))
    words |= lengths.astype(np.uint64) << np.uint64(56)
    return words


def _absorb(state: list[Words], words: Words) -> None:
    state[3] ^= words
    _round(state)
    _round(state)
    state[0] ^= words


def _round(state: list[Words]) -> None:
    """One SipRound, in place."""
    a, b, c, d = state
    a += b
    _turn(b, 13)
    b ^= a
    _turn(a, 32)
    c += d
    _turn(d, 16)
    d ^= c
    a += d
    _turn(d, 21)
    d ^= a
    c += b
    _turn(b, 17)
    b ^= c
    _turn(c, 32)


def _turn(words: Words, bits: int) -> None:
    """Rotate each word to the left, in place."""
    high = words >> np.uint64(64 - bits)
    words <<= np.uint64(bits)
    words |= high
