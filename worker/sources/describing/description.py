"""Describing a relation that is to be a source: what can be its key and its features, and how quickly it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case

from shared.sentences import count_of
from shared.sources.description import rows_of_a_page
from shared.sources.errors import SourceRefused
from shared.sources.key_types import CITEXT_OF_ASCII, KEY_TYPES
from shared.sources.source import KeyColumn, Source, SourceColumn
from shared.sources.sql import quoted, relation
from worker.sources.citext import look_at_citext
from worker.sources.columns import FEATURE_TYPES
from worker.sources.describing.catalogue import CatalogueColumn, Relation, find_relation
from worker.sources.describing.looks import KEYS, Looks, slow_words
from worker.sources.describing.parts import column_json, foreign_words
from worker.sources.describing.rights import current_role, gateway_role, grant_lines, may_read
from worker.sources.failures import source_failure

_MOST_LABELS = 1000  # of one column: filters on one that has more are not checked


def describe(
    driver: PsycopgConnection,
    table: str,
    *,
    key: Sequence[str] = (),
    columns: Sequence[str] = (),
    filters: Sequence[str] = (),
    is_again: bool = False,
    unchecked: bool = False,
) -> dict[str, Any]:
    """What was found of a table: see shared.sources.description for the parts.

    `is_again`: columns and filters were chosen when the source was added; those that are gone since are left out.
    `unchecked`: a key is taken that could not be seen to be unique and never null; so it is where it `is_again`.
    Raises SourceRefused, whose text says what to do, SourceAway, SourceFailed.
    """
    try:
        found = find_relation(driver, table)
        there = {column.name for column in found.columns if column.is_readable}
        own, named = ([name for name in names if name in there or not is_again] for names in (columns, filters))
        made = _Description(driver, found, list(key), own if columns else None, named)
        return made.make(unchecked=unchecked or is_again)
    except psycopg2.Error as error:
        raise source_failure(table[:100], error) from None


class _Description:
    """One description in the making."""

    def __init__(
        self, driver: PsycopgConnection, found: Relation, key: list[str], columns: list[str] | None, filters: list[str]
    ) -> None:
        """`columns` are those that may be features; None: all that can."""
        self._driver = driver
        self._found = found
        self._name = f"{found.schema}.{found.name}"
        self._looks = Looks(driver, found)
        self._notes = self._looks.notes
        self._asked = {*key, *(columns or ()), *filters}
        self._takes_all = columns is None
        self._key = self._choose_key(key)
        self._columns = self._choose_columns(columns)
        self._filters = self._choose_filters(filters)

    def make(self, *, unchecked: bool) -> dict[str, Any]:
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
        self._looks.note_letters(source)
        if self._looks.unchecked:
            self._tell_unchecked(unchecked)
        if self._found.has_row_security:
            self._notes.append(
                "Row security is active for the worker's database role: rows that it hides are unknown clients."
            )
        if self._found.kind in ("view", "materialised view", "foreign table"):
            self._notes.append(f"It is a {self._found.kind}, which carries no NOT NULL: every column may be null.")
        if self._found.foreign:
            self._notes.append(foreign_words(self._found.foreign))
        hidden = [column.name for column in self._found.columns if not column.is_readable]
        if hidden and self._takes_all:
            hidden_columns = count_of(len(hidden), "column is", "columns are")
            them = "it" if len(hidden) == 1 else "them"
            self._notes.append(
                f"{hidden_columns} hidden from the worker's database role. To have {them} for features, too, let the "
                f"role read {them} and check the source again: {self._grants(hidden)[1]}"
            )
        if not self._columns:
            self._notes.append("No column can be a feature: models of this source could be fed by uploads alone.")
        fractions = self._looks.null_fractions(source)
        widths = self._looks.widths(source)
        measured = replace(source, measured={"column_bytes": widths})
        seconds, is_scan = self._looks.measure(source, rows_of_a_page(measured, widths, most=KEYS))
        if is_scan:
            self._notes.append(slow_words(seconds))
        rows, is_exact = self._looks.count(source)
        return {
            "schema": self._found.schema,
            "relation": self._found.name,
            "kind": self._found.kind,
            "key": [{"name": column.name, "type": column.type} for column in self._key],
            "columns": [column_json(column, fractions.get(column.name)) for column in self._columns],
            "filters": [column_json(column, None) for column in self._filters],
            "labels": self._labels(),
            "not_features": self._not_features(),
            "left_out": self._left_out(),
            "rows": rows,
            "is_exact": is_exact,
            "seconds": seconds,
            "is_scan": is_scan,
            "is_indexed": self._is_indexed(),
            "row_bytes": sum(widths.values()) or None,
            "column_bytes": widths,
            "notes": self._notes,
            "grants": self._grants(self._used_columns()),
            "gateway_grants": self._gateway_grants(),
        }

    def _choose_key(self, names: list[str]) -> list[CatalogueColumn]:
        names = names or self._candidate()
        key = [self._readable(name, "key") for name in names]
        for column in key:
            if column.type not in KEY_TYPES:
                types = ", ".join(kind for kind in KEY_TYPES if kind != CITEXT_OF_ASCII)
                raise SourceRefused(f"{column.name} of {self._name} is {column.type}, and a key is one of {types}.")
            if not column.is_deterministic:
                raise SourceRefused(
                    f"{column.name} of {self._name} has a collation that takes different texts for equal, so that keys "
                    'have no form of their own. Make a view that gives it another: COLLATE "C".'
                )
        if len(set(names)) < len(names):
            raise SourceRefused("The key names a column twice.")
        if not any(column.type == "citext" for column in key):
            return key
        kind = look_at_citext(self._driver).kind
        return [replace(column, type=kind) if column.type == "citext" else column for column in key]

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

    def _choose_columns(self, names: list[str] | None) -> list[CatalogueColumn]:
        if names is not None:
            chosen = [self._readable(name, "feature") for name in names]
            wrong = next((column for column in chosen if column.type not in FEATURE_TYPES), None)
            if wrong is not None:
                raise SourceRefused(f"{wrong.name} of {self._name} is {wrong.type}, which cannot be a feature.")
            return chosen
        return self._possible()

    def _possible(self) -> list[CatalogueColumn]:
        """The columns that can be features, as far as nobody has chosen some."""
        keys = {column.name for column in self._key}
        return [
            column
            for column in self._found.columns
            if column.is_known_type and column.is_readable and column.type in FEATURE_TYPES and column.name not in keys
        ]

    def _left_out(self) -> list[str]:
        """The names of those that were not chosen where some were."""
        chosen = {column.name for column in self._columns}
        return [column.name for column in self._possible() if column.name not in chosen]

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
            lines = " ".join(self._grants(lacking))
            shown = ", ".join(lacking)[:1000]
            raise SourceRefused(f"The worker's database role may not read {shown} of {self._name}. {lines}")
        return column

    def _is_asked(self, name: str) -> bool:
        return self._takes_all or name in self._asked

    def _labels(self) -> dict[str, list[str]]:
        """The labels of each enum that a filter may name, where they are not too many to be kept."""
        used = (*self._columns, *self._filters)
        return {column.name: list(column.labels) for column in used if 0 < len(column.labels) <= _MOST_LABELS}

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
        if must_look and self._looks.has_null_keys(source, [column.name for column in must_look]):
            count = self._looks.count_null_keys(source, [column.name for column in must_look])
            raise SourceRefused(
                f"Rows of {self._name} have no {names}{f' ({count:,} of them)' if count else ''}: a key is never null. "
                "Choose other columns, or a view without these rows."
            )
        if self._looks.has_lowest_keys(source):
            raise SourceRefused(
                f"A row of {self._name} has the lowest bigint, -9223372036854775808, in {names}, which no key can "
                "have. Choose other columns, or a view without this row."
            )
        if not self._is_unique_by_index() and self._looks.has_duplicates(source):
            raise SourceRefused(
                f"Rows of {self._name} share one {names}: a key names one client. Choose more columns for the key, or "
                "a view with one row for each client."
            )

    def _tell_unchecked(self, is_taken: bool) -> None:
        """Raise SourceRefused where a key is taken that is not known to be one, unless somebody answers for it."""
        names = ", ".join(column.name for column in self._key)
        what = " and ".join(self._looks.unchecked)
        outcome = (
            "Rows without a key are left out of every job and counted nowhere; rows that share one are not answered "
            "(ambiguous_key)."
        )
        if not is_taken:
            raise SourceRefused(
                f"It takes too long to see of {names} of {self._name} {what}. A unique index on columns that are NOT "
                f"NULL says it at once, and so does a table made of the view. {outcome} If you know that all is well: "
                'add --unchecked ("unchecked": true in a call).'
            )
        self._notes.append(f"Taken unchecked: {what}. {outcome}")

    def _grants(self, columns: list[str]) -> list[str]:
        """What the worker's role needs to read these columns."""
        return grant_lines(self._found.schema, self._found.name, columns, current_role(self._driver))

    def _used_columns(self) -> list[str]:
        return list(dict.fromkeys(column.name for column in (*self._key, *self._columns, *self._filters)))

    def _gateway_grants(self) -> list[str]:
        """What the gateway's role lacks to look keys up, so that an unknown client is a 404 at once."""
        gateway = gateway_role(self._driver)
        key = [column.name for column in self._key]
        if gateway is None or may_read(self._driver, self._found.oid, key, gateway):
            return []
        return grant_lines(self._found.schema, self._found.name, key, gateway)
