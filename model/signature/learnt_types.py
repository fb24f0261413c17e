"""Encoders that have learnt numbers of a column that holds texts, or texts of one that holds numbers."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any

from model.signature.inside import categories_of, sights
from shared.models.feature import FeatureKind
from shared.models.signature import Signature

_SHOWN = 2
_NUMBERS = (FeatureKind.INTEGER, FeatureKind.NUMBER)


def otherwise_learnt(estimator: Any, signature: Signature) -> list[str]:
    """For each feature that no row can match: what its encoder knows, and what its column holds.

    A training script that lets pandas read `75001` makes a number of what is a text in the source. An encoder that
    ignores what it does not know then says the same of each row, and nobody would notice.
    """
    specs = {spec.name: spec for spec in signature.features}
    found: dict[str, str] = {}
    for sight in sights(estimator, signature.names):
        spec = specs.get(sight.feature)
        if spec is None or spec.column_type is None or sight.feature in found:
            continue
        learnt = [value for value in categories_of(sight) if not _is_gap(value)]
        wrong = _other_kind(spec.kind, learnt)
        if wrong is not None:
            holds = "text" if wrong == "numbers" else spec.column_type
            some = ", ".join(repr(value) if wrong == "texts" else str(value) for value in learnt[:_SHOWN])
            found[sight.feature] = (
                f"the encoder learnt {wrong} ({some}{', …' if len(learnt) > _SHOWN else ''}) for {spec.name!r}, "
                f"whose column is {holds}"
            )
    return list(found.values())


def _other_kind(kind: FeatureKind, learnt: Sequence[Any]) -> str | None:
    """`numbers` or `texts` where all that was learnt is such, and the feature is not; None where they go together."""
    if learnt and kind is FeatureKind.CATEGORY and all(isinstance(value, Number) for value in learnt):
        return "numbers"
    if learnt and kind in _NUMBERS and all(isinstance(value, str) for value in learnt):
        return "texts"
    return None


def _is_gap(value: Any) -> bool:
    return value is None or bool(value != value)
