"""Words that an encoder does not know and passes over: counted, so that nothing is zero without a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from model.signature.inside import categories_of, sights
from shared.models.signature import FeatureKind, Signature
from shared.pages.layout import Missing
from worker.pages.columns import FeatureColumn

KnownWords = Mapping[int, frozenset[str]]  # by the feature's place in the signature


def known_words(estimator: Any, signature: Signature) -> KnownWords:
    """The words that the encoder of each open text feature knows; features that no encoder sees are left out."""
    found: dict[int, frozenset[str]] = {}
    places = {spec.name: place for place, spec in enumerate(signature.features) if spec.kind is FeatureKind.CATEGORY}
    for sight in sights(estimator, signature.names):
        place = places.get(sight.feature)
        categories = categories_of(sight)
        if place is None or signature.features[place].categories or not categories:
            continue
        words = frozenset(str(word) for word in categories if isinstance(word, str))
        found[place] = found.get(place, words) & words
    return found


def count_unknown(columns: Sequence[FeatureColumn], signature: Signature, known: KnownWords) -> dict[str, int]:
    """By feature, in how many rows stands a word that its encoder does not know. Features without such are left out."""
    counts: dict[str, int] = {}
    for place, words in known.items():
        column = columns[place]
        if column.words is None:
            continue
        is_strange = np.array([word not in words for word in column.words.to_pylist()], dtype=np.bool_)
        if not is_strange.any():
            continue
        states = column.states()
        codes = column.values if states is None else column.values[states == Missing.PRESENT]
        count = int(is_strange[codes].sum())
        if count:
            counts[signature.features[place].name] = count
    return counts
