"""Which features a model takes with a value missing: found out by trying, because nothing else tells for sure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pyarrow as pa

from shared.models.feature import FeatureSpec
from shared.models.signature import Signature
from worker.models.drawn.suited import Words, draw_for, without_gaps
from worker.models.frame import input_columns, to_frame
from worker.models.loaded_model import LoadedModel

_TRIES = 10


def settle_gaps(model: LoadedModel, *, said: Collection[str] = (), words: Words | None = None) -> Signature:
    """The signature in which only those features are nullable whose gap the model answers.

    Features named in `said` stay as they are. Where no drawn row is answered at all nothing is changed.
    """
    signature = model.signature
    full = without_gaps(draw_for(model.asking, signature, _TRIES, with_unknown=False, words=words).table)
    base = next((row for row in range(_TRIES) if _answers(model, full.slice(row, 1))), None)
    if base is None:
        return signature
    features = []
    for place, spec in enumerate(signature.features):
        if spec.nullable and spec.name not in said:
            gap = full.slice(base, 1).set_column(place, spec.name, pa.nulls(1, full.schema.field(place).type))
            features.append(spec if _answers(model, gap) else _full(spec))
        else:
            features.append(spec)
    return Signature(tuple(features))


def _answers(model: LoadedModel, table: pa.Table) -> bool:
    try:
        prediction = model.asking(to_frame(input_columns(table, model.signature), model.signature))
    except Exception:  # noqa: BLE001 - whatever an estimator of others raises: it does not take this row
        return False
    return bool(prediction.values[0] == prediction.values[0])


def _full(spec: FeatureSpec) -> FeatureSpec:
    keeps = (spec.dtype in ("float32", "object") or spec.kind == "category") and spec.kind != "boolean"
    dtype = spec.dtype if keeps or spec.kind == "datetime" else ""
    return replace(spec, nullable=False, dtype=dtype)
