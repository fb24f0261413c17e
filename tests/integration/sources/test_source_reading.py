"""Reading features from any table on a real PostgreSQL: exactly what is stored, or a stated error of one row."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812

from devstack.servers.postgres import EmbeddedPostgres
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.sources.key_types import CITEXT_OF_ASCII
from shared.sources.sql import key_sql
from tests.integration.sources.source_support import connect, fetch, numbers, run, source, values, wanted, words
from worker.sources.citext import Citext, find_citext
from worker.sources.columns import plan_columns
from worker.sources.failures import SourceAway, SourceFailed
from worker.sources.key_columns import Keys, wanted_keys
from worker.sources.reading import read_features
from worker.sources.statements import query_by_keys, session


def a_time(name: str, dtype: str = "datetime64[us]") -> FeatureSpec:
    """A feature that is a time."""
    return FeatureSpec(name, FeatureKind.DATETIME, nullable=True, dtype=dtype)


def naive(*parts: int) -> datetime:
    """A time without a zone."""
    return datetime(*parts)  # type: ignore[arg-type,misc]  # noqa: DTZ001


KEYED = [
    ("smallint", "smallint", "n::smallint", [1, 2, 3], [4]),
    ("integer", "integer", "n", [1, 2, 3], [2**31 - 1]),
    ("bigint", "bigint", "n", [1, 2, 3], [2**62]),
    ("numeric", "numeric(6,2)", "n + 0.50", ["3.5", "1.5"], ["1.51"]),
    ("text", "text", """E'k\\\\"''{},\\n é' || n""", ["k\\\"'{},\n é1", "k\\\"'{},\n é3"], ["k1", "NULL", ""]),
    ("varchar", "varchar(9)", "'é' || n", ["é2", "é1"], ["É2", "é2 "]),
    ("char", "char(5)", "'c' || n", ["c2", "c1"], ["C2"]),
    ("uuid", "uuid", "('00000000-0000-0000-0000-00000000000' || n)::uuid", [str(UUID(int=2)), str(UUID(int=1))], []),
    ("date", "date", "date '2025-01-31' + n", ["2025-02-02", "2025-02-01"], ["infinity"]),
    ("citext (A-Z)", "citext", "'Key' || n", ["key2", "key1"], ["key9"]),
]


@pytest.mark.parametrize(("kind", "declared", "made", "asked", "unknown"), KEYED, ids=[row[0] for row in KEYED])
def test_clients_are_found_by_keys_of_every_type(
    driver: PsycopgConnection, kind: str, declared: str, made: str, asked: list[Any], unknown: list[Any]
) -> None:
    """In the column's own type, and by its index: as text a citext key would find nobody, without an error."""
    run(driver, "CREATE EXTENSION IF NOT EXISTS citext")
    run(
        driver,
        f"CREATE TABLE t (k {declared} PRIMARY KEY, v integer); "
        f"INSERT INTO t SELECT {made}, n FROM generate_series(1, 3) n",
    )
    things = source("t", {"k": kind}, {"v": "integer"})
    citext = Citext("public", kind, "") if kind == CITEXT_OF_ASCII else None
    found = read_features(driver, things, numbers("v"), wanted([*asked, *unknown]), citext=citext)
    assert values(found) == [float(str(key).rstrip("5").rstrip(".")[-1]) for key in asked] + [None] * len(unknown)
    assert not len(found.ambiguous)
    assert not len(found.refused)


@pytest.mark.parametrize("kind", ["bigint", "text", "uuid", "composite"])
def test_keys_are_looked_up_in_their_index_whatever_the_memory(driver: PsycopgConnection, kind: str) -> None:
    """With much memory the planner would hash the whole table."""
    run(
        driver,
        """CREATE TABLE t AS SELECT n, n::text AS s, md5(n::text)::uuid AS u, n % 7 AS a, 'x' || n AS b, n AS v
                   FROM generate_series(1, 50000) n""",
    )
    column = {"bigint": "n", "text": "s", "uuid": "u", "composite": "a, b"}[kind]
    run(driver, f"CREATE UNIQUE INDEX found ON t ({column}); ANALYZE t; SET work_mem = '512MB'")
    keys = range(1, 50_000, 10)
    asked: Keys = np.array(keys, np.int64)
    if kind == "composite":
        asked = pa.array([f'["{n % 7}","x{n}"]' for n in keys])
        things = source("t", {"a": "integer", "b": "text"}, {"v": "integer"}, settings={"is_indexed": True})
    else:
        if kind != "bigint":
            asked = pa.array(fetch(driver, f"SELECT {column}::text FROM t WHERE n % 10 = 1 ORDER BY n"))
        things = source("t", {column: kind}, {"v": "integer"})
    query = query_by_keys(driver, things, key_sql(things.key, None), plan_columns(things, numbers("v")), asked)
    plan = "\n".join(fetch(driver, f"{session(things)}EXPLAIN {query}"))
    assert "found" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "Hash" not in plan, plan
    assert values(read_features(driver, things, numbers("v"), asked)) == list(keys)


