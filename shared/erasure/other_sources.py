"""Where else a client may stand: an erasure is of one source, and a table or a view of it may be another one, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from shared.erasure.errors import ClientKeyRefused
from shared.erasure.find import find_client
from shared.erasure.keys import NO_SOURCE, ClientKey, KeySource, client_key, list_key_sources
from shared.installation import read_installation


@dataclass(frozen=True, slots=True)
class OtherSource:
    """Another source (None: models without one) that has answers for the same key, or is over the same table."""

    source: str | None
    is_same_table: bool  # of the same database, as far as the sources' addresses have the same variable
    answers: int  # stored under the same key; 0 as well where its key is of another form


def other_sources(connection: Connection, key: ClientKey) -> list[OtherSource]:
    """The other sources in which an erasure of this client changes nothing, though she may stand there.

    Removed sources with answers are among them: their pages stay. What is still to be answered is not counted.
    """
    secret = read_installation(connection).hash_secret
    tables = set(connection.execute(_SAME_TABLE, {"id": key.source.id}).scalars())
    found = []
    for source in _others(connection, key.source):
        same = _same_key(key, source)
        places = [] if same is None else find_client(connection, same, secret, answered_only=True)
        answers = sum(len(place.rows) for place in places)
        if answers or source.id in tables:
            found.append(OtherSource(source.name, source.id in tables, answers))
    return found


def _others(connection: Connection, own: KeySource) -> Iterator[KeySource]:
    for source in (*list_key_sources(connection), NO_SOURCE):
        if source.id != own.id:
            yield source


def _same_key(key: ClientKey, source: KeySource) -> ClientKey | None:
    """The key as the other source has it: by the names of its columns where these are the same, else in their order."""
    parts = key.source.form.parts(key.text)
    given: str | dict[str, str] | list[str] = parts[0]
    if len(parts) > 1:
        is_named = set(source.columns) == set(key.source.columns)
        given = dict(zip(key.source.columns, parts, strict=True)) if is_named else parts
    try:
        return client_key(source, given)
    except ClientKeyRefused:
        return None


_SAME_TABLE = text("""
SELECT o.id FROM predictq.sources s JOIN predictq.sources o ON o.id <> s.id
    AND o.relation_schema = s.relation_schema AND o.relation_name = s.relation_name
    AND o.url_variable IS NOT DISTINCT FROM s.url_variable
WHERE s.id = :id AND o.removed_at IS NULL
""")
