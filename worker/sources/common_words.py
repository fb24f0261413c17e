"""Words that many rows of a source have: categories, and nobody's name."""

from __future__ import annotations

from collections import Counter

from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.sources.source import Source
from worker.sources.reader import SourceReader
from worker.sources.sampling import sample_rows

_ROWS = 1000
_LEAST_ROWS = 10  # that have a word: it is kept with a version, and may tell of no person
_MOST_WORDS = 50
_TEXTS = frozenset({"text", "varchar", "char", "citext", "enum"})


def common_words(reader: SourceReader, source: Source) -> dict[str, list[str]]:
    """By column of texts, the words that ten of the first 1,000 clients have; columns without such are left out.

    Raises SourceAway, SourceFailed.
    """
    names = [column.name for column in source.columns if column.type in _TEXTS]
    if not names:
        return {}
    signature = Signature(tuple(FeatureSpec(name, FeatureKind.CATEGORY, nullable=True) for name in names))
    table = sample_rows(reader, source, signature, _ROWS).features
    found: dict[str, list[str]] = {}
    for name, column in zip(names, table.columns, strict=True):
        counts = Counter(word for word in column.to_pylist() if word is not None)
        words = [word for word, count in counts.most_common(_MOST_WORDS) if count >= _LEAST_ROWS]
        if words:
            found[name] = words
    return found