def test_composite_keys_are_found_column_by_column(driver: PsycopgConnection) -> None:
    """Thousands of them, in one statement; each column in its own type."""
    run(
        driver,
        """CREATE TABLE t (a text, b integer, v integer, PRIMARY KEY (a, b));
                   INSERT INTO t SELECT 'x"' || n % 3, n, n FROM generate_series(1, 10000) n""",
    )
    asked = [f'["x\\"{n % 3}","{n}"]' for n in range(10_000, 0, -1)] + ['["x\\"0","1"]']
    things = source("t", {"a": "text", "b": "integer"}, {"v": "integer"})
    found = read_features(driver, things, numbers("v"), wanted(asked))
    assert values(found) == [*range(10_000, 0, -1), None]


@pytest.mark.parametrize("schema", ["public", "other"])
def test_citext_is_compared_as_its_database_does(driver: PsycopgConnection, schema: str) -> None:
    """Wherever the extension was put."""
    run(driver, f'CREATE SCHEMA IF NOT EXISTS "{schema}"; CREATE EXTENSION citext SCHEMA "{schema}"')
    run(
        driver,
        f"""CREATE TABLE t (k "{schema}".citext, v integer); INSERT INTO t VALUES ('Ab', 1), ('É', 2), ('é', 3)""",
    )
    things = source("t", {"k": CITEXT_OF_ASCII}, {"v": "integer"})
    citext = find_citext(driver, things)
    assert citext.schema == schema
    found = read_features(driver, things, numbers("v"), wanted(["ab", "é", "zz"]), citext=citext)
    assert values(found) == [1, 3, None]


def test_letters_beside_citext_in_a_key_are_no_hindrance(driver: PsycopgConnection) -> None:
    """Only the part that is citext is compared by small letters."""
    run(driver, "CREATE EXTENSION IF NOT EXISTS citext")
    run(
        driver, """CREATE TABLE t (k citext, n text, v integer); INSERT INTO t VALUES ('Ab', 'Île', 1), ('É', 'a', 2)"""
    )
    things = source("t", {"k": "citext", "n": "text"}, {"v": "integer"})
    asked = wanted(['["ab","Île"]', '["é","a"]'])
    found = read_features(driver, things, numbers("v"), asked, citext=Citext("public", "citext", "Éé"))
    assert values(found) == [1, None]
    assert found.refused.tolist() == [1]


def test_names_of_any_kind_are_names(driver: PsycopgConnection) -> None:
    """Reserved words, quotes, dots, other alphabets, 63 bytes, and names like ours."""
    names = ["select", 'a "quoted" one', "a.b", "Âge", "key", "f0", "n", "k0", "%s", "x" * 63, "ключ" * 7, "c"]
    quoted = [name.replace('"', '""') for name in names]
    columns = ", ".join(f'"{name}" integer' for name in quoted)
    run(driver, 'CREATE SCHEMA other; CREATE TABLE other."or""der" ("group" integer PRIMARY KEY, ' + columns + ")")
    run(driver, 'INSERT INTO other."or""der" SELECT ' + ", ".join(map(str, range(13))))
    things = source('or"der', {"group": "integer"}, dict.fromkeys(names, "integer"), schema="other")
    found = read_features(driver, things, numbers(*reversed(names)), wanted([0]))
    assert [values(found, n)[0] for n in range(12)] == list(range(12, 0, -1))


def test_a_feature_that_no_column_has_is_said(driver: PsycopgConnection) -> None:
    """Also where its name begins as that of a column: PostgreSQL cuts names off at 63 bytes."""
    run(driver, f"CREATE TABLE t (k integer, {'x' * 63} integer); INSERT INTO t VALUES (1, 7)")
    things = source("t", {"k": "integer"}, {"x" * 63: "integer"})
    found = read_features(driver, things, numbers("x" * 64), wanted([1]))
    assert (found.lacking, values(found)) == ("x" * 64, [None])


