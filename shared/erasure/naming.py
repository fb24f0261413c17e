"""Texts and JSON that name a client: whether they do, and the same without her."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from shared.erasure.keys import ClientKey

_PLAIN_TEXT = frozenset(
    {"text/csv", "text/plain", "application/json", "application/x-ndjson", "text/tab-separated-values"}
)


def json_needle(key: ClientKey) -> str:
    """The key as it stands inside of JSON text as PostgreSQL prints it."""
    return json.dumps(key.text, ensure_ascii=False)[1:-1]


def without_client(content: Any, key: ClientKey) -> Any:
    """Part of a filter without the client: dropped from lists; where she is all there is, nobody is selected ([])."""
    if isinstance(content, list):
        return [without_client(item, key) for item in content if not _is_key(item, key)]
    if isinstance(content, dict):
        return {name: without_client(value, key) for name, value in content.items()}
    return [] if _is_key(content, key) else content


def _is_key(item: Any, key: ClientKey) -> bool:
    return not isinstance(item, bool) and isinstance(item, int | str) and str(item).strip() == key.text


def is_free_of(pieces: Iterable[bytes], media_type: str, key: ClientKey) -> bool:
    """Whether a file certainly does not hold the key: it is plain text, and nothing in it looks like the key.

    What is packed (Parquet, Excel) or in another encoding is never free: nobody has looked.
    """
    needle = _needle(key)
    if media_type.partition(";")[0].strip().lower() not in _PLAIN_TEXT or needle is None:
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
