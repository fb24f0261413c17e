"""Describing any relation as a source, on a real PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812

from shared.errors import FilterRefused
from shared.sources.description import source_from
from shared.sources.errors import SourceRefused
from shared.sources.selection import check_filter
from tests.integration.sources.source_support import fetch, run
from worker.sources.describing import looks
from worker.sources.describing.description import describe
from worker.sources.failures import SourceFailed


def names(found: dict[str, Any], what: str = "columns") -> list[str]:
    return [column["name"] for column in found[what]]


def test_a_table_is_described_from_its_catalogue(driver: PsycopgConnection) -> None:
    """Key from the primary key, types of domains, which columns may be null, and why others are no features."""
    run(
        driver,
        """CREATE SCHEMA crm; CREATE DOMAIN percent AS numeric(5,2) NOT NULL; CREATE DOMAIN rate AS percent;
        CREATE TYPE mood AS ENUM ('a'); ALTER TYPE mood ADD VALUE 'b' BEFORE 'a'; CREATE EXTENSION citext;
        CREATE TABLE crm.policyholders (policy_no text PRIMARY KEY, age smallint NOT NULL, share rate, m mood, c citext,
            pad char(4), at timestamptz, doc jsonb, raw bytea, gone integer, took interval, list integer[]);
        ALTER TABLE crm.policyholders DROP COLUMN gone; COMMENT ON COLUMN crm.policyholders.age IS 'in years';
        INSERT INTO crm.policyholders SELECT 'P-' || n, 30, 1, NULL, CASE WHEN n % 4 = 0 THEN 'x' END
            FROM generate_series(1, 200) n""",
    )
    found = describe(driver, "crm.policyholders")
    assert (found["schema"], found["relation"], found["kind"]) == ("crm", "policyholders", "table")
    assert found["key"] == [{"name": "policy_no", "type": "text"}]
    assert {column["name"]: (column["type"], column["nullable"]) for column in found["columns"]} == {
        "age": ("smallint", False),
        "share": ("numeric", False),
        "m": ("enum", True),
        "c": ("citext", True),
        "pad": ("char", True),
        "at": ("timestamptz", True),
    }
    by_name = {column["name"]: column for column in found["columns"]}
    assert (by_name["age"]["comment"], by_name["age"]["null_fraction"], by_name["c"]["null_fraction"]) == (
        "in years",
        0,
        0.75,
    )
    assert [(item["name"], item["type"]) for item in found["not_features"]] == [
        ("doc", "jsonb"),
        ("raw", "bytea"),
        ("took", "interval"),
        ("list", "integer[]"),
    ]
    assert (found["rows"], found["is_exact"], found["is_scan"], found["is_indexed"]) == (200, True, False, True)
    assert found["seconds"] is not None
    assert found["grants"][1].startswith('GRANT SELECT ("policy_no", "age", ')
    source = source_from("policyholders", None, found)
    assert source.key_form.storage == "text"
    assert source.measured["rows"] == 200
    assert source.measured["labels"] == {"m": ["b", "a"]}
    check_filter({"m": ["a", None]}, source)
    check_filter({"m": None}, source)
    for unknown in ("c", ["a", "c"]):
        with pytest.raises(FilterRefused, match=r"m must be one of b, a; .*predictq sources check"):
            check_filter({"m": unknown}, source)


TABLE = "(k integer PRIMARY KEY, v integer NOT NULL)"
PLAIN = "CREATE TABLE base (k integer, v integer NOT NULL); "
MATERIALISED = f"{PLAIN}CREATE MATERIALIZED VIEW made AS SELECT * FROM base; CREATE UNIQUE INDEX ON made (k)"
PARTITIONED = f"CREATE TABLE made {TABLE} PARTITION BY RANGE (k); CREATE TABLE part PARTITION OF made DEFAULT"
FOREIGN = f"""{PLAIN}CREATE EXTENSION postgres_fdw;
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{{host}}', port '{{port}}', dbname 'strange');
CREATE USER MAPPING FOR current_user SERVER far OPTIONS (user '{{user}}', password '{{password}}');
CREATE FOREIGN TABLE made (k integer, v integer NOT NULL) SERVER far OPTIONS (table_name 'base')"""


@pytest.mark.parametrize(
    ("made", "kind", "has_nulls"),
    [
        (f"CREATE TABLE made {TABLE}", "table", False),
        (f"{PLAIN}CREATE VIEW made AS SELECT * FROM base", "view", True),
        (MATERIALISED, "materialised view", True),
        (PARTITIONED, "partitioned table", False),
        (FOREIGN, "foreign table", True),
    ],
    ids=["table", "view", "materialised", "partitioned", "foreign"],
)
def test_relations_of_every_kind_are_sources(driver: PsycopgConnection, made: str, kind: str, has_nulls: bool) -> None:
    """A view and a foreign table promise nothing of nulls; their keys are checked by looking."""
    info = driver.info
    run(driver, made.format(host=info.host, port=info.port, user=info.user, password=info.password))
    base = "base" if fetch(driver, "SELECT to_regclass('base') IS NOT NULL")[0] else "made"
    run(driver, f"INSERT INTO {base} SELECT n, n FROM generate_series(1, 50) n")
    if kind == "materialised view":
        run(driver, "REFRESH MATERIALIZED VIEW made")
    found = describe(driver, "made", key=["k"])
    assert (found["kind"], found["rows"]) == (kind, 50)
    if kind == "foreign table":  # whose server takes a snapshot before its locks
        run(driver, "CREATE VIEW over AS TABLE made; CREATE TABLE whole (k integer) PARTITION BY RANGE (k)")
        run(driver, "CREATE FOREIGN TABLE part PARTITION OF whole DEFAULT SERVER far OPTIONS (table_name 'base')")
        for name, behind in (("made", "public.made"), ("over", "public.made"), ("whole", "public.part")):
            assert f"reads foreign tables ({behind})" in " ".join(describe(driver, name, key=["k"])["notes"])
    else:
        assert "foreign" not in " ".join(found["notes"])
    assert found["columns"][0]["nullable"] is has_nulls
    run(driver, f"INSERT INTO {base} VALUES (0, 0)")
    if kind in ("view", "foreign table"):
        run(driver, f"INSERT INTO {base} VALUES (0, 1)")
        with pytest.raises(SourceRefused, match="share one k"):
            describe(driver, "made", key=["k"])
        run(driver, f"DELETE FROM {base} WHERE k = 0; INSERT INTO {base} VALUES (NULL, 1)")
        with pytest.raises(SourceRefused, match="have no k"):
            describe(driver, "made", key=["k"])


def test_names_of_any_kind_are_found_as_they_are_written(driver: PsycopgConnection) -> None:
    """As they stand, or as SQL reads them; with the words to type where there is none, or more than one."""
    long = "ключ" * 7
    run(
        driver,
        'CREATE SCHEMA "My.Schema"; CREATE TABLE "My.Schema"."T.a""b" '
        f'("select" integer PRIMARY KEY, "{long}" text, "%s" integer); CREATE SCHEMA other;'
        "CREATE TABLE other.twice (k integer PRIMARY KEY); CREATE TABLE twice (k integer PRIMARY KEY)",
    )
    found = describe(driver, '"My.Schema"."T.a""b"')
    assert (found["relation"], names(found, "key"), names(found)) == ('T.a"b', ["select"], [long, "%s"])
    assert names(describe(driver, "OTHER.Twice"), "key") == ["k"]
    for written, words in (
        ("twice", "other.twice, public.twice"),
        ("nobody", "SCHEMA.NAME"),
        ('"', "no table"),
        ("", "no table"),
    ):
        with pytest.raises(SourceRefused, match=words):
            describe(driver, written)


@pytest.mark.parametrize(
    ("made", "key", "words"),
    [
        ("(a integer, b integer)", [], "--key COLUMN"),
        ("(a integer NOT NULL UNIQUE, b integer NOT NULL UNIQUE)", [], "a; b"),
        ("(a integer, b integer)", ["c"], "no column 'c'"),
        ("(a jsonb, b integer)", ["a"], "a key is one of"),
        ("(a float8, b integer)", ["a"], "a key is one of"),
        ("(a integer, b integer)", ["a", "a"], "twice"),
    ],
)
def test_a_key_that_is_none_is_asked_for_in_words(
    driver: PsycopgConnection, made: str, key: list[str], words: str
) -> None:
    """What to type next is in the text."""
    run(driver, f"CREATE TABLE t {made}")
    with pytest.raises(SourceRefused, match=words):
        describe(driver, "t", key=key)


def test_a_key_without_an_index_is_said_and_a_partial_one_is_no_proof(driver: PsycopgConnection) -> None:
    """A unique index over some of the rows says nothing of the others."""
    run(
        driver,
        "CREATE TABLE t (k integer NOT NULL, d date); CREATE UNIQUE INDEX ON t (k) WHERE d IS NULL; "
        "INSERT INTO t VALUES (1), (2)",
    )
    found = describe(driver, "t", key=["k"])
    assert not found["is_indexed"]
    assert 'CREATE INDEX ON "public"."t" ("k")' in found["notes"][0]
    run(driver, "INSERT INTO t VALUES (1, '2025-01-01')")
    with pytest.raises(SourceRefused, match="share one k"):
        describe(driver, "t", key=["k"])


@pytest.mark.parametrize("key", [["k"], ["n", "k"]], ids=["one column", "composite"])
def test_the_lowest_bigint_is_no_key(driver: PsycopgConnection, key: list[str]) -> None:
    """Calls cannot name it: a source that has it is refused, also when it is checked again."""
    run(driver, f"CREATE TABLE t (k bigint, n integer, v integer, PRIMARY KEY ({', '.join(key)}))")
    run(driver, "INSERT INTO t VALUES (-9223372036854775807, 1, 1), (9223372036854775807, 2, 2)")
    assert names(describe(driver, "t"), "key") == key
    run(driver, "INSERT INTO t VALUES (-9223372036854775808, 1, 1)")
    for is_again in (False, True):
        with pytest.raises(SourceRefused, match=r"lowest bigint.*which no key can have"):
            describe(driver, "t", is_again=is_again)


def test_a_source_that_is_read_as_a_whole_says_what_was_measured(
    driver: PsycopgConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quickest of three tries, what follows, and how it is measured anew; this is kept with the source."""
    run(
        driver,
        "CREATE TABLE t (k integer PRIMARY KEY, v integer); INSERT INTO t SELECT n, n FROM generate_series(1, 9) n",
    )
    tries = iter([7.25, 4.5, 3.75, 0.5])
    monkeypatch.setattr(looks.Looks, "_time_of", lambda *_: next(tries))
    found = describe(driver, "t")
    assert (found["is_scan"], found["seconds"]) == (True, 3.75)
    (note,) = [note for note in found["notes"] if "read as a whole" in note]
    assert "took 3.8 s at the quickest of 3 tries, where 2 s are the most" in note
    assert "predictq sources check measures anew" in note
    assert source_from("t", None, found).measured["notes"] == found["notes"]
    again = describe(driver, "t")
    assert (again["is_scan"], again["seconds"], again["notes"]) == (False, 0.5, [])