def test_decimals_and_reals_are_the_nearest_doubles(driver: PsycopgConnection) -> None:
    """As training reads them: numeric to the last bit, and real by its shortest text."""
    run(
        driver,
        """CREATE TABLE t AS SELECT n AS k, (random() * 1e10)::numeric(12,2) AS a, random()::numeric AS b,
                   random()::real AS c, (random() * 1e-300)::float8 AS d,
                   (random() * 1e17)::numeric(20,3) AS e FROM generate_series(1, 20000) n""",
    )
    run(
        driver,
        "INSERT INTO t VALUES (20001, 5436249914.65, 0.1, 0.64, 5e-324, 9007199254740993), "
        "(20002, -0.01, 1e-400, '-0', '-0', 0), (20003, NULL, 123456789012345678901234567890.5, 1e38, 1.797e308, 1)",
    )
    things = source(
        "t", {"k": "integer"}, {"a": "numeric", "b": "numeric", "c": "real", "d": "double precision", "e": "numeric"}
    )
    found = read_features(driver, things, numbers("a", "b", "c", "d", "e"), wanted(list(range(1, 20_004))))
    for number, name in enumerate("abcde"):
        exact = [None if value is None else float(value) for value in fetch(driver, f"SELECT {name} FROM t ORDER BY k")]
        read = values(found, number)
        assert read == exact
        assert [math.copysign(1, v) for v in read if v is not None] == [
            math.copysign(1, v) for v in exact if v is not None
        ]
    assert isinstance(fetch(driver, "SELECT a FROM t LIMIT 1")[0], Decimal)


def test_what_is_no_number_is_not_taken_for_a_missing_one(driver: PsycopgConnection) -> None:
    """NaN and infinity are values, apart from NULL."""
    run(
        driver,
        """CREATE TABLE t (k integer, d float8, n numeric);
                   INSERT INTO t VALUES (1, 'NaN', 'NaN'), (2, NULL, NULL), (3, 'Infinity', '-Infinity'), (4, 1, 1)""",
    )
    things = source("t", {"k": "integer"}, {"d": "double precision", "n": "numeric"})
    found = read_features(driver, things, numbers("d", "n"), wanted([1, 2, 3, 4]))
    assert [str(value) for value in values(found)] == ["nan", "None", "inf", "1.0"]
    assert [str(value) for value in values(found, 1)] == ["nan", "None", "-inf", "1.0"]
    assert not found.misfits


def test_big_whole_numbers_are_exact(driver: PsycopgConnection) -> None:
    """2⁵³ + 1 beside a null, and from a column of decimals."""
    run(
        driver,
        """CREATE TABLE t (k integer, v bigint, w numeric(40,2), x float8); INSERT INTO t
                   VALUES (1, 9007199254740993, 9007199254740993, 1e15), (2, NULL, NULL, NULL), (3, -1, 1.5, 1.5),
                   (4, 0, 1e29, 1e300)""",
    )
    features = tuple(FeatureSpec(name, FeatureKind.INTEGER, nullable=True) for name in "vwx")
    things = source("t", {"k": "integer"}, {"v": "bigint", "w": "numeric", "x": "double precision"})
    found = read_features(driver, things, Signature(features), wanted([1, 2, 3, 4]))
    assert values(found) == [2**53 + 1, None, -1, 0]
    assert values(found, 1) == [2**53 + 1, None, None, None]
    assert values(found, 2) == [10**15, None, None, None]
    assert found.misfits == {2: "w", 3: "w"}


@pytest.mark.parametrize("first", ["\ufeffa", "\ufeff\ufeffa", "a"])
def test_a_key_may_begin_with_the_mark_of_a_file(driver: PsycopgConnection, first: str) -> None:
    """A file that was loaded with it left it in the first key: that is another client than the one without."""
    keys = ["a", "\ufeffa", "\ufeff\ufeffa"]
    run(driver, "CREATE TABLE t (k text, v integer)")
    for key in sorted(keys, key=lambda key: key != first):  # the first row is the first that is read
        run(driver, "INSERT INTO t VALUES (%s, %s)", key, len(key))
    things = source("t", {"k": "text"}, {"v": "integer"})
    assert values(read_features(driver, things, numbers("v"), wanted(keys))) == [1, 2, 3]
    assert values(read_features(driver, things, numbers("v"), wanted([first]))) == [len(first)]


