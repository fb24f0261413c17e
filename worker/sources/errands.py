"""What callers who wait want of sources: a description, a check of what changed, a count."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case
from sqlalchemy import Connection, Engine, text

from shared.json_text.reading import read_json
from shared.models.signature import Signature
from shared.models.source_changes import Columns, broken_features, columns_of, columns_seen
from shared.postgres.engine import autocommit, driver_connection, transaction
from shared.sentences import Sentence, members_of
from shared.sources.description import CHOSEN_COLUMNS, source_from
from shared.sources.errors import SourceRefused
from shared.sources.selection import count_query, first_keys_query, selection_query
from shared.sources.source import KeyColumn, Source, get_source, live_models, update_source
from shared.sources.sql import quoted
from worker.sources.citext import find_citext, has_citext
from worker.sources.connections import Remote
from worker.sources.describing.catalogue import READABLE, RelationMissing
from worker.sources.describing.description import describe
from worker.sources.failures import source_failure
from worker.sources.statements import session

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COUNT_SECONDS = 25.0
_KEYS_SECONDS = 3.0  # for the first keys of a filter, which only show what was counted
_KEPT_CHANGES = 20  # of a source, the newest


class SourceErrands:
    """The errands about sources. `engine` leads to predictq's own database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """`describe_source`: {url_variable, table, key, columns, filters, settings, unchecked} to
        what was found.
        """
        variable = arguments.get("url_variable") or None
        if variable is not None and not _VARIABLE.fullmatch(variable):
            raise SourceRefused("--url-env takes the name of an environment variable, and no address.")
        asked = replace(_unnamed(str(arguments["table"]), variable), settings=arguments.get("settings") or {})
        with self._connected(asked) as driver:
            found = describe(
                driver,
                str(arguments["table"]),
                key=arguments.get("key") or (),
                columns=arguments.get("columns") or (),
                filters=arguments.get("filters") or (),
                unchecked=bool(arguments.get("unchecked")),
            )
        if variable is None and found["schema"] == "predictq" and found["relation"] not in READABLE:
            here, there = (f"{place}.{quoted(found['relation'])}" for place in ("predictq", "public"))
            raise SourceRefused(
                f"{here} stands in predictq's own schema, which is no place for a table of yours: each migration takes "
                f"the rights on it away. If you have made it, move it (ALTER TABLE {here} SET SCHEMA public) and name "
                f"it as {there}."
            )
        return found

    def check(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """`check_source`: {source_id} to what was found, what changed since the last check and since the source was
        added, and which live versions that breaks.
        """
        with autocommit(self._engine) as connection:
            source = get_source(connection, int(arguments["source_id"]))
        try:
            with self._connected(source) as driver:
                found = describe(
                    driver,
                    f"{quoted(source.schema)}.{quoted(source.relation)}",
                    key=[column.name for column in source.key],
                    columns=source.settings.get(CHOSEN_COLUMNS, ()),
                    filters=[column.name for column in source.filters],
                    is_again=True,
                )
        except RelationMissing:
            raise SourceRefused(self._gone(source)) from None
        now = source_from(source.name, source.url_variable, found)
        if now.key != source.key:
            raise SourceRefused(
                f"The key of {source.name} has another type now, and its pages would not fit: add it as a new source."
            )
        with transaction(self._engine) as connection:
            at = datetime.now(UTC)
            seen = _seen(source, now, at)
            broken = _broken(connection, source.id, seen)
            kept = {**now.settings, **{name: value for name, value in source.settings.items() if name != "is_indexed"}}
            changes = _changes(source, now)
            measured = {**now.measured, **_history(source, changes, at), "broken": broken, "seen": seen}
            update_source(connection, replace(now, id=source.id, settings=kept, measured=measured))
        since_added = _column_changes(seen[0][1], seen[-1][1])
        return {**found, "changes": changes, "since_added": since_added, "broken": broken}

    def _gone(self, source: Source) -> str:
        with autocommit(self._engine) as connection:
            models = live_models(connection, source.id)
        breaks = f" That breaks what is live of {', '.join(models)}." if models else ""
        return (
            f"{source.schema}.{source.relation} is gone since {source.name} was added, or may not be seen any more."
            f"{breaks} Make it again or give the right to see it, and check once more; or take the source out of use: "
            f"predictq sources remove {source.name}"
        )

    def count(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """`count`: {source_id, where, first_keys} to {count, first_keys}: so many keys, as client ids in JSON.

        null where none were asked for, or where to find them takes too long beside the counting.
        """
        with autocommit(self._engine) as connection:
            source = get_source(connection, int(arguments["source_id"]))
        query, parameters = count_query(source, arguments.get("where") or {})
        with self._connected(source) as driver, driver.cursor() as cursor:
            try:
                cursor.execute(session(source, statement_seconds=_COUNT_SECONDS) + query, parameters)
                row = cursor.fetchone()
                first_keys = self._first_keys(driver, source, arguments)
            except psycopg2.Error as error:
                raise source_failure(source.name, error) from None
        return {"count": int(row[0]) if row else 0, "first_keys": first_keys}

    def _first_keys(self, driver: PsycopgConnection, source: Source, arguments: dict[str, Any]) -> list[Any] | None:
        if not arguments.get("first_keys"):
            return None
        schema = find_citext(driver, source).schema if has_citext(source) else None
        query, parameters = first_keys_query(
            source, arguments.get("where") or {}, most=int(arguments["first_keys"]), citext_schema=schema
        )
        with driver.cursor() as cursor:
            try:
                cursor.execute(session(source, statement_seconds=_KEYS_SECONDS) + query, parameters)
            except psycopg2.errors.QueryCanceled:
                return None
            form = source.key_form
            return [form.natural(form.of_source(form.join(row))) for row in cursor.fetchall()]

    def features(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """`read_features`: {source_id, key, features} to {found, features}, as PostgreSQL writes them in JSON.

        Without `features` all columns that predictq may read.
        """
        with autocommit(self._engine) as connection:
            source = get_source(connection, int(arguments["source_id"]))
        if "features" in arguments:
            wanted = [name for name in arguments["features"] if source.column(name) is not None]
        else:
            key_columns = [column.name for column in source.key]
            wanted = [*key_columns, *(column.name for column in (*source.columns, *source.filters))]
        names = {name: f"c.{quoted(name)}" for name in wanted}
        parts = source.key_form.parts(str(arguments["key"]))
        where = {column.name: part for column, part in zip(source.key, parts, strict=True)}
        with self._connected(source) as driver, driver.cursor() as cursor:
            try:
                schema = find_citext(driver, source).schema if has_citext(source) else None
                query, values = selection_query(source, where, after=None, citext_schema=schema, features=names)
                cursor.execute(session(source, statement_seconds=_COUNT_SECONDS) + query, values)
                row = _row_of(cursor, source, str(arguments["key"]))
            except psycopg2.Error as error:
                raise source_failure(source.name, error) from None
        if row is None:
            return {"found": False, "features": {}}
        # An element of an array of texts: in quotes, each quote and backslash in it after a backslash.
        return {"found": True, "features": read_json(_ESCAPED.sub(r"\1", row[1][1:-1])) if names else {}}

    @contextmanager
    def _connected(self, source: Source) -> Iterator[PsycopgConnection]:
        if source.url_variable is None:
            with autocommit(self._engine) as connection:
                yield driver_connection(connection)
            return
        remote = Remote(source.url_variable)
        try:
            with remote.connected(source) as driver:
                yield driver
        except psycopg2.Error as error:
            raise source_failure(source.name, error) from None
        finally:
            remote.close()


def _row_of(cursor: Any, source: Source, key: str) -> Any:
    """The first row of this key. A locale may take more texts for one than the canonical form does."""
    form = source.key_form
    if not form.has_citext:
        return cursor.fetchone()
    return next((row for row in cursor if form.of_source(_ESCAPED.sub(r"\1", row[0][1:-1])) == key), None)


def _unnamed(table: str, variable: str | None) -> Source:
    return Source(0, table[:100], variable, "", "", (KeyColumn("k", "text"),))


def _changes(before: Source, now: Source) -> list[Sentence]:
    """What is otherwise than when the source was added or checked last, a sentence each."""
    found = _column_changes(columns_of(before), columns_of(now))
    found += [
        Sentence(
            f"{column.name}, which filters may name, is gone, or may not be read any more.",
            "filter-column-gone",
            name=column.name,
        )
        for column in before.filters
        if column.name not in {other.name for other in now.filters}
    ]
    found += _label_changes(before.measured.get("labels") or {}, now.measured.get("labels") or {})
    if before.is_scan != now.is_scan:
        slow = Sentence("It is too slow to be read by key now.", "too-slow-by-key")
        found.append(slow if now.is_scan else Sentence("It is quick enough to be read by key now.", "quick-by-key"))
    return found


def _column_changes(before: Columns, now: Columns) -> list[Sentence]:
    """A sentence for each column that came, went or is another."""
    found = []
    for name, (kind, is_nullable) in before.items():
        if name not in now:
            found.append(Sentence(f"{name} is gone, or may not be read any more.", "column-gone", name=name))
            continue
        other, may_be_null = now[name]
        if other != kind:
            text = f"{name} was {kind} and is {other}."
            found.append(Sentence(text, "column-of-another-type", name=name, before=kind, now=other))
        elif may_be_null and not is_nullable:
            found.append(Sentence(f"{name} may be null now.", "column-may-be-null", name=name))
        elif is_nullable and not may_be_null:
            found.append(Sentence(f"{name} is never null now.", "column-never-null", name=name))
    return [*found, *(Sentence(f"{name} is new.", "column-new", name=name) for name in now if name not in before)]


def _label_changes(before: Mapping[str, Sequence[str]], now: Mapping[str, Sequence[str]]) -> list[Sentence]:
    """A sentence for each enum that has other labels. A model may not know those that came."""
    found = []
    for name in sorted(before.keys() & now.keys()):
        came = [label for label in now[name] if label not in before[name]]
        went = [label for label in before[name] if label not in now[name]]
        if came:
            text = f"{name} has new labels: {', '.join(came)}. A model may not have learnt them."
            found.append(Sentence(text, "labels-came", name=name, values=came))
        if went:
            text = f"{name} has these labels no longer: {', '.join(went)}."
            found.append(Sentence(text, "labels-went", name=name, values=went))
    return found


def _seen(before: Source, now: Source, at: datetime) -> list[tuple[str, Columns]]:
    """What is kept of the columns, with those of this check."""
    seen = columns_seen(before)
    if seen[-1][1] != columns_of(now):
        seen.append((at.isoformat(timespec="microseconds"), columns_of(now)))
    return [seen[0], *seen[1:][-_KEPT_CHANGES:]]


def _history(before: Source, changes: Sequence[str], at: datetime) -> dict[str, Any]:
    """What is kept of checks: when the last was, and what the last ones found; in `told` for other languages, too."""
    checked = at.isoformat(timespec="seconds")
    known = list(before.measured.get("history", ()))
    if changes:
        told = [{"detail": str(change), **members_of(change)} for change in changes]
        known = [{"at": checked, "changes": list(changes), "told": told}, *known][:_KEPT_CHANGES]
    return {"checked_at": checked, "history": known}


def _broken(connection: Connection, source_id: int, seen: Sequence[tuple[str, Columns]]) -> list[dict[str, Any]]:
    """The live versions that need a column which is gone, or of another type than when they were registered."""
    rows = connection.execute(
        text("""SELECT v.model, v.version, v.signature, v.created_at FROM predictq.models m
                JOIN predictq.model_versions v ON v.id = m.live_version_id WHERE v.source_id = :id ORDER BY v.model"""),
        {"id": source_id},
    )
    broken = []
    for row in rows:
        found = broken_features(Signature.from_json(row.signature).names, row.created_at, seen)
        if found:
            what = {"lacking": list(found.lacking), "changed": list(found.changed)}
            broken.append({"model": row.model, "version": row.version, **what})
    return broken
