"""Looks at the rows of a relation that is to be a source: each is short, or is given up and told of."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case

from shared.models.signature import Signature
from shared.sentences import count_of
from shared.sources.key_types import CITEXT
from shared.sources.source import KeyColumn, Source
from shared.sources.sql import LOWEST_BIGINT, key_sql, quoted, relation
from worker.sources.citext import WHAT_TO_DO, Citext, find_citext, has_citext
from worker.sources.describing.catalogue import Relation
from worker.sources.describing.parts import measured_feature
from worker.sources.failures import SourceFailed
from worker.sources.key_columns import Keys, keys_of_texts, wanted_keys
from worker.sources.reading import read_features
from worker.sources.statements import session

KEYS = 10_000  # that are read to see how long it takes
SCAN_SECONDS = 2.0  # above which a source is read as a whole only
_TRIES = 3  # at reading keys, while each is slower than that
_PATIENCE_SECONDS = 8.0  # for one look at the data: a caller waits
_QUICK_SECONDS = 5.0
_NUMBER_BYTES = 8  # of each row in a page, also where the table has a null

_ANY = Source(0, "any", None, "", "", (KeyColumn("k", "text"),))


class Looks:
    """Looks at the rows of one relation. `notes` say which took too long, `unchecked` what stays unknown of keys."""

    def __init__(self, driver: PsycopgConnection, found: Relation) -> None:
        self._driver = driver
        self._found = found
        self.notes: list[str] = []
        self.unchecked: list[str] = []

    def has_null_keys(self, source: Source, columns: Sequence[str]) -> bool:
        """Whether a row has no value in one of these columns of the key."""
        query = f"SELECT true FROM {relation(source)} c WHERE {_any_null(columns)} LIMIT 1"
        return self._holds(query, "whether keys are null")

    def count_null_keys(self, source: Source, columns: Sequence[str]) -> int | None:
        """How many rows have no value in one of these columns; None where counting takes too long."""
        query = f"SELECT pg_catalog.count(*) FROM {relation(source)} c WHERE {_any_null(columns)}"
        found = self._try(query, "how many keys are null", seconds=_QUICK_SECONDS)
        return int(found[0][0]) if found else None

    def has_lowest_keys(self, source: Source) -> bool:
        """Whether a key has the lowest bigint, which is none. Where it takes too long that is noted: no job has it."""
        lowest = [f"c.{quoted(key.name)} = {LOWEST_BIGINT}" for key in source.key if key.type == "bigint"]
        query = f"SELECT true FROM {relation(source)} c WHERE {' OR '.join(lowest)} LIMIT 1"
        return bool(lowest and self._try(query, "whether a key is the lowest bigint", seconds=_QUICK_SECONDS))

    def note_letters(self, source: Source) -> None:
        """Note how many keys have a letter of citext whose small form this database has in a way of its own."""
        citext = find_citext(self._driver, source) if has_citext(source) else None
        if citext is None or not citext.letters:
            return
        settled = key_sql(source.key, citext.schema, citext.letters).settled
        query = f"SELECT pg_catalog.count(*) FROM {relation(source)} c WHERE NOT ({settled})"
        found = self._try(query, "how many keys have letters with a small form of their own", seconds=_QUICK_SECONDS)
        if found and found[0][0]:
            names = ", ".join(key.name for key in source.key if key.type in CITEXT)
            self.notes.append(
                f"{count_of(found[0][0], 'row has', 'rows have')} a letter in {names}, which is citext, whose small "
                f"form PostgreSQL's locales do not agree on: such a client has no answer (invalid_key). {WHAT_TO_DO}"
            )

    def has_duplicates(self, source: Source) -> bool:
        """Whether two rows have one key."""
        columns = ", ".join(f"c.{quoted(column.name)}" for column in source.key)
        query = f"SELECT true FROM {relation(source)} c GROUP BY {columns} HAVING pg_catalog.count(*) > 1 LIMIT 1"
        return self._holds(query, "whether keys are unique")

    def _holds(self, query: str, what: str) -> bool:
        """Whether a query about keys has a row. Where it takes too long that is noted, and not held against them."""
        found = self._try(query, what)
        if found is None:
            self.unchecked.append(what)
        return bool(found)

    def _try(self, query: str, what: str, *, seconds: float | None = None) -> list[tuple[Any, ...]] | None:
        """The rows of a query; None, and a note, where it takes too long."""
        seconds = _PATIENCE_SECONDS if seconds is None else seconds
        try:
            with self._driver.cursor() as cursor:
                cursor.execute(session(_ANY, statement_seconds=seconds) + query)
                return cursor.fetchall()
        except psycopg2.errors.QueryCanceled:
            self.notes.append(f"Not checked, for it takes more than {seconds:g} s: {what}.")
            return None

    def count(self, source: Source) -> tuple[int | None, bool]:
        """How many rows there are, as far as that is known, and whether they were counted."""
        query = f"SELECT pg_catalog.count(*) FROM {relation(source)} c"
        if self._found.estimated_rows > 1_000_000:
            return int(self._found.estimated_rows), False
        found = self._try(query, "the number of rows", seconds=_QUICK_SECONDS)
        return (int(found[0][0]), True) if found else (max(0, int(self._found.estimated_rows)) or None, False)

    def null_fractions(self, source: Source) -> dict[str, float]:
        """The share of nulls in the first rows, by column."""
        if not source.columns:
            return {}
        counted = ", ".join(f"pg_catalog.count(c.{quoted(column.name)})" for column in source.columns[:1600])
        names = ", ".join(f"c.{quoted(column.name)}" for column in source.columns[:1600])
        query = f"SELECT pg_catalog.count(*), {counted} FROM (SELECT {names} FROM {relation(source)} c LIMIT {KEYS}) c"
        found = self._try(query, "the share of nulls")
        if not found or not found[0][0]:
            return {}
        total, *present = found[0]
        return {column.name: 1 - count / total for column, count in zip(source.columns, present, strict=False)}

    def widths(self, source: Source) -> dict[str, int]:
        """Bytes of text that a row has in the first rows, by column, on average and rounded up; a number's at least."""
        names = [f"c.{quoted(column.name)}" for column in source.columns[:1600]]
        if not names:
            return {}
        sums = ", ".join(
            f"pg_catalog.ceil(pg_catalog.sum(pg_catalog.octet_length({name}::pg_catalog.text))::pg_catalog.numeric"
            " / pg_catalog.count(*))::pg_catalog.int8"
            for name in names
        )
        query = f"SELECT {sums} FROM (SELECT {', '.join(names)} FROM {relation(source)} c LIMIT {KEYS}) c"
        found = self._try(query, "how wide a row is")
        if not found:
            return {}
        is_empty = all(width is None for width in found[0])
        return {
            column.name: 0 if is_empty else max(_NUMBER_BYTES, width or 0)
            for column, width in zip(source.columns, found[0], strict=False)
        }

    def measure(self, source: Source, most: int = KEYS) -> tuple[float | None, bool]:
        """Seconds for as many keys as a batch has, spread over the table; and whether that is too long.

        `most` keys are read: a batch of wide rows has fewer.
        """
        citext = find_citext(self._driver, source) if has_citext(source) else None
        key = key_sql(source.key, citext.schema if citext else None)
        sample = ""
        if self._found.kind in ("table", "partitioned table", "materialised view"):
            share = min(100.0, 100.0 * 3 * KEYS / max(self._found.estimated_rows, 1.0))
            sample = f" TABLESAMPLE SYSTEM ({share:g})"
        not_null = " AND ".join(f"{column} IS NOT NULL" for column in key.columns)
        texts = ", ".join(f"({text})::pg_catalog.text" for text in key.texts)
        query = f"SELECT {texts} FROM {relation(source)} c{sample} WHERE {not_null} LIMIT {most}"
        rows = self._try(query, f"the time for {most:,} keys")
        if rows is None:
            return None, True
        keys = [source.key_form.of_source(source.key_form.join(row)) for row in rows]
        if not keys:
            return None, False
        wanted = wanted_keys(keys_of_texts(keys, source.key_form.storage)).keys
        # A busy moment of the machine must not make a table slow for good: the quickest of some tries counts.
        quickest: float | None = None
        for _ in range(_TRIES):
            seconds = self._time_of(source, wanted, citext)
            if seconds is None:
                break
            quickest = seconds if quickest is None else min(quickest, seconds)
            if quickest <= SCAN_SECONDS:
                break
        return (None, True) if quickest is None else (round(quickest, 3), quickest > SCAN_SECONDS)

    def _time_of(self, source: Source, wanted: Keys, citext: Citext | None) -> float | None:
        """How many seconds it takes to read these keys; None, and a note, where that was no matter of seconds."""
        signature = Signature(tuple(measured_feature(column) for column in source.columns[:1600]))
        patient = replace(source, settings={**source.settings, "statement_seconds": _PATIENCE_SECONDS})
        started = time.monotonic()
        try:
            read_features(self._driver, patient, signature, wanted, citext=citext)
        except SourceFailed as error:
            if time.monotonic() - started < _PATIENCE_SECONDS / 2:
                raise
            self.notes.append(str(error))
            return None
        return time.monotonic() - started


def slow_words(seconds: float | None) -> str:
    """What follows from a source's slowness, where its quickest reading of a batch of keys took that long."""
    took = "does not end in time" if seconds is None else f"took {seconds:.1f} s at the quickest of {_TRIES} tries"
    return (
        f"It is marked as read as a whole, for reading a batch of keys {took}, where {SCAN_SECONDS:g} s are the most: "
        "single predictions by key are refused. If the server was busy at that moment, predictq sources check measures "
        "anew."
    )


def _any_null(columns: Sequence[str]) -> str:
    return " OR ".join(f"c.{quoted(name)} IS NULL" for name in columns)