def test_no_function_or_type_of_a_search_path_stands_in_for_ours(driver: PsycopgConnection, address: str) -> None:
    """A schema that comes before the catalogue may have some of the same name."""
    run(
        driver,
        """CREATE TABLE t (k integer, b boolean, n numeric(9,2), d date);
        INSERT INTO t VALUES (1, true, 5, '2025-02-01');
        CREATE SCHEMA mine; CREATE DOMAIN mine.text AS varchar(2);
        CREATE FUNCTION mine.trim_scale(numeric) RETURNS numeric LANGUAGE sql AS 'SELECT 7.00';
        ALTER DATABASE strange SET search_path = mine, pg_catalog""",
    )
    odd = connect(address)
    kinds = {"b": "boolean", "n": "numeric", "d": "date"}
    whole: Any = (
        FeatureSpec("b", FeatureKind.CATEGORY),
        FeatureSpec("n", FeatureKind.INTEGER),
        a_time("d", "datetime64[us, UTC]"),
    )
    found = read_features(odd, source("t", {"k": "integer"}, kinds), Signature(whole), wanted([1]))
    odd.close()
    assert [values(found, place)[0] for place in range(3)] == ["true", 5, datetime(2025, 2, 1, tzinfo=UTC)]


def test_empty_texts_and_null_are_apart(driver: PsycopgConnection) -> None:
    """Whatever stands in a text: words that mean NULL elsewhere, line ends, quotes, blanks."""
    texts = ["", "NULL", "NaN", "\\N", "\\.", " ", "a\nb", "a\r\nb", 'q"q', "é,è", "\r", "None", "nan", "\t"]
    run(driver, "CREATE TABLE t (k integer, v text)")
    for number, text in enumerate(texts):
        run(driver, "INSERT INTO t VALUES (%s, %s)", number, text)
    run(driver, "INSERT INTO t VALUES (99, NULL)")
    things = source("t", {"k": "integer"}, {"v": "text"})
    found = read_features(driver, things, words("v"), wanted([*range(len(texts)), 99, 100]))
    assert values(found) == [*texts, None, None]
    assert found.places.tolist()[-2:] != [-1, -1]
    assert found.places[-1] == -1


@pytest.mark.parametrize("kind", ["integer", "text"])
def test_a_single_column_of_nulls_is_read(driver: PsycopgConnection, kind: str) -> None:
    """An empty line is a row, too."""
    run(driver, f"CREATE TABLE t (k integer, v {kind}); INSERT INTO t VALUES (1, NULL), (2, NULL), (3, '4')")
    things = source("t", {"k": "integer"}, {"v": kind})
    found = read_features(driver, things, words("v"), wanted([1, 2, 3, 4]))
    assert values(found) == [None, None, "4", None]
    assert (found.places >= 0).tolist() == [True, True, True, False]
    assert len(read_features(driver, things, Signature(()), wanted([1, 2, 9])).places) == 3


def test_types_of_texts_are_read_as_texts(driver: PsycopgConnection) -> None:
    """Enum, uuid, char with its blanks, citext as it is written, a domain, an identifier that looks like a number."""
    run(
        driver,
        """CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'très gai');
                   CREATE DOMAIN code AS varchar(5) CHECK (value <> 'x');
                   CREATE TABLE t (k integer, a mood, b uuid, c char(4), d citext, e code, f boolean, g integer);
                   INSERT INTO t
                   VALUES (1, 'très gai', '{A0EEBC99-9C0B4EF8-BB6D6BB9BD380A11}', 'ab', 'Ab', '007', true, 7)""",
    )
    kinds = {"a": "enum", "b": "uuid", "c": "char", "d": "citext", "e": "varchar", "f": "boolean", "g": "integer"}
    found = read_features(driver, source("t", {"k": "integer"}, kinds), words(*kinds), wanted([1]))
    read = [values(found, number)[0] for number in range(7)]
    assert read == ["très gai", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "ab  ", "Ab", "007", "true", "7"]


