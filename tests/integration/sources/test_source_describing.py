"""Describing any relation as a source, and the errands about sources, on a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812
from sqlalchemy import Engine

from shared.config import Settings
from shared.errands import claim_errand, extend_errand, finish_errand, read, submit, wait, withdraw
from shared.postgres.engine import autocommit, transaction
from shared.sources.description import source_from
from shared.sources.errors import SourceRefused
from shared.sources.source import add_source, get_source
from tests.integration.sources.source_support import fetch, run
from tests.support import ROOT, add_clients, add_model, environment, stop
from worker.errands.kinds import make_handlers
from worker.errands.runner import ErrandRunner
from worker.sources.describing.description import describe
from worker.sources.failures import SourceAway, SourceFailed


def names(found: dict[str, Any], what: str = "columns") -> list[str]:
    return [column["name"] for column in found[what]]


def test_a_table_is_described_from_its_catalogue(driver: PsycopgConnection) -> None:
    """Key from the primary key, types of domains, which columns may be null, and why others are no features."""
    run(
        driver,
        """CREATE SCHEMA crm; CREATE DOMAIN percent AS numeric(5,2) NOT NULL; CREATE DOMAIN rate AS percent;
        CREATE TYPE mood AS ENUM ('a'); CREATE EXTENSION citext;
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


def test_a_role_that_may_read_the_named_columns_and_nothing_else_is_enough(driver: PsycopgConnection) -> None:
    """Columns it may not read are named; row security that hides rows is said; without any right there is nothing."""
    run(
        driver,
        """DROP ROLE IF EXISTS reader; CREATE ROLE reader; CREATE SCHEMA crm;
        CREATE TABLE crm.t (k integer PRIMARY KEY, a integer, secret text);
        INSERT INTO crm.t VALUES (1, 2, 'x'), (2, 3, 'y')""",
    )
    found = describe(driver, "crm.t", columns=["a"])
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
    assert any("Row security" in note for note in limited["notes"])
    assert any("let it read them" in note and 'GRANT SELECT ("secret")' in note for note in limited["notes"])
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


@pytest.fixture
def here(make_database: Callable[..., str], engine: Engine) -> Engine:
    """Predictq's own database, with the sample's clients."""
    add_clients(engine, 30)
    return engine


