"""Holds on a client. One that names no source stands for her in all: its key is as somebody wrote it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from shared.erasure.errors import ClientKeyRefused
from shared.erasure.keys import NO_SOURCE, ClientKey, KeySource, client_key, list_key_sources


def holds_on(connection: Connection, key: ClientKey) -> list[Any]:
    """The open holds on this client, oldest first: id, reason, actor, created_at."""
    rows = connection.execute(_HOLDS, {"source_id": key.source.id}).all()
    return [
        row for row in rows if (row.client_key if row.source_id else _canonical(key.source, row.client_key)) == key.text
    ]


def spellings(connection: Connection, written: str) -> set[str]:
    """How the pages of any source may have the key that somebody wrote for all sources."""
    sources = [*list_key_sources(connection), NO_SOURCE]
    return {written, *(_canonical(source, written) for source in sources)}


def _canonical(source: KeySource, written: str) -> str:
    """The key as the source's pages have it; as it is written where the source cannot have such a key."""
    try:
        return client_key(source, written).text
    except ClientKeyRefused:
        return written


_HOLDS = text("""
SELECT id, reason, actor, created_at, source_id, client_key FROM predictq.holds
WHERE released_at IS NULL AND client_key IS NOT NULL AND (source_id IS NULL OR source_id = :source_id) ORDER BY id
""")