def test_truth_values_are_read_from_what_stands_for_them(driver: PsycopgConnection) -> None:
    """0 and 1 are; any other number is a stated error of its row. And the other way round."""
    run(
        driver,
        "CREATE TABLE t (k integer, a boolean, b integer); "
        "INSERT INTO t VALUES (1, true, 1), (2, NULL, NULL), (3, false, 2)",
    )
    things = source("t", {"k": "integer"}, {"a": "boolean", "b": "integer"})
    spec = Signature((FeatureSpec("a", FeatureKind.BOOLEAN), FeatureSpec("b", FeatureKind.BOOLEAN)))
    found = read_features(driver, things, spec, wanted([1, 2, 3]))
    assert (values(found), values(found, 1)) == ([True, None, False], [True, None, None])
    assert found.misfits == {2: "b"}
    assert values(read_features(driver, things, numbers("a"), wanted([1, 2, 3]))) == [1.0, None, 0.0]


@pytest.mark.parametrize(
    ("kind", "made", "read"),
    [
        ("smallint", "v::integer", [None, None]),
        ("double precision", "v::integer", [None, None]),
        ("text", "CASE WHEN v THEN 'yes' ELSE 'f' END", [None, False]),
        ("text", "CASE WHEN v THEN '' ELSE 'F' END", [None, None]),
        ("text", "CASE WHEN v THEN 't' ELSE 'f' END", [True, False]),
        ("date", "date '2025-02-01' + v::integer", [None, None]),
    ],
)
def test_what_is_no_flag_any_more_is_none(driver: PsycopgConnection, kind: str, made: str, read: list[Any]) -> None:
    """A boolean column whose type was changed costs its rows, and NULL stays NULL: False would be a silent lie."""
    run(driver, "CREATE TABLE t (k integer, v boolean); INSERT INTO t VALUES (1, true), (2, false)")
    run(driver, f"ALTER TABLE t ALTER v TYPE {kind} USING {made}; INSERT INTO t VALUES (3, NULL)")
    things = source("t", {"k": "integer"}, {"v": "boolean"})
    spec = Signature((FeatureSpec("v", FeatureKind.BOOLEAN, nullable=True),))
    found = read_features(driver, things, spec, wanted([1, 2, 3]))
    assert values(found) == [*read, None]
    assert {int(found.places.tolist().index(row)) for row in found.misfits} == {
        number for number, value in enumerate(read) if value is None
    }
    only_null = read_features(driver, things, spec, wanted([3]))
    assert (values(only_null), only_null.misfits) == ([None], {})


def test_a_flag_that_became_a_number_is_read_as_that_number(driver: PsycopgConnection) -> None:
    """A model that takes it as a number gets 0.7 and not 1; one that takes whole numbers refuses the row."""
    run(driver, "CREATE TABLE t (k integer, v boolean); INSERT INTO t VALUES (1, true), (2, false), (3, NULL)")
    things = source("t", {"k": "integer"}, {"v": "boolean"})
    whole = Signature((FeatureSpec("v", FeatureKind.INTEGER, nullable=True),))
    for spec in (numbers("v"), whole):
        assert values(read_features(driver, things, spec, wanted([1, 2, 3]))) == [1, 0, None]
    run(driver, "ALTER TABLE t ALTER v TYPE double precision USING CASE v WHEN true THEN 0.7 WHEN false THEN 12 END")
    assert values(read_features(driver, things, numbers("v"), wanted([1, 2, 3]))) == [0.7, 12.0, None]
    found = read_features(driver, things, whole, wanted([1, 2, 3]))
    assert (values(found), len(found.misfits)) == ([None, 12, None], 1)


