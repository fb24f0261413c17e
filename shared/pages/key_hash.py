"""The keyed 64-bit hash of a client key, by which pages are found without the key: for one key, in pure Python.

`worker.pages.key_hash` computes the same for all keys of a page. Results are signed, as PostgreSQL's bigint is.

A whole number goes twice through the mixing step of splitmix64, with a secret word added before, between and after. No
two numbers of one source collide. A text goes through SipHash-2-4. Both hide a key from whoever has the database but
not the secret. SipHash is made for that. The mix of numbers is not proven against someone who knows many keys with
their hashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from struct import unpack

SECRET_BYTES = 32

_MASK = (1 << 64) - 1
_SIGN = 1 << 63


@dataclass(frozen=True, slots=True, repr=False)
class HashKeys:
    """What the hashes of one source depend on; made by `hash_keys`."""

    numbers: tuple[int, int, int]
    texts: tuple[int, int]


def hash_keys(secret: bytes, source_id: int | None) -> HashKeys:
    """The keys for one source; None stands for jobs without a source. `secret` has 32 bytes."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"the secret of the key hashes has {len(secret)} bytes instead of {SECRET_BYTES}")
    source = b"none" if source_id is None else source_id.to_bytes(8, "little", signed=True)
    digest = blake2b(source, key=secret, digest_size=40, person=b"predictq keys").digest()
    first, second, third, fourth, fifth = unpack("<5Q", digest)
    return HashKeys(numbers=(first, second, third), texts=(fourth, fifth))


def hash_key(keys: HashKeys, key: int | str) -> int:
    """The hash of a canonical key: whole numbers of a column of integers as int, every other as its text."""
    return hash_number(keys, key) if isinstance(key, int) else hash_text(keys, key)


def hash_number(keys: HashKeys, key: int) -> int:
    """The hash of a key of a column of smallint, integer or bigint."""
    before, between, after = keys.numbers
    return _signed(_mix(_mix(key & _MASK ^ before) ^ between) ^ after)


def _mix(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31


def hash_text(keys: HashKeys, key: str) -> int:
    """The hash of any other key: SipHash-2-4 of its canonical text in UTF-8 (a uuid as 36 characters)."""
    return _signed(siphash(keys.texts, key.encode()))


def siphash(key: tuple[int, int], data: bytes) -> int:
    """SipHash-2-4, unsigned. `key` is the 16 bytes as two little-endian words. Source: Aumasson and Bernstein, 2012."""
    state = (
        key[0] ^ 0x736F6D6570736575,
        key[1] ^ 0x646F72616E646F6D,
        key[0] ^ 0x6C7967656E657261,
        key[1] ^ 0x7465646279746573,
    )
    padded = data + bytes(7 - len(data) % 8) + bytes((len(data) & 0xFF,))
    for word in unpack(f"<{len(padded) // 8}Q", padded):
        a, b, c, d = state
        a, b, c, d = _round(*_round(a, b, c, d ^ word))
        state = (a ^ word, b, c, d)
    a, b, c, d = state
    a, b, c, d = _round(*_round(*_round(*_round(a, b, c ^ 0xFF, d))))
    return a ^ b ^ c ^ d


def _round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a = a + b & _MASK
    b = (b << 13 | b >> 51) & _MASK ^ a
    a = (a << 32 | a >> 32) & _MASK
    c = c + d & _MASK
    d = (d << 16 | d >> 48) & _MASK ^ c
    a = a + d & _MASK
    d = (d << 21 | d >> 43) & _MASK ^ a
    c = c + b & _MASK
    b = (b << 17 | b >> 47) & _MASK ^ c
    c = (c << 32 | c >> 32) & _MASK
    return a, b, c, d


def _signed(value: int) -> int:
    return value - (1 << 64) if value & _SIGN else value
