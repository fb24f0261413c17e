"""Rows drawn over the whole of a signature: every category, both ends of every range, and missing values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from shared.models.signature import INT4_MAX, FeatureKind, FeatureSpec, Signature


def draw_table(signature: Signature, rows: int) -> pa.Table:
    """A table of `rows` rows that the signature allows, always the same ones."""
    random = np.random.default_rng(0)
    return pa.table({spec.name: _draw(spec, rows, random) for spec in signature.features})


def _draw(spec: FeatureSpec, rows: int, random: np.random.Generator) -> pa.Array:
    missing = random.random(rows) < 0.1 if spec.nullable else np.zeros(rows, dtype=np.bool_)
    return pa.array(_values(spec, rows, random), mask=missing)


def _values(spec: FeatureSpec, rows: int, random: np.random.Generator) -> Any:
    if spec.kind is FeatureKind.CATEGORY:
        return random.choice(np.array(spec.categories or ("?",), dtype=object), rows)
    if spec.kind is FeatureKind.BOOLEAN:
        return random.random(rows) < 0.5
    low = -1000.0 if spec.minimum is None else spec.minimum
    high = min(INT4_MAX, low + 100_000.0) if spec.maximum is None else spec.maximum
    # Half of the rows over the whole range, half near its lower end, where most real values lie.
    spread = np.where(random.random(rows) < 0.5, 1.0, 0.001)
    values = low + (high - low) * random.random(rows) * spread
    values[0], values[-1] = low, high
    return np.rint(values).astype(np.int64) if spec.kind is FeatureKind.INTEGER else values
