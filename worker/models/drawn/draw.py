"""Rows drawn to try a model on: where its parts say that its training lay, to both ends of the signature's ranges,
with known words and unknown ones, and with missing values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from model.signature.anchors import Anchor
from shared.models.feature import EXACT_INTEGER, INT8_MAX, INT8_MIN, FeatureKind, FeatureSpec
from shared.models.signature import Signature
from worker.sources.arrow_types import arrow_type

Flags = npt.NDArray[np.bool_]
Limits = tuple[float, float]

UNKNOWN_WORD = "?"
_YEARS = (946_684_800, 1_893_456_000)  # 2000 to 2030, in seconds
_NO_ANCHOR = Anchor()


def draw_table(
    signature: Signature,
    rows: int,
    *,
    anchors: Mapping[str, Anchor] | None = None,
    seed: int = 0,
    with_unknown: bool = True,
    limits: Limits | None = None,
) -> pa.Table:
    """A table of `rows` rows that the signature allows, always the same ones.

    In an open list of words one row in ten has a word that no encoder knows, if `with_unknown`. Where there are
    `limits`, numbers of which nothing is known lie between them, and no number lies far from the training.
    """
    random = np.random.default_rng(seed)
    columns = []
    # Values far from the training come together in some rows. Were each feature far off in a tenth of all rows, nearly
    # every row of thirty features would have such a value, and a linear model would answer 0 or 1 to all.
    far_rows = random.random(rows) < (0.3 if limits is None else 0.0)
    for spec in signature.features:
        anchor = (anchors or {}).get(spec.name, _NO_ANCHOR)
        missing = random.random(rows) < 0.1 if spec.nullable else np.zeros(rows, dtype=np.bool_)
        is_far = far_rows & (random.random(rows) < 0.3)
        values = _values(spec, rows, random, anchor, is_far, with_unknown=with_unknown, limits=limits)
        columns.append(pa.array(values, mask=missing).cast(arrow_type(spec)))
    return pa.Table.from_arrays(columns, names=[f"f{place}" for place in range(len(columns))]).rename_columns(
        list(signature.names)
    )


def _values(
    spec: FeatureSpec,
    rows: int,
    random: np.random.Generator,
    anchor: Anchor,
    is_far: Flags,
    *,
    with_unknown: bool,
    limits: Limits | None,
) -> Any:
    if spec.kind is FeatureKind.CATEGORY:
        return _words(spec, rows, random, anchor, with_unknown=with_unknown)
    if spec.kind is FeatureKind.BOOLEAN:
        return random.random(rows) < 0.5
    if spec.kind is FeatureKind.DATETIME:
        return (random.integers(*_YEARS, rows) * 1_000_000).astype("datetime64[us]")
    values = _within(spec, _of_categories(_numbers(spec, rows, random, anchor, is_far, limits), random, anchor))
    return np.rint(values).astype(np.int64) if spec.kind is FeatureKind.INTEGER else values


def _words(spec: FeatureSpec, rows: int, random: np.random.Generator, anchor: Anchor, *, with_unknown: bool) -> Any:
    if not spec.categories and anchor.vocabulary:
        return np.array(
            [" ".join(random.choice(anchor.vocabulary, random.integers(0, 12))) for _ in range(rows)], dtype=object
        )
    known = spec.categories or tuple(dict.fromkeys(anchor.words)) or ("a", "b", UNKNOWN_WORD)
    chosen = random.choice(np.array(known, dtype=object), rows)
    if with_unknown and not spec.categories:
        chosen[random.random(rows) < 0.1] = UNKNOWN_WORD
    return chosen


def _numbers(
    spec: FeatureSpec, rows: int, random: np.random.Generator, anchor: Anchor, is_far: Flags, limits: Limits | None
) -> Any:
    span = anchor.span
    if span is not None and span[0] < span[1]:
        values = random.uniform(*span, rows)
    elif spec.minimum is None and spec.maximum is None and limits is not None:
        values = random.uniform(*limits, rows)
    elif spec.minimum is None and spec.maximum is None:
        # Nothing is known: small numbers and large ones, most of them not negative.
        values = random.normal(0.3, 1.0, rows) * random.choice([1.0, 10.0, 100.0, 10_000.0], rows)
    else:
        return _over_the_range(spec, rows, random)
    return _with_ends(spec, _with_markers(values, random, anchor), random, is_far)


def _of_categories(values: Any, random: np.random.Generator, anchor: Anchor) -> Any:
    """Numbers that are categories: as with words, one row in ten has another, unless that would be refused."""
    if not anchor.numbers:
        return values
    is_known = np.full(len(values), fill_value=True) if anchor.is_closed else random.random(len(values)) < 0.9
    return np.where(is_known, random.choice(anchor.numbers, len(values)), values)


def _with_markers(values: Any, random: np.random.Generator, anchor: Anchor) -> Any:
    if anchor.markers:
        is_marker = random.random(len(values)) < 0.2
        values[is_marker] = random.choice(anchor.markers, int(is_marker.sum()))
    return values


def _with_ends(spec: FeatureSpec, values: Any, random: np.random.Generator, is_far: Flags) -> Any:
    """Some rows over the whole range that the signature allows, and its very ends."""
    if spec.minimum is None and spec.maximum is None:
        return values
    return np.where(is_far, _over_the_range(spec, len(values), random), values)


def _over_the_range(spec: FeatureSpec, rows: int, random: np.random.Generator) -> Any:
    if spec.minimum is None:
        high = float(spec.maximum or 0.0)
        return high - 100_000.0 * random.random(rows) * np.where(random.random(rows) < 0.5, 1.0, 0.001)
    low = spec.minimum
    high = low + 100_000.0 if spec.maximum is None else spec.maximum
    # Half of the rows over the whole range, half near its lower end, where most real values lie.
    values = low + (high - low) * random.random(rows) * np.where(random.random(rows) < 0.5, 1.0, 0.001)
    values[:1], values[-1:] = low, high
    return values


def _within(spec: FeatureSpec, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    low = -np.inf if spec.minimum is None else float(spec.minimum)
    high = np.inf if spec.maximum is None else float(spec.maximum)
    if spec.kind is FeatureKind.INTEGER:
        most = EXACT_INTEGER if spec.is_exact_to_2_53 else 2**62
        low, high = max(np.ceil(low), -most, INT8_MIN), min(np.floor(high), most, INT8_MAX)
    return np.clip(values, low, high)
