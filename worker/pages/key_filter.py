"""The Bloom filter of a page's keys, made from their hashes. `shared.pages.key_filter` says how it is asked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.pages.key_filter import BLOCK_BYTES, PROBES, count_blocks


def build_filter(hashes: npt.NDArray[np.int64]) -> bytes:
    """The filter of these key hashes: 12 bits a key, in whole blocks of 64 bytes."""
    words = hashes.view(np.uint64)
    blocks = count_blocks(len(words))
    starts = ((words >> np.uint64(32)) * np.uint64(blocks)) >> np.uint64(32)
    starts *= np.uint64(8 * BLOCK_BYTES)
    bits = np.zeros(8 * BLOCK_BYTES * blocks, np.bool_)
    for probe in range(PROBES):
        bits[(starts + (words >> np.uint64(9 * probe) & np.uint64(511))).view(np.int64)] = True
    return np.packbits(bits, bitorder="little").tobytes()