def test_times_are_read_in_utc_and_only_bad_ones_cost_their_row(driver: PsycopgConnection) -> None:
    """Infinite dates, dates before Christ and after 9999 are stated errors of their rows; all other cells are equal."""
    run(
        driver,
        """SET TimeZone = 'Asia/Kolkata';
        CREATE TABLE t (k integer, d date, s timestamp, z timestamptz, v float8);
        INSERT INTO t VALUES (1, '2025-02-01', '2025-02-01 10:20:30.123456', '2025-02-01 10:20:30+02', 0.1),
        (2, 'infinity', '2025-02-01', '2025-02-01', 0.2), (3, '0044-03-15 BC', NULL, 'epoch', 0.3),
        (4, NULL, '-infinity', NULL, 0.4), (5, '1899-12-31', '1600-01-01', '12025-01-01', 0.5),
        (6, '9999-12-31', '0001-01-01', '1883-11-18 12:00+05:53:28', 0.6)""",
    )
    features: Any = (a_time("d"), a_time("s"), a_time("z", "datetime64[us, UTC]"), FeatureSpec("v", FeatureKind.NUMBER))
    kinds = {"d": "date", "s": "timestamp", "z": "timestamptz", "v": "double precision"}
    things = source("t", {"k": "integer"}, kinds)
    found = read_features(driver, things, Signature(features), wanted([1, 2, 3, 4, 5, 6]))
    assert {int(found.places.tolist().index(row)) + 1: name for row, name in found.misfits.items()} == {
        2: "d",
        3: "d",
        4: "s",
        5: "z",
    }
    assert values(found, 0)[0] == naive(2025, 2, 1)
    assert values(found, 0)[4:] == [naive(1899, 12, 31), naive(9999, 12, 31)]
    assert values(found, 1)[0] == naive(2025, 2, 1, 10, 20, 30, 123456)
    assert values(found, 2)[0] == datetime(2025, 2, 1, 8, 20, 30, tzinfo=UTC)
    assert values(found, 2)[5] == datetime(1883, 11, 18, 6, 6, 32, tzinfo=UTC)
    assert values(found, 3) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    swapped: Any = (a_time("z"), a_time("s", "datetime64[us, UTC]"), a_time("d", "datetime64[us, UTC]"))
    other = read_features(driver, things, Signature(swapped), wanted([1]))
    assert values(other, 0)[0] == naive(2025, 2, 1, 8, 20, 30)
    assert values(other, 1)[0] == datetime(2025, 2, 1, 10, 20, 30, 123456, tzinfo=UTC)
    assert values(other, 2)[0] == datetime(2025, 2, 1, tzinfo=UTC)


def test_settings_of_a_database_change_nothing(driver: PsycopgConnection, address: str) -> None:
    """Fewer digits, other dates, another time zone and encoding, and quotes that escape."""
    run(
        driver,
        """CREATE TABLE t (k text, v float8, r real, d date, z timestamptz, s text);
        INSERT INTO t VALUES (E'a\\\\''é', 0.1::float8 + 0.2::float8, 0.64, '2025-02-01', '1900-01-01', 'é€');
        ALTER DATABASE strange SET extra_float_digits = 0; ALTER DATABASE strange SET DateStyle = 'German, DMY';
        ALTER DATABASE strange SET TimeZone = 'Europe/Paris';
        ALTER DATABASE strange SET standard_conforming_strings = off;
        ALTER DATABASE strange SET escape_string_warning = off; ALTER DATABASE strange SET client_encoding = 'LATIN1';
        ALTER DATABASE strange SET search_path = 'nowhere'; ALTER DATABASE strange SET work_mem = '512MB'""",
    )
    features: Any = (
        *numbers("v", "r").features,
        a_time("d"),
        a_time("z", "datetime64[us, UTC]"),
        FeatureSpec("s", FeatureKind.CATEGORY),
    )
    kinds = {"v": "double precision", "r": "real", "d": "date", "z": "timestamptz", "s": "text"}
    odd = connect(address)
    found = read_features(odd, source("t", {"k": "text"}, kinds), Signature(features), wanted(["a\\'é"]))
    odd.close()
    read = [values(found, number)[0] for number in range(5)]
    assert read == [0.30000000000000004, 0.64, naive(2025, 2, 1), datetime(1900, 1, 1, tzinfo=UTC), "é€"]


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ({"k": "integer"}, list(range(1, 401))),
        ({"s": "text"}, [f"c{n}" for n in range(400, 0, -1)]),
        ({"s": "text", "k": "integer"}, [f'["c{n}","{n}"]' for n in range(1, 401)]),
    ],
    ids=["number", "text", "composite"],
)
def test_a_client_whose_row_raises_an_error_costs_no_other_its_features(
    driver: PsycopgConnection, key: dict[str, str], asked: list[Any]
) -> None:
    """A view divides by zero for one, and a function of its owner raises for another. Neither quotes a value."""
    run(
        driver,
        """CREATE TABLE t AS SELECT n AS k, 'c' || n AS s, n % 100 AS d FROM generate_series(1, 400) n;
        CREATE FUNCTION choosy(n integer) RETURNS integer LANGUAGE plpgsql STABLE AS
        $$BEGIN IF n = 77 THEN RAISE 'secret-%', n USING ERRCODE = 'UE001'; END IF; RETURN n; END$$;
        CREATE VIEW v AS SELECT k, s, 100 / d AS share, choosy(k) AS own FROM t""",
    )
    columns = {"share": "integer", "own": "integer"}
    found = read_features(driver, source("v", key, columns), numbers("share", "own"), wanted(asked))
    names = [str(one) for one in asked]
    number_of = {
        n: next(i for i, name in enumerate(names) if str(n) in re.findall("[0-9]+", name)) for n in range(401)[1:]
    }
    failing = {number_of[n]: "DivisionByZero (SQLSTATE 22012)" for n in (100, 200, 300, 400)}
    why = found.failed.pop(number_of[77])
    assert found.failed == failing
    assert "UE001" in why
    assert "secret" not in why
    read = values(found, 1)
    assert {n for n in range(1, 401) if read[number_of[n]] != n} == {77, 100, 200, 300, 400}
    assert not len(found.refused)


