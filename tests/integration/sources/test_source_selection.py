"""Filters on any source, and planning its keys: in key order, exactly, from any key on. On a real PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

import pytest
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812
from pydantic import ValidationError

from api.schemas.sources import NewSource
from shared.errors import FilterRefused
from shared.sources.key_types import CITEXT_OF_ASCII
from shared.sources.lookup import lookup_of
from shared.sources.selection import count_query, selection_query
from shared.sources.source import SourceColumn
from tests.integration.sources.source_support import fetch, planned, run, source
from worker.planning.failures import PlanFailed
from worker.planning.key_lines import key_text

TEXTS = ["plain", 'q"q', "b\\s", "a,b", "{x}", "new\nline", "tab\tt", "é ключ", "NULL", " ", "'", "\\N", "\x7f", "\x01"]


def test_texts_of_any_kind_are_planned_as_they_are(driver: PsycopgConnection) -> None:
    """In key order; and read on after any of them, the rest comes, once."""
    run(driver, 'CREATE TABLE t ("50%% ""k""" text PRIMARY KEY)'.replace("%%", "%"))
    for text in TEXTS:
        run(driver, "INSERT INTO t VALUES (%s)", text)
    things = source("t", {'50% "k"': "text"}, {})
    expected = fetch(driver, "SELECT * FROM t ORDER BY 1")
    assert planned(driver, things, {}) == expected
    for number, key in enumerate(expected):
        assert planned(driver, things, {}, after=key) == expected[number + 1 :]


@pytest.mark.parametrize(
    ("kind", "declared", "made", "expected"),
    [
        ("smallint", "smallint", "n", ["-1", "0", "1"]),
        ("bigint", "bigint", "n * 1000000000000", ["-1000000000000", "0", "1000000000000"]),
        ("numeric", "numeric(9,3)", "n * 1.500", ["-1.5", "0", "1.5"]),
        (
            "uuid",
            "uuid",
            "lpad((n + 1)::text, 32, '0')::uuid",
            [f"00000000-0000-0000-0000-00000000000{n}" for n in range(3)],
        ),
        ("char", "char(6)", "'c' || n + 1", ["c0", "c1", "c2"]),
        ("date", "date", "date '2025-01-01' + n", ["2024-12-31", "2025-01-01", "2025-01-02"]),
        ("citext (A-Z)", "citext", "'Key' || n + 1", ["key0", "key1", "key2"]),
    ],
)
def test_keys_of_every_type_are_planned_in_their_canonical_form(
    driver: PsycopgConnection, kind: str, declared: str, made: str, expected: list[str]
) -> None:
    """Whatever the settings of the database say of dates."""
    run(driver, "CREATE EXTENSION citext; ALTER DATABASE strange SET DateStyle = 'German'")
    run(
        driver,
        f"CREATE TABLE t (k {declared}); INSERT INTO t VALUES (NULL); "
        f"INSERT INTO t SELECT {made} FROM generate_series(-1, 1) n",
    )
    things = source("t", {"k": kind}, {})
    assert planned(driver, things, {}) == expected
    assert planned(driver, things, {}, after=expected[0]) == expected[1:]
    assert [things.key_form.parse_text(key).canonical for key in expected] == expected


def test_composite_keys_are_planned_as_arrays(driver: PsycopgConnection) -> None:
    """The same text as a caller's key gets; and read on after any of them."""
    run(driver, "CREATE TABLE t (b integer, a text, PRIMARY KEY (a, b))")
    for number, text in enumerate(TEXTS):
        run(driver, "INSERT INTO t VALUES (%s, %s), (%s, %s)", number, text, -number - 1, text)
    things = source("t", {"a": "text", "b": "integer"}, {})
    keys = planned(driver, things, {})
    with driver.cursor() as cursor:
        cursor.execute("SELECT a, b FROM t ORDER BY a, b")
        rows = cursor.fetchall()
    assert keys == [things.key_form.parse({"a": a, "b": b}).canonical for a, b in rows]
    assert planned(driver, things, {}, after=keys[9]) == keys[10:]