def do(engine: Engine, kind: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What became of an errand that a runner did."""
    with transaction(engine) as connection:
        errand_id = submit(connection, kind, "tester", arguments)
    assert ErrandRunner(engine, make_handlers(engine), worker="w", stopped=threading.Event()).do_next()
    found = wait(engine, errand_id, seconds=1)
    assert found is not None
    assert found.result is not None
    return found.status, found.result


def test_a_source_elsewhere_is_described_counted_and_checked_by_errands(
    here: Engine, driver: PsycopgConnection, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of a variable; what changed is said, and which live model that breaks."""
    monkeypatch.setenv("CRM_URL", address)
    run(
        driver,
        "CREATE TABLE t (k uuid PRIMARY KEY, age integer, over_time boolean); "
        "INSERT INTO t SELECT gen_random_uuid(), n FROM generate_series(1, 9) n",
    )
    status, found = do(here, "describe_source", {"url_variable": "CRM_URL", "table": "t"})
    assert (status, found["rows"], found["key"]) == ("done", 9, [{"name": "k", "type": "uuid"}])
    with transaction(here) as connection:
        added = add_source(connection, source_from("far", "CRM_URL", found))
    assert do(here, "count", {"source_id": added.id, "where": {"age": {"gt": 3}}}) == ("done", {"count": 6})
    status, refused = do(here, "count", {"source_id": added.id, "where": {"nothing": 3}})
    assert (status, refused["code"]) == ("failed", "filter_refused")
    run(driver, "ALTER TABLE t DROP COLUMN over_time, ALTER COLUMN age TYPE text, ADD COLUMN more date")
    status, checked = do(here, "check_source", {"source_id": added.id})
    assert checked["changes"] == [
        "age was integer and is text.",
        "over_time is gone, or may not be read any more.",
        "more is new.",
    ]
    with autocommit(here) as connection:
        assert [column.name for column in get_source(connection, added.id).columns] == ["age", "more"]
    monkeypatch.delenv("CRM_URL")
    status, away = do(here, "check_source", {"source_id": added.id})
    assert (status, away["code"]) == ("failed", "source_unavailable")
    assert "CRM_URL" in away["detail"]
    monkeypatch.setenv("CRM_URL", "postgresql://somebody:password-1@127.0.0.1:1/none")
    status, away = do(here, "count", {"source_id": added.id})
    assert (status, away["code"]) == ("failed", "source_unavailable")
    assert "password-1" not in away["detail"]


def test_a_check_keeps_to_the_columns_that_were_chosen(
    here: Engine, driver: PsycopgConnection, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was left out on purpose stays out, for filters and training; a chosen one that is gone is a finding."""
    run(driver, "CREATE TABLE t (k integer PRIMARY KEY, age integer, pay integer, secret integer, region text)")
    monkeypatch.setenv("CRM_URL", address)
    described = {"url_variable": "CRM_URL", "table": "t", "columns": ["age", "pay"], "filters": ["region"]}
    status, found = do(here, "describe_source", described)
    assert status == "done"
    with transaction(here) as connection:
        added = add_source(connection, source_from("chosen", "CRM_URL", found, chosen=["age", "pay"]))
    assert do(here, "check_source", {"source_id": added.id})[1]["changes"] == []
    run(driver, "ALTER TABLE t DROP COLUMN pay, DROP COLUMN region, ADD COLUMN more integer")
    for changes in (
        [
            "pay is gone, or may not be read any more.",
            "region, which filters may name, is gone, or may not be read any more.",
        ],
        [],
    ):
        assert do(here, "check_source", {"source_id": added.id})[1]["changes"] == changes
    with autocommit(here) as connection:
        kept = get_source(connection, added.id)
    assert ([column.name for column in kept.columns], kept.filters) == (["age"], ())
    run(driver, "ALTER TABLE t DROP COLUMN age")
    status, found = do(here, "check_source", {"source_id": added.id})
    assert (status, found["columns"]) == ("done", [])  # and not all that there are


def test_a_check_names_the_live_models_that_a_change_breaks(here: Engine) -> None:
    """A column that is gone, and the model that needs it."""
    add_model(here)
    with autocommit(here) as connection:
        connection.exec_driver_sql("ALTER TABLE predictq_data.clients DROP COLUMN department")
        source_id = connection.exec_driver_sql("SELECT id FROM predictq.sources").scalar_one()
    status, found = do(here, "check_source", {"source_id": source_id})
    assert status == "done"
    assert [(item["lacking"], item["changed"]) for item in found["broken"]] == [(["department"], [])]


def test_owners_have_their_errands_done_by_turns(engine: Engine) -> None:
    """Whoever has many waiting holds up nobody else's one; what is withdrawn is done for nobody."""
    with autocommit(engine) as connection:
        of_many = [submit(connection, "count", "many", {"source_id": 1}) for _ in range(5)]
        of_one = submit(connection, "count", "one", {"source_id": 1})
        withdraw(connection, of_many[1])
        claimed = []
        while (held := claim_errand(connection, worker="a", lease_seconds=60)) is not None:
            claimed.append(held.id)
            withdraw(connection, held.id)  # in a worker's hands it stays
            assert finish_errand(connection, held, {"count": 1})
    assert claimed == [of_many[0], of_one, *of_many[2:]]


def test_errands_are_claimed_once_and_given_up_at_last(engine: Engine) -> None:
    """A claim whose lease ran out is overtaken, and its result dropped; after three the caller is told."""
    with autocommit(engine) as connection:
        errand_id = submit(connection, "count", "tester", {"source_id": 1})
        first = claim_errand(connection, worker="a", lease_seconds=60)
        assert first is not None
        assert claim_errand(connection, worker="b", lease_seconds=60) is None
        assert extend_errand(connection, first, lease_seconds=-1)
        second = claim_errand(connection, worker="b", lease_seconds=-1)
        assert second is not None
        assert not finish_errand(connection, first, {"count": 1})
        assert not extend_errand(connection, first, lease_seconds=1)
        assert claim_errand(connection, worker="c", lease_seconds=-1) is not None
        assert claim_errand(connection, worker="d", lease_seconds=-1) is None
        found = read(connection, errand_id)
        assert found is not None
        assert (found.status, (found.result or {})["code"]) == ("failed", "worker_ended")
        with pytest.raises(ValueError, match="no kind"):
            submit(connection, "nonsense", "tester", {})


def test_a_source_whose_address_nobody_knows_is_away() -> None:
    """The words say which variable to set."""
    from worker.sources.connections import Remote, find_address

    assert find_address("NOWHERE", {}) is None
    with (
        pytest.raises(SourceAway, match="NOWHERE"),
        Remote("NOWHERE", environment={}).connected(replace(source_from("x", None, _LEAST), url_variable="NOWHERE")),
    ):
        pass


_LEAST: dict[str, Any] = {
    "schema": "s", "relation": "r", "key": [{"name": "k", "type": "text"}], "columns": [], "filters": [],
    "is_indexed": True, "is_scan": False, "kind": "table", "rows": 0, "is_exact": True, "seconds": None, "notes": [],
    "not_features": [],
}  # fmt: skip


def test_an_address_is_read_from_the_environment_or_the_stacks_file(tmp_path: Any) -> None:
    """At each connection; as any tool writes it."""
    from worker.sources.connections import find_address

    file = tmp_path / ".env"
    file.write_text("OTHER=1\nexport CRM_URL='postgres://u:p@h/d'\n", encoding="utf-8")
    environment = {"PREDICTQ_ENV_FILE": str(file), "B_URL": "postgresql+psycopg2://u@h/d", "C_URL": "host=h dbname=d"}
    assert find_address("CRM_URL", environment) == "postgresql://u:p@h/d"
    assert find_address("B_URL", environment) == "postgresql://u@h/d"
    assert find_address("C_URL", environment) == "host=h dbname=d"
    assert find_address("D_URL", environment) is None


def test_a_connection_that_was_ended_while_idle_is_made_anew(
    driver: PsycopgConnection, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server or a firewall ends idle connections: that is no outage of the source."""
    from worker.sources import connections

    monkeypatch.setattr(connections, "_IDLE_SECONDS", 0.0)
    remote = connections.Remote("FAR", environment={"FAR": address})
    source = source_from("far", "FAR", _LEAST)
    with remote.connected(source) as first:
        process = first.info.backend_pid
    run(driver, f"SELECT pg_terminate_backend({process}, 5000)")
    with remote.connected(source) as second:
        assert fetch(second, "SELECT pg_backend_pid()") != [process]
    remote.close()


def test_the_process_beside_the_pool_does_errands(here: Engine, settings: Settings) -> None:
    """As a worker starts it; it ends when it is told to."""
    command = [sys.executable, "-m", "worker.errands", "--name", "e"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(settings))
    try:
        with transaction(here) as connection:
            errand_id = submit(connection, "describe_source", "tester", {"table": "predictq_data.clients"})
        found = wait(here, errand_id, seconds=60)
    finally:
        stop(process)
    assert found is not None
    assert found.status == "done"
    assert (found.result or {})["rows"] == 30
    assert process.returncode == 0