def test_an_error_of_all_rows_is_the_sources(driver: PsycopgConnection) -> None:
    """The batch is tried again then: whoever owns the view may mend it."""
    run(driver, "CREATE TABLE t AS SELECT n AS k FROM generate_series(1, 5) n")
    run(driver, "CREATE VIEW v AS SELECT k, 1 / (k - k) AS share FROM t")
    with pytest.raises(SourceFailed, match="DivisionByZero"):
        read_features(driver, source("v", {"k": "integer"}, {"share": "integer"}), numbers("share"), wanted([1, 2, 3]))


def test_a_byte_that_is_no_letter_costs_its_own_row(source_postgres: EmbeddedPostgres) -> None:
    """A database of SQL_ASCII keeps any bytes, and PostgreSQL refuses to send those that are no UTF-8."""
    admin = connect(source_postgres.url)
    run(admin, "CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    driver = connect(source_postgres.url.rpartition("/")[0] + "/bytes")
    run(driver, "SET client_encoding = 'SQL_ASCII'; CREATE TABLE t (k integer, v text)")
    run(driver, r"INSERT INTO t VALUES (1, 'a'), (2, E'caf\xe9'), (3, 'c')")
    run(driver, "SET client_encoding = 'UTF8'")
    found = read_features(driver, source("t", {"k": "integer"}, {"v": "text"}), words("v"), wanted([1, 2, 3]))
    assert values(found) == ["a", None, "c"]
    assert list(found.failed) == [1]
    driver.close()
    run(admin, "DROP DATABASE bytes WITH (FORCE)")
    admin.close()


def test_two_rows_of_one_key_are_ambiguous(driver: PsycopgConnection) -> None:
    """For whole numbers, texts and composite keys; the others are read."""
    run(
        driver,
        "CREATE TABLE t (k integer, s text, v integer); "
        "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (2, 'b', 3), (3, 'c', 4)",
    )
    for key, asked in (
        ({"k": "integer"}, [1, 2, 3, 4]),
        ({"s": "text"}, ["a", "b", "c", "d"]),
        ({"s": "text", "k": "integer"}, ['["a","1"]', '["b","2"]', '["c","3"]', '["d","4"]']),
    ):
        found = read_features(driver, source("t", key, {"v": "integer"}), numbers("v"), wanted(asked))
        assert found.ambiguous.tolist() == [1]
        assert [values(found)[n] for n in (0, 2, 3)] == [1, 4, None]


def test_one_bad_key_among_many_costs_its_row_alone(driver: PsycopgConnection) -> None:
    """One that the type refuses; found without asking for each."""
    run(
        driver,
        "CREATE TABLE t AS SELECT n AS k, md5(n::text)::uuid AS u, n::numeric AS d FROM generate_series(1, 1000) n",
    )
    asked: list[Any] = fetch(driver, "SELECT u::text FROM t ORDER BY k")
    asked[77], asked[500] = "abc", "not a uuid"
    found = read_features(driver, source("t", {"u": "uuid"}, {"k": "integer"}), numbers("k"), wanted(asked))
    assert found.refused.tolist() == [77, 500]
    assert [n + 1 if n not in (77, 500) else None for n in range(1000)] == values(found)
    small = read_features(
        driver, source("t", {"k": "integer"}, {"d": "numeric"}), numbers("d"), wanted([5, 99999999999])
    )
    assert (values(small), small.refused.tolist()) == ([5.0, None], [1])
    pair = source("t", {"k": "integer", "u": "uuid"}, {"d": "numeric"})
    both = read_features(
        driver, pair, numbers("d"), wanted([f'["5","{asked[4]}"]', '["5","abc"]', f'["99999999999","{asked[4]}"]'])
    )
    assert (values(both), both.refused.tolist()) == ([5.0, None, None], [1, 2])


def test_a_source_that_raises_is_named_without_values(driver: PsycopgConnection) -> None:
    """A view that divides by zero, a column that is gone, too many columns, a view that writes, one without rights."""
    run(
        driver,
        """CREATE TABLE t (k integer, v integer, secret text); INSERT INTO t VALUES (1, 0, 'hidden-1');
        CREATE VIEW divides AS SELECT k, 1 / v AS v FROM t;
        CREATE VIEW casts AS SELECT k, secret::integer AS v FROM t;
        CREATE FUNCTION writes() RETURNS integer LANGUAGE sql AS 'INSERT INTO t VALUES (2, 2) RETURNING 1';
        CREATE VIEW writing AS SELECT k, writes() AS v FROM t""",
    )
    kinds = {f"c{n}": "integer" for n in range(1700)}
    for relation, columns in (
        ("divides", ["v"]),
        ("casts", ["v"]),
        ("t", ["gone"]),
        ("nobody", ["v"]),
        ("writing", ["v"]),
        ("t", list(kinds)),
    ):
        things = source(relation, {"k": "integer"}, dict.fromkeys(columns, "integer"))
        with pytest.raises(SourceFailed) as caught:
            read_features(driver, things, numbers(*columns), wanted([1]))
        assert "hidden" not in str(caught.value)
        assert "SELECT" not in str(caught.value)
        assert caught.value.__cause__ is None
    assert fetch(driver, "SELECT count(*) FROM t") == [1]


def test_a_locked_source_is_away_and_a_slow_one_fails(driver: PsycopgConnection, address: str) -> None:
    """Within the time-outs of the source."""
    run(
        driver,
        "CREATE TABLE t (k integer, v integer); INSERT INTO t VALUES (1, 1); "
        "CREATE VIEW slow AS SELECT k, v FROM t, pg_sleep(60)",
    )
    settings = {"lock_seconds": 0.1, "statement_seconds": 0.3}
    locker = connect(address)
    locker.autocommit = False
    run(locker, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(SourceAway, match="locked"):
        read_features(
            driver, source("t", {"k": "integer"}, {"v": "integer"}, settings=settings), numbers("v"), wanted([1])
        )
    locker.close()
    with pytest.raises(SourceFailed, match="in time"):
        read_features(
            driver, source("slow", {"k": "integer"}, {"v": "integer"}, settings=settings), numbers("v"), wanted([1])
        )
    driver.close()
    with pytest.raises(SourceAway):
        read_features(driver, source("t", {"k": "integer"}, {"v": "integer"}), numbers("v"), wanted([1]))


def test_a_large_answer_is_one_table(driver: PsycopgConnection) -> None:
    """More than one block of text, with rows of any length."""
    run(driver, "CREATE TABLE t AS SELECT n AS k, repeat(chr(96 + n), 3000000) AS v FROM generate_series(1, 8) n")
    found = read_features(driver, source("t", {"k": "integer"}, {"v": "text"}), words("v"), wanted([1, 8]))
    assert [value[0] for value in values(found)] == ["a", "h"]
    assert (
        len(
            values(
                read_features(
                    driver, source("t", {"k": "integer"}, {"v": "text"}), words("v"), wanted(list(range(1, 9)))
                )
            )
        )
        == 8
    )


def test_wanted_keys_are_distinct_and_rows_know_theirs() -> None:
    """Whole numbers in rising order, texts as they come; rows without a key name none."""
    assert wanted_keys(np.array([1, 2, 5])).places is None
    asked = wanted_keys(np.array([5, np.iinfo(np.int64).min, 1, 5]))
    assert (asked.keys.tolist(), asked.places.tolist()) == ([1, 5], [1, -1, 0, 1])  # type: ignore[union-attr]
    texts = wanted_keys(pa.array(["b", None, "a", "b"]))
    assert (texts.keys.to_pylist(), texts.places.tolist()) == (["b", "a"], [0, -1, 1, 0])  # type: ignore[union-attr]
