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

    Features named in `said` stay as they are. Where no drawn row is answered, whole numbers are given as such: a model
    whose categories they are takes no doubles. Where none is answered so either, nothing is changed.
    """
    given = model.signature
    for signature in (given, _with_whole_numbers(given, said)):
        row = _answered_row(model, signature, words)
        if row is not None:
            break
    else:
        return given
    features = list(signature.features)
    for place, spec in enumerate(given.features):
        if spec.nullable and spec.name not in said:
            gap = row.set_column(place, spec.name, pa.nulls(1, row.schema.field(place).type))
            tried = Signature((*signature.features[:place], spec, *signature.features[place + 1 :]))
            features[place] = spec if _answers(model, tried, gap) else _full(spec)
    return Signature(tuple(features))


def _with_whole_numbers(signature: Signature, said: Collection[str]) -> Signature:
    """The signature in which no whole number may be missing, but for those that are `said`."""
    return Signature(
        tuple(
            _full(spec) if spec.nullable and spec.kind == "integer" and spec.name not in said else spec
            for spec in signature.features
        )
    )


def _answered_row(model: LoadedModel, signature: Signature, words: Words | None) -> pa.Table | None:
    """One drawn row that lacks nothing and is answered, if there is one."""
    full = without_gaps(draw_for(model.asking, signature, _TRIES, with_unknown=False, words=words).table)
    rows = (full.slice(row, 1) for row in range(_TRIES))
    return next((row for row in rows if _answers(model, signature, row)), None)


def _answers(model: LoadedModel, signature: Signature, table: pa.Table) -> bool:
    try:
        prediction = model.asking(to_frame(input_columns(table, signature), signature))
    except Exception:  # noqa: BLE001 - whatever an estimator of others raises: it does not take this row
        return False
    return bool(prediction.values[0] == prediction.values[0])


def _full(spec: FeatureSpec) -> FeatureSpec:
    keeps = (spec.dtype in ("float32", "object") or spec.kind == "category") and spec.kind != "boolean"
    dtype = spec.dtype if keeps or spec.kind == "datetime" else ""
    return replace(spec, nullable=False, dtype=dtype)
