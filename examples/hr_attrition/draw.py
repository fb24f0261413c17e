"""Turning uniform numbers into values by table: one call per column, no Python per row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from examples.hr_attrition.figures import Table

Uniform = NDArray[np.float64]
Ints = NDArray[np.int64]


def cumulative(shares: Table) -> Table:
    """Upper bounds of the shares along the last axis, without the last (which is 1)."""
    sums = np.cumsum(shares, axis=-1)
    return np.asarray(sums[..., :-1] / sums[..., -1:])


def pick(uniform: Uniform, shares: Table, group: Ints | None = None) -> Ints:
    """Draw an index from 0, by the shares (k,), or by row `group` of the shares (groups, k)."""
    bounds = cumulative(shares)
    if group is None:
        return np.asarray(np.searchsorted(bounds, uniform, side="right"), dtype=np.int64)
    drawn = np.zeros(len(uniform), dtype=np.int64)
    for bound in bounds.T:
        drawn += uniform >= bound[group]
    return drawn


def quantile(uniform: Uniform, table: Table, group: Ints) -> Ints:
    """The value at quantile `uniform`, rounded, between evenly spaced quantiles in row `group` of the table."""
    position = uniform * (table.shape[1] - 1)
    left = position.astype(np.int64)
    low, high = table[group, left], table[group, left + 1]
    return np.asarray(np.rint(low + (position - left) * (high - low)), dtype=np.int64)


def even(uniform: Uniform, low: int, high: int) -> Ints:
    """A whole number from low to high, both included, each as likely."""
    return (low + uniform * (high - low + 1)).astype(np.int64)


def band(values: Ints, edges: Sequence[int]) -> Ints:
    """The index of the band that holds each value; edges are inclusive upper ends."""
    return np.searchsorted(edges, values, side="left").astype(np.int64)