def test_composite_keys_with_citext_are_planned_on_after_any_of_them(driver: PsycopgConnection) -> None:
    """Wherever the extension is: by the order of texts capitals come first, and some clients would be passed over."""
    run(driver, "CREATE SCHEMA apart; CREATE EXTENSION citext SCHEMA apart")
    run(driver, "CREATE TABLE t (a apart.citext, b integer, PRIMARY KEY (a, b))")
    for word in ("a", "B", "c", "D"):
        run(driver, "INSERT INTO t VALUES (%s, 1), (%s, 2)", word, word)
    things = source("t", {"a": CITEXT_OF_ASCII, "b": "integer"}, {})
    expected = [f'["{word}","{number}"]' for word in "abcd" for number in (1, 2)]
    assert planned(driver, things, {}) == expected
    for number, key in enumerate(expected):
        assert planned(driver, things, {}, after=key) == expected[number + 1 :]


def test_no_operator_of_a_search_path_stands_in_for_ours(driver: PsycopgConnection) -> None:
    """A schema that comes before the catalogue may have one of the same name: keys would be cut off."""
    run(
        driver,
        """CREATE TABLE t (a text, b integer, PRIMARY KEY (a, b)); INSERT INTO t VALUES ('x', 1), ('y', 2);
        CREATE SCHEMA mine;
        CREATE FUNCTION mine.first_of(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
        CREATE OPERATOR mine.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = mine.first_of);
        ALTER DATABASE strange SET search_path = mine, pg_catalog""",
    )
    assert planned(driver, source("t", {"a": "text", "b": "integer"}, {}), {}) == ['["x","1"]', '["y","2"]']


def test_no_operator_of_a_search_path_stands_in_for_the_gateways(driver: PsycopgConnection) -> None:
    """A client whom the table has would be refused as unknown."""
    run(
        driver,
        """CREATE TABLE t (a text, b integer, u uuid, c char(3)); INSERT INTO t VALUES ('x', 1, gen_random_uuid(), 'x');
        CREATE SCHEMA mine;
        CREATE FUNCTION mine.never(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
        CREATE FUNCTION mine.never(integer, integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
        CREATE FUNCTION mine.part(jsonb, integer) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT NULL::text';
        CREATE OPERATOR mine.= (LEFTARG = text, RIGHTARG = text, FUNCTION = mine.never);
        CREATE OPERATOR mine.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = mine.never);
        CREATE OPERATOR mine.->> (LEFTARG = jsonb, RIGHTARG = integer, FUNCTION = mine.part);
        CREATE DOMAIN mine.bpchar AS integer; CREATE DOMAIN mine.uuid AS integer; CREATE DOMAIN mine.jsonb AS integer;
        SET search_path = mine, pg_catalog""",
    )
    row = "SELECT 'x'::pg_catalog.text AS key_text, NULL::pg_catalog.int8 AS key_int8"
    for key, row_of_key in (
        ({"a": "text"}, row),
        ({"c": "char"}, row),
        ({"a": "text", "b": "integer"}, row.replace("'x'", """'["x","1"]'""")),
    ):
        lookup = lookup_of(source("t", key, {}, settings={"is_indexed": True}))
        assert lookup is not None
        assert fetch(driver, f"SELECT {lookup.condition} FROM ({row_of_key}) i") == [True], key


FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3]),
    ({"k": 2}, [2]),
    ({"k": ["1", 3]}, [1, 3]),
    ({"k": {"gte": 2}}, [2, 3]),
    ({"age": {"gte": 30, "lt": 40}}, [1]),
    ({"age": [30.0, None]}, [1, 3]),
    ({"age": []}, []),
    ({"pay": "0.10"}, [1]),
    ({"pay": {"gt": 0.1}}, [2]),
    ({"ratio": 0.64}, [1]),  # a real: as a double it would equal nothing
    ({"score": 0.1}, [1]),
    ({"word": "é'%s"}, [1]),
    ({"word": {"gt": "e"}}, [1]),
    ({"pad": "ab"}, [1]),
    ({"any": "ABC"}, [1, 2]),
    ({"mood": "sad"}, [1]),
    ({"mood": "no such mood"}, []),
    ({"id": "{00000000000000000000000000000001}"}, [1]),
    ({"day": {"gte": "2025-01-01", "lte": "2025-12-31"}}, [1]),
    ({"at": "2025-01-01T12:00:00"}, [1]),
    ({"zone": {"gt": "2025-01-01T12:00:00+02:00"}}, [2]),
    ({"is_it": [True, None]}, [1, 3]),
    ({"hidden%": 7, "age": 30}, [1]),
]


