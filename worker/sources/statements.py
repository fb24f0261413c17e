"""The SQL that reads features by key: settings of the transaction, a lock, then one COPY."""

from __future__ import annotations

import json

import numpy as np
import orjson
from psycopg2.extensions import QuotedString
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case

from shared.postgres.arrays import array_text
from shared.postgres.source_time_outs import LOCK, STATEMENT, time_out
from shared.sources.source import Source
from shared.sources.sql import SETTINGS, KeySql, hold_for, relation
from worker.sources.columns import INTEGERS, ReadingPlan
from worker.sources.key_columns import Keys


def session(source: Source, *, statement_seconds: float | None = None, by_keys: bool = True) -> str:
    """What is set for the transaction alone: nobody's settings may change a text, a plan, or how long it takes.

    Without `by_keys` the planner chooses as it likes: for a whole view its hash joins are right.
    """
    settings = source.settings
    lock = int(1000 * time_out(settings, LOCK))
    allowed = time_out(settings, STATEMENT) if statement_seconds is None else statement_seconds
    planner = "SET LOCAL enable_hashjoin = off; " if by_keys else ""
    if by_keys and settings.get("is_indexed") and len(source.key) > 1:
        planner += "SET LOCAL enable_mergejoin = off; "
    return (
        "SET LOCAL transaction_isolation = 'read committed'; SET LOCAL transaction_read_only = on; "  # see `hold`
        f"SET LOCAL lock_timeout = {lock}; "
        f"SET LOCAL statement_timeout = {int(1000 * float(allowed))}; "
        f"{planner}{SETTINGS}"
    )


def copy_by_keys(driver: PsycopgConnection, source: Source, key: KeySql, plan: ReadingPlan, wanted: Keys) -> str:
    """The lock, and the COPY of the wanted clients: the key (composite: its place in `wanted`), then the features."""
    query = query_by_keys(driver, source, key, plan, wanted)
    return f"{hold_for(source, query)}COPY ({query}) TO STDOUT (FORMAT csv)"


def query_by_keys(driver: PsycopgConnection, source: Source, key: KeySql, plan: ReadingPlan, wanted: Keys) -> str:
    """The query of that COPY."""
    arrays = [f"{literal(driver, text)}::{kind}[]" for text, kind in zip(_arrays(wanted, key), key.types, strict=True)]
    if len(key.columns) == 1:
        where = f"WHERE {key.columns[0]} {key.equals[0]} ANY ({arrays[0]})"
        return f"SELECT {key.texts[0]}{plan.select} FROM {relation(source)} c {where}"
    names = ", ".join(f"k{number}" for number in range(len(arrays)))
    pairs = zip(key.columns, key.equals, range(len(arrays)), strict=True)
    matches = " AND ".join(f"{column} {equals} k.k{number}" for column, equals, number in pairs)
    if key.settled:  # else the row of another key, whose strange letter the source takes for one of hers
        matches += f" AND {key.settled}"
    lists = ", ".join(f"pg_catalog.unnest({array})" for array in arrays)
    return (
        f"SELECT k.n - 1{plan.select} FROM ROWS FROM ({lists}) WITH ORDINALITY k ({names}, n) "
        f"JOIN {relation(source)} c ON {matches}"
    )


def probe(driver: PsycopgConnection, key: KeySql, wanted: Keys) -> str:
    """A statement that fails where a key is none of its column's type, and does nothing else."""
    arrays = [f"{literal(driver, text)}::{kind}[]" for text, kind in zip(_arrays(wanted, key), key.types, strict=True)]
    return f"SELECT {', '.join(f'pg_catalog.cardinality({array})' for array in arrays)}"


def _arrays(wanted: Keys, key: KeySql) -> list[str]:
    """PostgreSQL's text of an array for each column of the key."""
    if isinstance(wanted, np.ndarray):
        return ["{" + orjson.dumps(wanted, option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1] + "}"]
    texts: list[str] = wanted.to_pylist()
    if len(key.columns) == 1:
        return [array_text(texts)]
    if not texts:  # none of which can be asked
        return ["{}"] * len(key.columns)
    return [array_text(column) for column in zip(*map(json.loads, texts), strict=True)]


def literal(driver: PsycopgConnection, text: str) -> str:
    """A text as an SQL literal, as this connection's settings ask for."""
    if "'" not in text and "\\" not in text and text.isascii():
        return f"'{text}'"
    adapted = QuotedString(text)
    adapted.prepare(driver)
    return adapted.getquoted().decode("utf-8")


def key_is_number(source: Source) -> bool:
    """Whether the keys are whole numbers."""
    return len(source.key) == 1 and source.key[0].type in INTEGERS
