"""The Bloom filter of a page's keys: which block of it a hash falls into, and whether that block holds it.

A filter is a row of blocks of 64 bytes. The high half of the hash picks the block, six groups of nine bits from the low
end pick six bits in it. So one key is tested with one block, which `substr` reads out of a column with STORAGE EXTERNAL
without the rest. Numbers of bits are those of PostgreSQL's get_bit on bytea.
"""

from __future__ import annotations

BLOCK_BYTES = 64
BITS_PER_KEY = 12
PROBES = 6

_BLOCK_BITS = 8 * BLOCK_BYTES

# The number of the hash's block. Parameter: key_hash, a bigint. `key_filter` is the page's filter.
BLOCK_NUMBER_SQL = (
    "((((CAST(:key_hash AS bigint) >> 32) & 4294967295) * (length(key_filter) / 64)) >> 32)"  # a bigint, never negative
)

# The hash's block, 64 bytes, for `block_holds`. Parameter: key_hash.
BLOCK_SQL = f"substr(key_filter, (1 + 64 * {BLOCK_NUMBER_SQL})::integer, 64)"

# True where the filter may hold the hash. Parameter: key_hash. The sub-select reads the block once and not six times;
# OFFSET 0 keeps the planner from dissolving it.
_BITS_SQL = " AND ".join(
    f"get_bit(block, (CAST(:key_hash AS bigint) >> {9 * probe} & 511)::integer) = 1" for probe in range(PROBES)
)
HOLDS_SQL = f"(SELECT {_BITS_SQL} FROM (SELECT {BLOCK_SQL} AS block OFFSET 0) AS found)"


def count_blocks(keys: int) -> int:
    """How many blocks the filter of so many keys has; at least one."""
    return max(1, -(-keys * BITS_PER_KEY // _BLOCK_BITS))


def block_of(key_hash: int, blocks: int) -> int:
    """The number of the hash's block, from 0."""
    return ((key_hash >> 32) & 0xFFFFFFFF) * blocks >> 32


def bits_of(key_hash: int) -> list[int]:
    """The numbers of the hash's bits in its block."""
    return [key_hash >> 9 * probe & 511 for probe in range(PROBES)]


def block_holds(block: bytes | memoryview, key_hash: int) -> bool:
    """Whether the block may hold the hash: never False for one that was put in."""
    block = bytes(block)  # psycopg2's memoryview gives bytes for an element
    return all(block[bit >> 3] >> (bit & 7) & 1 for bit in bits_of(key_hash))