def test_a_key_that_could_not_be_checked_is_taken_by_word_alone(
    driver: PsycopgConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused with what to type, and then taken with what it means; a check of what is there takes it, too."""
    monkeypatch.setattr(looks, "_PATIENCE_SECONDS", 0.3)
    run(
        driver,
        "CREATE TABLE t (k integer, v integer); INSERT INTO t VALUES (1, 1), (2, 2), (NULL, 3), (NULL, 4); "
        "CREATE VIEW slow AS SELECT t.* FROM t, (SELECT pg_sleep(1) OFFSET 0) s",
    )
    with pytest.raises(SourceRefused, match=r"keys are null and whether keys are unique.*--unchecked"):
        describe(driver, "slow", key=["k"])
    for found in (
        describe(driver, "slow", key=["k"], unchecked=True),
        describe(driver, "slow", key=["k"], is_again=True),
    ):
        assert any("Taken unchecked" in note and "left out of every job" in note for note in found["notes"])
    with pytest.raises(SourceRefused, match=r"have no k \(2 of them\)"):
        describe(driver, "t", key=["k"], unchecked=True)


def test_a_role_that_may_read_the_named_columns_and_nothing_else_is_enough(driver: PsycopgConnection) -> None:
    """Columns it may not read are named; row security that hides rows is said; without any right there is nothing."""
    run(
        driver,
        """DROP ROLE IF EXISTS reader; CREATE ROLE reader; CREATE SCHEMA crm;
        CREATE TABLE crm.t (k integer PRIMARY KEY, a integer, secret text);
        INSERT INTO crm.t VALUES (1, 2, 'x'), (2, 3, 'y')""",
    )
    found = describe(driver, "crm.t", columns=["a"])
    assert found["left_out"] == ["secret"]
    assert source_from("t", None, found).measured["left_out"] == ["secret"]
    run(driver, "SET ROLE reader")
    with pytest.raises(
        SourceRefused, match=r'crm.t is there.*GRANT USAGE ON SCHEMA "crm" TO "reader".*"k", "a", "secret"'
    ):
        describe(driver, "crm.t")
    run(driver, "RESET ROLE")
    for line in found["grants"]:
        run(driver, line.replace('"predictq"', '"reader"'))
    run(
        driver,
        "ALTER TABLE crm.t ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON crm.t USING (k = 1); SET ROLE reader",
    )
    limited = describe(driver, "crm.t")
    assert (names(limited), limited["rows"]) == (["a"], 1)
    assert limited["not_features"] == [{"name": "secret", "type": "text", "why": "the worker may not read it"}]
    assert limited["left_out"] == []
    assert any("Row security" in note for note in limited["notes"])
    assert any("let the role read it" in note and 'GRANT SELECT ("secret")' in note for note in limited["notes"])
    with pytest.raises(SourceRefused, match=r"may not read secret of.*GRANT SELECT"):
        describe(driver, "crm.t", columns=["secret"])
    run(driver, 'RESET ROLE; REVOKE SELECT ("k", "a") ON crm.t FROM reader; SET ROLE reader')
    with pytest.raises(SourceRefused, match=r'may not read k, a, secret of.*SELECT \("k", "a", "secret"\)'):
        describe(driver, "crm.t")
    run(driver, 'RESET ROLE; GRANT SELECT ("k") ON crm.t TO reader; SET ROLE reader')
    assert any("No column can be a feature" in note for note in describe(driver, "crm.t")["notes"])
    run(driver, "RESET ROLE; DROP OWNED BY reader; DROP ROLE reader")


def test_a_view_that_raises_or_writes_is_refused_without_its_values(driver: PsycopgConnection) -> None:
    """Looking at it is reading it: nothing is written."""
    run(
        driver,
        """CREATE TABLE t (k integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'hidden');
        CREATE FUNCTION writes() RETURNS integer LANGUAGE sql AS 'DELETE FROM t RETURNING k';
        CREATE VIEW raising AS SELECT k, v::integer AS v FROM t;
        CREATE VIEW writing AS SELECT k, writes() AS v FROM t""",
    )
    for relation in ("raising", "writing"):
        with pytest.raises(SourceFailed) as caught:
            describe(driver, relation, key=["k"])
        assert "hidden" not in str(caught.value)
    assert fetch(driver, "SELECT count(*) FROM t") == [1]


def test_the_width_of_rows_is_measured(driver: PsycopgConnection) -> None:
    """Bytes of a row's text by column, which a wide table is also measured by: no more is read than a batch would."""
    run(
        driver,
        """CREATE TABLE wide (k integer PRIMARY KEY, n integer, t text, void text);
        INSERT INTO wide SELECT n, 12345, repeat('é', 50000), NULL FROM generate_series(1, 200) n""",
    )
    found = describe(driver, "wide")
    assert found["column_bytes"] == {"n": 8, "t": 100_000, "void": 8}
    assert found["row_bytes"] == 100_016
    assert found["seconds"] is not None
    assert source_from("wide", None, found).measured["column_bytes"] == found["column_bytes"]
    run(driver, "CREATE TABLE void (k integer PRIMARY KEY, n integer)")
    assert describe(driver, "void")["row_bytes"] is None
