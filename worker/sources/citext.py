"""The type citext: each database has it in a schema of its own choice, and makes letters small in a way of its own.

Whoever asks for a client is answered by the canonical form of her key, which asks no server. So a server is asked here
where it makes letters small otherwise: what it takes for one key and we for two, or the other way about.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from shlex import quote
from string import ascii_uppercase

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case
from psycopg2.extensions import encodings

from shared.sources.errors import SourceRefused
from shared.sources.key_types import CITEXT, CITEXT_OF_ASCII, UNSETTLED_LETTERS, small_forms
from shared.sources.source import Source
from worker.sources.failures import SourceFailed, source_failure

WHAT_TO_DO = (
    "Give the source a view whose key is of the type text, for example lower(code)::text AS code, and add that as a "
    "source."
)
_OWN_ALPHABET = (
    "PostgreSQL's locale of this database makes letters of A to Z small in a way of its own, as that of Turkish does, "
    "so that a key of citext would name another client there. "
)


@dataclass(frozen=True, slots=True)
class Citext:
    """How a database has the type. `letters`: those beyond ASCII whose small form is not that of a key of this kind."""

    schema: str
    kind: str  # which of the types of a key fits its locale
    letters: str

    def is_strange(self, text: str) -> bool:
        """Whether a canonical text holds such a letter, or one that we do not know."""
        return any(letter in self.letters or self._is_unknown(letter) for letter in text if not letter.isascii())

    def _is_unknown(self, letter: str) -> bool:
        """Whether the server may know a letter's small form that this Python does not."""
        return self.kind != CITEXT_OF_ASCII and unicodedata.category(letter) == "Cn"


def has_citext(source: Source) -> bool:
    """Whether a column of the key has that type."""
    return source.key_form.has_citext


def find_citext(driver: PsycopgConnection, source: Source) -> Citext:
    """Ask the source's database. Raises SourceAway, SourceFailed, also where the keys' type does not fit its locale."""
    try:
        found = look_at_citext(driver)
    except psycopg2.Error as error:
        raise source_failure(source.name, error) from None
    except SourceRefused as error:
        raise SourceFailed(f"The source {source.name} cannot be read. {error}") from None
    if any(column.type in CITEXT and column.type != found.kind for column in source.key):
        raise SourceFailed(
            f"The source {source.name} cannot be read: its database has another locale now, which compares keys of "
            f"citext otherwise. An admin sees what to do with: predictq sources check {quote(source.name)}"
        )
    return found


def look_at_citext(driver: PsycopgConnection) -> Citext:
    """How a database has the type. Raises SourceRefused where its keys can have no canonical form, psycopg2.Error."""
    codec = encodings.get(driver.get_parameter_status("server_encoding") or "UTF8", "utf-8")
    forms = _letters("utf-8" if codec == "ascii" else codec)  # SQL_ASCII takes any bytes
    with driver.cursor() as cursor:
        cursor.execute(_FIND)
        (schema,) = cursor.fetchone() or ("public",)
        if _otherwise(cursor, [word for word in _ASCII if _fits(word, codec)]):
            raise SourceRefused(_OWN_ALPHABET + WHAT_TO_DO)
        if not _otherwise(cursor, [(large, large) for large, _ in forms]):
            return Citext(schema, CITEXT_OF_ASCII, "")
        strange = {letter for number in _otherwise(cursor, forms) for letter in forms[number]}
    return Citext(schema, "citext", "".join(sorted(strange)))


# Lithuanian puts a dot between a small j and an accent.
_ASCII = [(word, word.lower()) for word in (*ascii_uppercase, "J\u0300")]


@cache
def _letters(codec: str) -> list[tuple[str, str]]:
    """The large letters that an encoding has, each with the small form that our canonical form has of it."""
    forms = [(chr(code), small) for code, small in small_forms().items() if code >= 0x80]
    return [pair for pair in [*forms, *zip(UNSETTLED_LETTERS, UNSETTLED_LETTERS, strict=True)] if _fits(pair, codec)]


def _fits(words: tuple[str, str], codec: str) -> bool:
    try:
        "".join(words).encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _otherwise(cursor: psycopg2.extensions.cursor, forms: Sequence[tuple[str, str]]) -> list[int]:
    """The numbers of those pairs whose first text the server makes small otherwise than the second."""
    cursor.execute(_COMPARE, ([large for large, _ in forms], [small for _, small in forms]))
    return [int(number) - 1 for (number,) in cursor.fetchall()]


_FIND = """
SELECT n.nspname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typname = 'citext' ORDER BY t.oid LIMIT 1
"""
_COMPARE = """
SELECT u.n FROM ROWS FROM (pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[]))
    WITH ORDINALITY AS u (large, small, n)
WHERE pg_catalog.lower(u.large) OPERATOR(pg_catalog.<>) u.small
"""
