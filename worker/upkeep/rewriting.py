"""The bytes of a page anew, without the rows that went: what `shared.retention.thinning` asks for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from worker.pages.key_filter import build_filter
from worker.pages.rewrite import rewrite_without


@dataclass(frozen=True, slots=True)
class PageRewriter:
    """See `shared.retention.thinning.Rewriter`."""

    def features(self, data: bytes, gone: Collection[int]) -> bytes:
        """The features of a page without the values of these rows."""
        return rewrite_without(data, gone)

    def key_filter(self, hashes: Sequence[int]) -> bytes:
        """The filter of a page with these key hashes."""
        return build_filter(np.array(hashes, np.int64))