@pytest.mark.parametrize(("where", "expected"), FILTERS, ids=[json.dumps(where) for where, _ in FILTERS])
def test_filters_select_by_equality_lists_null_and_ranges(
    driver: PsycopgConnection, where: dict[str, Any], expected: list[int]
) -> None:
    """On the key, the features and the columns named for it, each as its type compares."""
    run(
        driver,
        """CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'gay');
        CREATE TABLE t (k integer PRIMARY KEY, age smallint, pay numeric(9,2), ratio real, score float8, word text,
                        pad char(5), "any" citext, mood mood, id uuid, day date, at timestamp, zone timestamptz,
                        is_it boolean, "hidden%" bigint);
        INSERT INTO t VALUES (1, 30, 0.1, 0.64, 0.1, 'é''%s', 'ab', 'aBc', 'sad',
            '00000000-0000-0000-0000-000000000001', '2025-01-01', '2025-01-01 12:00', '2025-01-01 10:00+00', true, 7),
            (2, 40, 0.2, 0.5, 0.2, 'b', 'b', 'ABc', 'gay', '00000000-0000-0000-0000-000000000002', '2026-01-01', NULL,
             '2025-01-01 10:01+00', false, 8);
        INSERT INTO t (k) VALUES (3)""",
    )
    kinds = {"age": "smallint", "pay": "numeric", "ratio": "real", "score": "double precision", "word": "text",
             "pad": "char", "any": "citext", "mood": "enum", "id": "uuid", "day": "date", "at": "timestamp",
             "zone": "timestamptz", "is_it": "boolean"}  # fmt: skip
    things = source("t", {"k": "integer"}, kinds, filters=(SourceColumn("hidden%", "bigint"),))
    assert planned(driver, things, where) == [str(key) for key in expected]
    query, parameters = count_query(things, where)
    with driver.cursor() as cursor:
        cursor.execute(query, parameters)
        assert cursor.fetchone() == (len(expected),)


@pytest.mark.parametrize("key", [{"k": "integer"}, {"k": "integer", 'n"%': "text"}], ids=["one column", "composite"])
def test_what_is_counted_before_a_job_is_what_it_has(driver: PsycopgConnection, key: dict[str, str]) -> None:
    """Rows without a key, or without a part of it, are in no job."""
    run(driver, """CREATE TABLE t (k integer, "n""%" text, age integer)""")
    run(driver, "INSERT INTO t VALUES (1, 'a', 30), (NULL, 'b', 30), (3, NULL, 30), (NULL, NULL, 30), (5, 'e', 40)")
    things = source("t", key, {"age": "integer"})
    for where in ({}, {"age": 30}):
        query, parameters = count_query(things, where)
        with driver.cursor() as cursor:
            cursor.execute(query, parameters)
            assert cursor.fetchone() == (len(planned(driver, things, where)),)


@pytest.mark.parametrize("key", [{"k": "bigint"}, {"n": "integer", "k": "bigint"}], ids=["one column", "composite"])
def test_a_key_that_no_call_can_name_is_in_no_job(driver: PsycopgConnection, key: dict[str, str]) -> None:
    """The lowest bigint stands for no client: such a row is neither planned nor counted."""
    run(driver, "CREATE TABLE t (k bigint, n integer, age integer)")
    run(driver, "INSERT INTO t VALUES (-9223372036854775808, 1, 30), (-9223372036854775807, 1, 30), (7, 2, 30)")
    things = source("t", key, {"age": "integer"})
    found = planned(driver, things, {"age": 30})
    assert len([things.key_form.parse(things.key_form.natural(text)) for text in found]) == 2
    query, parameters = count_query(things, {})
    with driver.cursor() as cursor:
        cursor.execute(query, parameters)
        assert cursor.fetchone() == (2,)


