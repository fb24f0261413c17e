"""Texts and JSON that name a client: whether they do, and the same without her."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from shared.erasure.keys import ClientKey
from shared.sources.filter_values import value_text
from shared.sources.key_types import INTEGER_RANGES, KEY_TYPES, Unfit
from shared.sources.keys import KeyColumn
from shared.uploads.table_order import essence_of

_PLAIN_TEXT = frozenset(
    {"text/csv", "text/plain", "application/json", "application/x-ndjson", "text/tab-separated-values"}
)


def names_client(words: str, key: ClientKey) -> bool:
    """Whether a text names the client: each part of her key is a word of it, small letters and large ones alike.

    A key within a word or a longer number is nobody's: 5 is not in "Q4 2025", but it is in "client_5".
    """
    return all(re.search(_word(column, part), words, re.IGNORECASE) for column, part in _parts(key))


def _parts(key: ClientKey) -> list[tuple[KeyColumn, str]]:
    """Each column of her key with what she has there."""
    form = key.source.form
    return list(zip(form.columns, form.parts(key.text), strict=True))


def _word(column: KeyColumn, part: str) -> str:
    """The pattern of one part of a key as a word, however it is spelled."""
    if column.type in INTEGER_RANGES:
        pattern = f"0*{part.lstrip('-')}"
    elif column.type == "uuid":
        pattern = "-?".join(part.replace("-", ""))
    else:
        pattern = re.escape(part)
    return rf"(?<![^\W_]){pattern}(?![^\W_])"


def without_client(where: Mapping[str, Any], key: ClientKey) -> Mapping[str, Any]:
    """A filter without the client; the same one where it does not name her by all columns of her key.

    Where it selects others, too, she leaves the column that names most: so the fewest of them go with her. Where she is
    all there is, nobody is selected ([]).
    """
    parts = _parts(key)
    if not all(_column_names(column, where.get(column.name), part) for column, part in parts):
        return where
    widest = max((column for column, _ in parts), key=lambda column: _width(where[column.name]))
    is_alone = _width(where[widest.name]) == 1
    left = {
        column.name: _without(column, where[column.name], part)
        for column, part in parts
        if is_alone or column is widest
    }
    return {**where, **left}


def _width(condition: Any) -> float:
    """How many values a condition on one column lets pass."""
    if isinstance(condition, dict):
        return float("inf")
    return len(condition) if isinstance(condition, list) else 1


def _column_names(column: KeyColumn, condition: Any, part: str) -> bool:
    """Whether a condition has her part as a value, as one of a list, or as the limit of a range."""
    if isinstance(condition, dict):
        return any(_is_part(column, limit, part) for limit in condition.values())
    return any(_is_part(column, item, part) for item in (condition if isinstance(condition, list) else [condition]))


def _is_part(column: KeyColumn, item: Any, part: str) -> bool:
    """Whether a value of a filter is her part of the key, however it is spelled."""
    try:
        return KEY_TYPES[column.type](value_text(column.type, item)) == part
    except Unfit:
        return False


def _without(column: KeyColumn, condition: Any, part: str) -> Any:
    if isinstance(condition, list):
        return [item for item in condition if not _is_part(column, item, part)]
    if isinstance(condition, dict) and column.type in INTEGER_RANGES:
        return _narrower(column, condition, part)
    return []  # of an order of texts nothing lies next to her


def _narrower(column: KeyColumn, limits: Mapping[str, Any], part: str) -> Any:
    """A range of whole numbers whose limits are not hers: it begins after her, or ends before her."""
    least, most = INTEGER_RANGES[column.type]
    left = dict(limits)
    for name, limit in limits.items():
        if _is_part(column, limit, part):
            del left[name]
            is_lower = name.startswith("g")
            beside = int(part) + (1 if is_lower else -1)
            if not least <= beside <= most:
                return []
            left["gte" if is_lower else "lte"] = beside
    return left


def is_free_of(pieces: Iterable[bytes], media_type: str, key: ClientKey) -> bool:
    """Whether a file certainly does not hold the key: it is plain text, and nothing in it looks like the key.

    What is packed (Parquet, Excel) or in another encoding is never free: nobody has looked.
    """
    needle = _needle(key)
    if essence_of(media_type) not in _PLAIN_TEXT or needle is None:
        return False
    rest = b""
    for piece in pieces:
        if b"\x00" in piece or b"\\u" in piece:  # UTF-16, or escaped characters
            return False
        rest += piece.lower().translate(None, b"-{}" if key.source.storage == "uuid" else b"")
        if needle in rest:
            return False
        rest = rest[-len(needle) :]
    return True


def _needle(key: ClientKey) -> bytes | None:
    """What of the key must be found in a plain text that holds it, whoever spelled it; None where that is not known."""
    if key.source.storage == "int8":
        return key.text.lstrip("-").encode()
    plain = key.text.replace("-", "") if key.source.storage == "uuid" else key.text
    return plain.lower().encode() if plain.isascii() and plain.isalnum() else None
