"""Describing a relation that is to be a source: what can be its key and its features, and how quickly it is read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case

from shared.models.signature import Signature
from shared.sources.errors import SourceRefused
from shared.sources.key_types import KEY_TYPES
from shared.sources.source import KeyColumn, Source, SourceColumn
from shared.sources.sql import key_sql, quoted, relation
from worker.sources.citext import Citext, find_citext, has_citext
from worker.sources.columns import FEATURE_TYPES
from worker.sources.describing.catalogue import CatalogueColumn, Relation, find_relation
from worker.sources.describing.parts import column_json, measured_feature
from worker.sources.describing.rights import current_role, gateway_role, grant_lines, may_read
from worker.sources.failures import SourceFailed, source_failure
from worker.sources.key_columns import Keys, keys_of_texts, wanted_keys
from worker.sources.reading import read_features
from worker.sources.statements import session

KEYS = 10_000  # that are read to see how long it takes
SCAN_SECONDS = 2.0  # above which a source is read as a whole only
_TRIES = 3  # at reading keys, while each is slower than that
_PATIENCE_SECONDS = 8.0  # for one look at the data: a caller waits
_QUICK_SECONDS = 5.0

_ANY = Source(0, "any", None, "", "", (KeyColumn("k", "text"),))


def describe(
    driver: PsycopgConnection,
    table: str,
    *,
    key: Sequence[str] = (),
    columns: Sequence[str] = (),
    filters: Sequence[str] = (),
    is_again: bool = False,
) -> dict[str, Any]:
    """What was found of a table: see shared.sources.description for the parts.

    `is_again`: columns and filters were chosen when the source was added; those that are gone since are left out.
    Raises SourceRefused, whose text says what to do, SourceAway, SourceFailed.
    """
    try:
        found = find_relation(driver, table)
        there = {column.name for column in found.columns if column.is_readable} if is_again else None
        chosen = [[name for name in names if there is None or name in there] for names in (columns, filters)]
        return _Description(driver, found, list(key), *chosen).make()
    except psycopg2.Error as error:
        raise source_failure(table[:100], error) from None


class _Description:
    """One description in the making."""

    def __init__(
        self, driver: PsycopgConnection, found: Relation, key: list[str], columns: list[str], filters: list[str]
    ) -> None:
        self._driver = driver
        self._found = found
        self._name = f"{found.schema}.{found.name}"
        self._notes: list[str] = []
        self._asked = {*key, *columns, *filters}
        self._takes_all = not columns
        self._key = self._choose_key(key)
        self._columns = self._choose_columns(columns)
        self._filters = self._choose_filters(filters)

    def make(self) -> dict[str, Any]:
        source = Source(
            0,
            self._name,
            None,
            self._found.schema,
            self._found.name,
            tuple(KeyColumn(column.name, column.type) for column in self._key),
            tuple(SourceColumn(c.name, c.type, c.nullable, c.comment) for c in self._columns),
            settings={"is_indexed": self._is_indexed()},
        )
        self._check_key(source)
        if self._found.has_row_security:
            self._notes.append(
                "Row security is active for the worker's database role: rows that it hides are unknown clients."
            )
        if self._found.kind in ("view", "materialised view", "foreign table"):
            self._notes.append(f"It is a {self._found.kind}, which carries no NOT NULL: every column may be null.")
        if hidden := [column.name for column in self._found.columns if not column.is_readable]:
            lines = grant_lines(self._found.schema, self._found.name, hidden, current_role(self._driver))
            self._notes.append(
                f"{len(hidden)} columns are hidden from the worker's database role. To have them as features, too, let "
                f"it read them and check the source again: {lines[1]}"
            )
        if not self._columns:
            self._notes.append("No column can be a feature: models of this source could be fed by uploads alone.")
        fractions = self._null_fractions(source)
        seconds, is_scan = self._measure(source)
        rows, is_exact = self._count(source)
        return {
            "schema": self._found.schema,
            "relation": self._found.name,
            "kind": self._found.kind,
            "key": [{"name": column.name, "type": column.type} for column in self._key],
            "columns": [column_json(column, fractions.get(column.name)) for column in self._columns],
            "filters": [column_json(column, None) for column in self._filters],
            "not_features": self._not_features(),
            "rows": rows,
            "is_exact": is_exact,
            "seconds": seconds,
            "is_scan": is_scan,
            "is_indexed": self._is_indexed(),
            "notes": self._notes,
            "grants": grant_lines(
                self._found.schema, self._found.name, self._used_columns(), current_role(self._driver)
            ),
            "gateway_grants": self._gateway_grants(),
        }

    def _choose_key(self, names: list[str]) -> list[CatalogueColumn]:
        names = names or self._candidate()
        key = [self._readable(name, "key") for name in names]
        for column in key:
            if column.type not in KEY_TYPES:
                types = ", ".join(KEY_TYPES)
                raise SourceRefused(f"{column.name} of {self._name} is {column.type}, and a key is one of {types}.")
            if not column.is_deterministic:
                raise SourceRefused(
                    f"{column.name} of {self._name} has a collation that takes different texts for equal, so that keys "
                    'have no form of their own. Make a view that gives it another: COLLATE "C".'
                )
        if len(set(names)) < len(names):
            raise SourceRefused("The key names a column twice.")
        return key

    def _candidate(self) -> list[str]:
        """The columns of the primary key, or of the one unique index over columns that are never null."""
        if self._found.primary_key:
            return list(self._found.primary_key)
        required = {column.name for column in self._found.columns if not column.nullable}
        unique = [names for names in self._found.unique if required.issuperset(names)]
        if len(unique) == 1:
            return list(unique[0])
        found = "; ".join(", ".join(names) for names in unique) or "none"
        raise SourceRefused(
            f"{self._name} is a {self._found.kind} and does not say which columns name a client (unique indexes over "
            f"columns without nulls: {found}). Say it: --key COLUMN, several for a key of several columns."
        )

    def _choose_columns(self, names: list[str]) -> list[CatalogueColumn]:
        if names:
            chosen = [self._readable(name, "feature") for name in names]
            wrong = next((column for column in chosen if column.type not in FEATURE_TYPES), None)
            if wrong is not None:
                raise SourceRefused(f"{wrong.name} of {self._name} is {wrong.type}, which cannot be a feature.")
            return chosen
        keys = {column.name for column in self._key}
        return [
            column
            for column in self._found.columns
            if column.is_known_type and column.is_readable and column.type in FEATURE_TYPES and column.name not in keys
        ]

    def _choose_filters(self, names: list[str]) -> list[CatalogueColumn]:
        chosen = [self._readable(name, "filter") for name in names]
        wrong = next((column for column in chosen if not column.is_known_type), None)
        if wrong is not None:
            raise SourceRefused(f"{wrong.name} of {self._name} is {wrong.type}, which cannot be filtered by.")
        return chosen

    def _readable(self, name: str, use: str) -> CatalogueColumn:
        column = self._found.column(name)
        if column is None:
            names = ", ".join(each.name for each in self._found.columns)[:1000]
            raise SourceRefused(f"{self._name} has no column {name[:100]!r} for a {use}. It has: {names}.")
        if not column.is_readable:
            lacking = [each.name for each in self._found.columns if not each.is_readable and self._is_asked(each.name)]
            grants = " ".join(grant_lines(self._found.schema, self._found.name, lacking, current_role(self._driver)))
            raise SourceRefused(
                f"The worker's database role may not read {', '.join(lacking)[:1000]} of {self._name}. {grants}"
            )
        return column

    def _is_asked(self, name: str) -> bool:
        return self._takes_all or name in self._asked

    def _not_features(self) -> list[dict[str, str]]:
        """The columns that cannot be features, each with the reason."""
        found = []
        for column in self._found.columns:
            if not column.is_readable:
                found.append({"name": column.name, "type": column.type, "why": "the worker may not read it"})
            elif column.type not in FEATURE_TYPES or not column.is_known_type:
                found.append({"name": column.name, "type": column.type, "why": "its type cannot be a feature"})
        return found

    def _is_indexed(self) -> bool:
        """Whether an index begins with the columns of the key."""
        wanted = {column.name for column in self._key}
        return any(set(names[: len(wanted)]) == wanted for names in self._found.indexes)

    def _is_unique_by_index(self) -> bool:
        wanted = {column.name for column in self._key}
        return any(wanted.issuperset(names) for names in self._found.unique)

    def _check_key(self, source: Source) -> None:
        """Raise SourceRefused where a key is null, or two rows have one key."""
        names = ", ".join(column.name for column in self._key)
        if not self._is_indexed() and self._found.kind in ("table", "partitioned table", "materialised view"):
            self._notes.append(
                f"No index begins with {names}: every batch reads the whole table. CREATE INDEX ON {relation(source)} "
                f"({', '.join(quoted(column.name) for column in self._key)}); helps."
            )
        must_look = [column for column in self._key if column.nullable]
        if must_look and self._has(source, " OR ".join(f"c.{quoted(column.name)} IS NULL" for column in must_look)):
            raise SourceRefused(
                f"Rows of {self._name} have no {names}: a key is never null. Choose other columns, or a view without "
                "these rows."
            )
        if not self._is_unique_by_index() and self._has_duplicates(source):
            raise SourceRefused(
                f"Rows of {self._name} share one {names}: a key names one client. Choose more columns for the key, or "
                "a view with one row for each client."
            )

    def _has(self, source: Source, condition: str) -> bool:
        found = self._try(f"SELECT true FROM {relation(source)} c WHERE {condition} LIMIT 1", "whether keys are null")
        return bool(found)

    def _has_duplicates(self, source: Source) -> bool:
        columns = ", ".join(f"c.{quoted(column.name)}" for column in self._key)
        query = f"SELECT true FROM {relation(source)} c GROUP BY {columns} HAVING pg_catalog.count(*) > 1 LIMIT 1"
        return bool(self._try(query, "whether keys are unique"))

    def _try(self, query: str, what: str, *, seconds: float = _PATIENCE_SECONDS) -> list[tuple[Any, ...]] | None:
        """The rows of a query; None, and a note, where it takes too long."""
        try:
            with self._driver.cursor() as cursor:
                cursor.execute(session(_ANY, statement_seconds=seconds) + query)
                return cursor.fetchall()
        except psycopg2.errors.QueryCanceled:
            self._notes.append(f"Not checked, for it takes more than {seconds:g} s: {what}.")
            return None

    def _count(self, source: Source) -> tuple[int | None, bool]:
        query = f"SELECT pg_catalog.count(*) FROM {relation(source)} c"
        if self._found.estimated_rows > 1_000_000:
            return int(self._found.estimated_rows), False
        found = self._try(query, "the number of rows", seconds=_QUICK_SECONDS)
        return (int(found[0][0]), True) if found else (max(0, int(self._found.estimated_rows)) or None, False)

    def _null_fractions(self, source: Source) -> dict[str, float]:
        """The share of nulls in the first rows, by column."""
        if not self._columns:
            return {}
        counted = ", ".join(f"pg_catalog.count(c.{quoted(column.name)})" for column in self._columns[:1600])
        names = ", ".join(f"c.{quoted(column.name)}" for column in self._columns[:1600])
        query = f"SELECT pg_catalog.count(*), {counted} FROM (SELECT {names} FROM {relation(source)} c LIMIT {KEYS}) c"
        found = self._try(query, "the share of nulls")
        if not found or not found[0][0]:
            return {}
        total, *present = found[0]
        return {column.name: 1 - count / total for column, count in zip(self._columns, present, strict=False)}

    def _measure(self, source: Source) -> tuple[float | None, bool]:
        """Seconds for as many keys as a batch has, spread over the table; and whether that is too long."""
        citext = find_citext(self._driver, source) if has_citext(source) else None
        key = key_sql(source.key, citext.schema if citext else None)
        sample = ""
        if self._found.kind in ("table", "partitioned table", "materialised view"):
            share = min(100.0, 100.0 * 3 * KEYS / max(self._found.estimated_rows, 1.0))
            sample = f" TABLESAMPLE SYSTEM ({share:g})"
        not_null = " AND ".join(f"{column} IS NOT NULL" for column in key.columns)
        texts = ", ".join(f"({text})::pg_catalog.text" for text in key.texts)
        query = f"SELECT {texts} FROM {relation(source)} c{sample} WHERE {not_null} LIMIT {KEYS}"
        rows = self._try(query, f"the time for {KEYS:,} keys")
        if rows is None:
            return None, True
        keys = [source.key_form.join(row) for row in rows]
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
            self._notes.append(str(error))
            return None
        return time.monotonic() - started

    def _used_columns(self) -> list[str]:
        return list(dict.fromkeys(column.name for column in (*self._key, *self._columns, *self._filters)))

    def _gateway_grants(self) -> list[str]:
        """What the gateway's role lacks to look keys up, so that an unknown client is a 404 at once."""
        gateway = gateway_role(self._driver)
        key = [column.name for column in self._key]
        if gateway is None or may_read(self._driver, self._found.oid, key, gateway):
            return []
        return grant_lines(self._found.schema, self._found.name, key, gateway)
