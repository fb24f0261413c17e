"""Words that an encoder does not know and passes over: found, so that nothing is zero without a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from model.signature.inside import categories_of, refuses_others, sights
from shared.models.signature import FeatureKind, Signature
from shared.pages.layout import Missing
from worker.models.frame import input_columns
from worker.pages.columns import FeatureColumn

# By the feature's place in the signature: the texts, or the numbers, that its encoder has learnt.
KnownWords = Mapping[int, frozenset[str] | frozenset[int | float]]


def known_words(estimator: Any, signature: Signature, *, only_closed: bool = False) -> KnownWords:
    """What the encoder of each open feature knows, words or numbers; features that no encoder sees are left out.

    `only_closed`: of those encoders alone that refuse a row with anything else.
    """
    found: dict[int, frozenset[Any]] = {}
    places = {spec.name: place for place, spec in enumerate(signature.features) if spec.kind in _KNOWN_AS}
    for sight in sights(estimator, signature.names):
        place = places.get(sight.feature)
        if place is None or signature.features[place].categories:
            continue
        if only_closed and not refuses_others(sight):
            continue
        known_as = _KNOWN_AS[signature.features[place].kind]
        learnt = categories_of(sight)
        words = frozenset(_plain(word) for word in learnt if isinstance(word, known_as) and word == word)
        # An encoder of texts knows no number and no flag; one that learnt numbers as categories gets their texts.
        if words or any(isinstance(word, str) for word in learnt):
            found[place] = found.get(place, words) & words
    return found


_NUMBERS = (int, float, np.number, np.bool_)
_KNOWN_AS: dict[FeatureKind, type | tuple[type, ...]] = {
    FeatureKind.CATEGORY: str,
    FeatureKind.INTEGER: _NUMBERS,
    FeatureKind.NUMBER: _NUMBERS,
    FeatureKind.BOOLEAN: _NUMBERS,
}


def _plain(word: Any) -> Any:
    """As JSON can say it, for the process of a model that brings code of its own."""
    if isinstance(word, str):
        return str(word)
    return word.item() if isinstance(word, np.generic) else word


def find_unknown(
    columns: Sequence[FeatureColumn], signature: Signature, known: KnownWords
) -> dict[str, npt.NDArray[np.intp]]:
    """By feature, the numbers of the rows that have a word which its encoder does not know.

    Features without such are left out.
    """
    found: dict[str, npt.NDArray[np.intp]] = {}
    for place, words in known.items():
        rows = _strange_rows(columns[place], words)
        if len(rows):
            found[signature.features[place].name] = rows
    return found


def refused_values(rows: pa.Table, signature: Signature, closed: KnownWords) -> dict[int, list[str]]:
    """By row of a table in signature order, the features whose value is none of those that encoders take."""
    found: dict[int, list[str]] = {}
    for name, strange in find_unknown(input_columns(rows, signature), signature, closed).items():
        for row in strange:
            found.setdefault(int(row), []).append(name)
    return found


def _strange_rows(column: FeatureColumn, words: frozenset[Any]) -> npt.NDArray[np.intp]:
    """The rows whose cell holds something else; one that holds nothing does not."""
    are_strange = None
    if column.words is not None:
        are_strange = np.array([word not in words for word in column.words.to_pylist()], dtype=np.bool_)
        if not are_strange.any():  # as nearly always, and then no row need be looked at
            return np.empty(0, np.intp)
    states = column.states()
    present = np.arange(len(column)) if states is None else np.flatnonzero(states == Missing.PRESENT)
    values = column.values[present]
    chosen = np.isin(values, np.array(list(words)), invert=True) if are_strange is None else are_strange[values]
    rows: npt.NDArray[np.intp] = present[chosen]
    return rows
