"""A client's key as a person writes it, in the form in which pages have it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from shared.erasure.keys import client_key, read_source
from shared.retention.rules.errors import HoldRefused
from shared.sources.key_types import MOST_BYTES


def canonical_key(connection: Connection, written: Any, source: str | None) -> str:
    """The canonical form of a key: of one source, or of all where they write it alike.

    Raises ClientKeyRefused, SourceUnknown or, where no source is named, HoldRefused; none of them has the key.
    """
    if source is not None:
        return client_key(read_source(connection, source), written).text
    if isinstance(written, dict):
        raise HoldRefused("A composite key needs its source: name it as `source`.")
    if isinstance(written, bool) or not isinstance(written, int | str):
        raise HoldRefused("A client key is a whole number, a text, or an object of these if it is composite.")
    return _bounded(str(written))


def _bounded(key: str) -> str:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= MOST_BYTES or "\0" in key:
        raise HoldRefused("A client key is a text of 1 to 1,000 bytes, without the character NUL.")
    return key