def test_a_filter_on_citext_compares_as_its_database_does(driver: PsycopgConnection) -> None:
    """Its locale says which letters have a small form, and not ours."""
    run(driver, "CREATE EXTENSION citext; CREATE TABLE t (k integer PRIMARY KEY, word citext)")
    run(driver, "INSERT INTO t VALUES (1, 'Äb'), (2, 'ab')")
    things = source("t", {"k": "integer"}, {"word": "citext"})
    assert planned(driver, things, {"word": "ÄB"}) == ["1"]
    assert planned(driver, things, {"word": ["AB", "Äb"]}) == ["1", "2"]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"secret": 1}, "no column 'secret'"),
        ({"age": "x"}, "age must be a whole number"),
        ({"age": 99999}, "from -32768 to 32767"),
        ({"age": {"gte": 1, "about": 2}}, "a range of"),
        ({"pay": float("nan")}, "finite"),
        ({"pay": 10**400}, "finite"),
        ({"at": "2025-01-01T12:00:00Z"}, "such as"),
        ({"zone": "2025-01-01T12:00:00"}, "such as"),
        ({"day": "01/02/2025"}, "2025-01-31"),
        ({"word": "a\0"}, "NUL"),
        ({"word": [["a"]]}, "must be a string"),
    ],
)
def test_filters_that_make_no_sense_are_refused_before_anything_is_asked(where: dict[str, Any], words: str) -> None:
    """By column, and in words."""
    kinds = {
        "age": "smallint",
        "pay": "numeric",
        "at": "timestamp",
        "zone": "timestamptz",
        "day": "date",
        "word": "text",
    }
    things = source("t", {"k": "integer"}, kinds)
    with pytest.raises(FilterRefused, match=words) as caught:
        selection_query(things, where, after=None)
    assert caught.value.column == next(iter(where))


def test_a_plan_of_a_source_that_raises_says_so_without_values(driver: PsycopgConnection) -> None:
    """A key that the view cannot compute, and a relation that is gone."""
    run(driver, "CREATE TABLE t (k text); INSERT INTO t VALUES ('hidden'); CREATE VIEW v AS SELECT k::integer FROM t")
    with pytest.raises(PlanFailed) as caught:
        planned(driver, source("v", {"k": "integer"}, {}), {})
    assert "hidden" not in str(caught.value)
    with pytest.raises(PlanFailed, match="UndefinedTable"):
        planned(driver, source("gone", {"k": "integer"}, {}), {})


def test_the_last_key_of_a_page_is_read_out_of_its_line() -> None:
    """What COPY and the array escaped is taken back."""
    assert key_text(b"17") == "17"
    assert key_text(rb'"a\\\\b\\"c\n\t"') == 'a\\b"c\n\t'


def test_a_plan_waits_for_locks_as_its_source_says(driver: PsycopgConnection) -> None:
    """Five seconds where it says nothing."""
    run(driver, "CREATE VIEW asked AS SELECT current_setting('lock_timeout') AS k")
    own = source("asked", {"k": "text"}, {}, settings={"lock_seconds": 0.25})
    assert planned(driver, own, {}) == ["250ms"]
    assert planned(driver, source("asked", {"k": "text"}, {}), {}) == ["5s"]


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("timeout_seconds", 0.1, 600), ("lock_timeout_seconds", 0.1, 60), ("connect_timeout_seconds", 2, 60)],
)
def test_time_outs_have_bounds(name: str, least: float, most: float) -> None:
    """What a call may say of how long a source is waited for; what it does not say is not kept."""
    asked = {"name": "things", "table": "things"}
    for seconds in (least, most):
        assert list(NewSource.model_validate({**asked, name: seconds}).time_outs.values()) == [seconds]
    assert NewSource.model_validate({**asked, name: None}).time_outs == {}
    for seconds in (0, least / 2, most + 1, -1):
        with pytest.raises(ValidationError):
            NewSource.model_validate({**asked, name: seconds})
