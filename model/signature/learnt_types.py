"""Encoders that have learnt numbers of a column of texts, or texts of one of numbers, flags or dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any, NamedTuple

from model.signature.inside import categories_of, sights
from shared.models.feature import FeatureKind
from shared.models.signature import Signature

_SHOWN = 2
_NO_TEXTS = (FeatureKind.INTEGER, FeatureKind.NUMBER, FeatureKind.BOOLEAN, FeatureKind.DATETIME)
_FLAG = "boolean"  # a type of columns; their texts are:
_FLAGS = ("true", "false")


class Otherwise(NamedTuple):
    """A feature that no row can match: what its encoder knows, and what its column holds."""

    words: str
    is_flag: bool  # whether the column holds true and false


def otherwise_learnt(estimator: Any, signature: Signature, types: Mapping[str, str]) -> list[Otherwise]:
    """The features that no row can match. `types` are those of the columns of the source, by name.

    A training script that lets pandas read `75001` makes a number of what is a text in the source, and one that reads
    yes and no makes texts of what an import makes flags. An encoder that ignores what it does not know then says the
    same of each row, and nobody would notice.
    """
    specs = {spec.name: spec for spec in signature.features}
    found: dict[str, Otherwise] = {}
    for sight in sights(estimator, signature.names):
        spec = specs.get(sight.feature)
        column_type = types.get(sight.feature)
        if spec is None or column_type is None or sight.feature in found:
            continue
        learnt = [value for value in categories_of(sight) if not _is_gap(value)]
        wrong = _other_kind(spec.kind, column_type, learnt)
        if wrong is not None:
            holds = "text" if wrong == "numbers" else column_type
            some = ", ".join(repr(value) if wrong == "texts" else str(value) for value in learnt[:_SHOWN])
            words = f"the encoder learnt {wrong} ({some}{', …' if len(learnt) > _SHOWN else ''}) for {spec.name!r}"
            found[sight.feature] = Otherwise(f"{words}, whose column is {holds}", column_type == _FLAG)
    return list(found.values())


def _other_kind(kind: FeatureKind, column_type: str, learnt: Sequence[Any]) -> str | None:
    """`numbers` or `texts` where all that was learnt is such, and the feature is not; None where they go together."""
    if learnt and kind is FeatureKind.CATEGORY and all(isinstance(value, Number) for value in learnt):
        return "numbers"
    if not learnt or not all(isinstance(value, str) for value in learnt):
        return None
    is_other_flag = column_type == _FLAG and not any(value in _FLAGS for value in learnt)
    return "texts" if kind in _NO_TEXTS or is_other_flag else None


def _is_gap(value: Any) -> bool:
    return value is None or bool(value != value)
