"""Each database role may what the table in sql/rights.sql says, and nothing else: all of it is tried."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, make_url, text

from devstack.servers.postgres import EmbeddedPostgres
from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.postgres.engine import transaction
from sql.migrate import upgrade
from sql.refusals import MigrationRefused
from sql.roles import make_roles, open_tables
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.integration.sources.source_support import connect, run
from tests.integration.worker.scoring_support import score
from tests.support import OWNER, add_clients, add_model
from worker.scoring.scorer import Scorer

_RIGHTS = (Path(__file__).parents[3] / "sql" / "rights.sql").read_text(encoding="utf-8")
_LINE = re.compile(r"^\('([a-z_]+)',\s+'([^']*)',\s+'([^']*)',\s+'([^']*)'\)", re.MULTILINE)
_VERBS = {
    "select": "SELECT count(*) FROM {table}",
    "insert": "INSERT INTO {table} DEFAULT VALUES",
    "update": "UPDATE {table} SET {column} = {column} WHERE false",
    "delete": "DELETE FROM {table} WHERE false",
    "truncate": "TRUNCATE {table}",
    "add a column": "ALTER TABLE {table} ADD COLUMN more integer",
    "switch guards off": "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "take": "ALTER TABLE {table} OWNER TO CURRENT_USER",
    "drop": "DROP TABLE {table} CASCADE",
    "index": "CREATE INDEX ON {table} ({column})",
    "add a trigger": "CREATE TRIGGER t BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION predictq.refuse_change()",
}
_ALLOWED = ("select", "insert", "update", "delete")


def rights(role: DatabaseRole) -> dict[str, set[str]]:
    """What the table says a role may, by relation."""
    place = list(DatabaseRole).index(role) + 2
    return {found[1]: {verb for verb in _ALLOWED if verb in found[place]} for found in _LINE.finditer(_RIGHTS)}


def updated_column(role: DatabaseRole, name: str, otherwise: str) -> str:
    """A column that the role may change where the table of rights names those, or `otherwise`."""
    place = list(DatabaseRole).index(role) + 2
    said = next(found[place] for found in _LINE.finditer(_RIGHTS) if found[1] == name)
    named = re.search(r"update \((\w+)", said)
    return named[1] if named else otherwise


@pytest.fixture
def as_service(settings: Settings) -> Iterator[Callable[[DatabaseRole], PsycopgConnection]]:
    """Connections under the roles of the services."""
    opened = []

    def open_one(role: DatabaseRole) -> PsycopgConnection:
        address = settings.address_of(role)
        assert address is not None
        opened.append(connect(address.get_secret_value()))
        return opened[-1]

    yield open_one
    for driver in opened:
        driver.close()


def is_refused(driver: PsycopgConnection, statement: str) -> bool:
    """Whether the role may not; whatever else is wrong with the statement comes after that question."""
    try:
        with driver.cursor() as cursor:
            cursor.execute(f"BEGIN; SET LOCAL lock_timeout = '1s'; {statement}")
    except InsufficientPrivilege:
        return True
    except psycopg2.Error:
        return False
    finally:
        driver.rollback()
        with driver.cursor() as cursor:
            cursor.execute("ROLLBACK")
    return False


def relations(engine: Engine) -> list[tuple[str, str, str, bool]]:
    """Every table and view with the one whose rights it has, one of its columns, and whether it is a table."""
    with transaction(engine) as connection:
        rows = connection.execute(
            text("""
SELECT c.relname, coalesce((SELECT p.relname FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
                            WHERE i.inhrelid = c.oid), c.relname),
       (SELECT quote_ident(attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND attidentity = ''
        ORDER BY a.attnum LIMIT 1), c.relkind <> 'v'
FROM pg_class c WHERE c.relnamespace = 'predictq'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND c.relname <> 'kept'
ORDER BY 1""")
        )
        return [(str(row[0]), str(row[1]), str(row[2]), bool(row[3])) for row in rows]


def one_of_each(found: list[tuple[str, str, str, bool]]) -> list[tuple[str, str, str, bool]]:
    """Each table, with the first and the last of its partitions: that one was made later, by the upkeep's role."""
    first = {(relation[1], relation[0] == relation[1]): relation for relation in reversed(found)}
    last = {(relation[1], relation[0] == relation[1]): relation for relation in found}
    return sorted({*first.values(), *last.values()})


@pytest.mark.parametrize("role", DatabaseRole)
def test_each_role_may_what_the_table_says_and_no_more(
    engine: Engine, as_service: Callable[[DatabaseRole], PsycopgConnection], role: DatabaseRole
) -> None:
    """Every verb on every table and partition: refused by PostgreSQL, but for what the table of rights allows."""
    allowed = rights(role)
    driver = as_service(role)
    run(
        as_service(DatabaseRole.UPKEEP),
        "SELECT predictq.make_job_partitions('20 weeks'), predictq.make_batch_partitions(12)",
    )
    found = relations(engine)
    assert {parent for _, parent, _, _ in found} == {
        name for name in allowed if name not in ("batch_ids", "turn_numbers")
    }
    wrong = []
    for name, parent, column, is_table in one_of_each(found):
        for verb, statement in _VERBS.items():
            if not is_table and verb != "select":
                continue  # a view takes nothing from anybody
            changed = updated_column(role, parent, column) if verb == "update" else column
            refused = is_refused(driver, statement.format(table=f"predictq.{name}", column=changed))
            if refused == (verb in allowed[parent]):
                wrong.append(f"{verb} {name}: {'refused' if refused else 'done'}")
    assert not wrong


def test_what_no_service_may() -> None:
    """The promises themselves, whatever else is in the table: answers stay, and nobody changes the audit log."""
    gateway, worker, upkeep = map(rights, DatabaseRole)
    assert gateway["batch_outputs"] == worker["batch_outputs"] == {"select", "insert"}
    assert gateway["batch_requests"] == worker["batch_requests"] == {"select", "insert"}
    for each in (gateway, worker, upkeep):
        assert not each["audit_log"] & {"update", "delete"}
    assert worker["api_keys"] == {"select"}  # of limits alone: the hashes are the gateway's
    assert not upkeep["api_keys"]
    assert "insert" not in upkeep["model_versions"]


@pytest.mark.parametrize("role", DatabaseRole)
@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE predictq",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "CREATE ROLE another",
        "CREATE TABLE predictq.more ()",
        "CREATE TABLE public.more ()",
        "CREATE SCHEMA more",
        "CREATE FUNCTION predictq.more() RETURNS integer LANGUAGE sql RETURN 1",
        "CREATE OR REPLACE FUNCTION predictq.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "ALTER FUNCTION predictq.refuse_change() OWNER TO CURRENT_USER",
        "ALTER SCHEMA predictq RENAME TO more",
        "SET session_replication_role = replica",
        "COPY predictq.jobs TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT predictq.add_partition('jobs', 'jobs_more', '0', '1')",
        "SELECT predictq.share_rights('batch_outputs', 'audit_log')",
        "SELECT nextval('predictq.turn_numbers'), setval('predictq.batch_ids', 1)",
    ],
)
def test_no_role_may_more_of_the_server(
    as_service: Callable[[DatabaseRole], PsycopgConnection], role: DatabaseRole, statement: str
) -> None:
    """No way around the table: other roles, functions, settings, files, programs."""
    assert is_refused(as_service(role), statement)


@pytest.mark.parametrize("role", [DatabaseRole.GATEWAY, DatabaseRole.WORKER])
@pytest.mark.parametrize(
    "call",
    [
        "make_job_partitions('1 week')",
        "make_batch_partitions(1)",
        "note_full_partitions()",
        "close_batch_partition()",
        "drop_leaving_partition('jobs')",
        "rewrite_table('jobs')",
    ],
)
def test_what_runs_as_the_owner_is_upkeeps_alone(
    as_service: Callable[[DatabaseRole], PsycopgConnection], role: DatabaseRole, call: str
) -> None:
    """The functions that make, leave and drop partitions serve nobody else."""
    assert is_refused(as_service(role), f"SELECT predictq.{call}")


def test_upkeep_drops_what_leaves_and_nothing_else(
    engine: Engine, as_service: Callable[[DatabaseRole], PsycopgConnection]
) -> None:
    """A partition that is not marked stays, so does what is none; whatever the search path of the caller says."""
    driver = as_service(DatabaseRole.UPKEEP)
    run(driver, "SET search_path = pg_temp, predictq")
    run(driver, "CREATE TEMPORARY TABLE partitions AS SELECT 'audit_log'::text AS name, now() AS leaving_at")
    for name in ("batch_outputs_0", "audit_log", "jobs", 'x"; DROP TABLE predictq.jobs; --'):
        with pytest.raises(psycopg2.errors.RestrictViolation):
            run(driver, "SELECT predictq.drop_leaving_partition(%s)", name)
    for name in ("jobs", "job_status", "pg_class", "no such table"):
        with pytest.raises(psycopg2.errors.UndefinedTable):
            run(driver, "SELECT predictq.rewrite_table(%s)", name)
    run(driver, "UPDATE predictq.partitions SET leaving_at = now() WHERE name = 'batch_outputs_0'")
    run(driver, "SELECT predictq.drop_leaving_partition('batch_outputs_0')")
    assert "batch_outputs_0" not in {name for name, *_ in relations(engine)}


def test_roles_are_made_anew_as_often_as_one_likes(
    postgres: EmbeddedPostgres, engine: Engine, settings: Settings
) -> None:
    """Made again they keep names and passwords; a table that came later gets its rights, and what was granted goes."""
    addresses = {role: settings.address_of(role) for role in DatabaseRole}
    with transaction(engine) as connection:
        connection.execute(text("GRANT UPDATE ON predictq.audit_log TO predictq_upkeep"))
        connection.execute(text("REVOKE SELECT ON predictq.jobs FROM predictq_gateway"))
    made = make_roles(engine, {role: url.get_secret_value() for role, url in addresses.items() if url})
    assert [(role.duty, role.is_new, role.url) for role in made] == [(role, False, None) for role in DatabaseRole]
    with transaction(engine) as connection:
        query = """SELECT has_table_privilege('predictq_upkeep', 'predictq.audit_log', 'update'),
                          has_table_privilege('predictq_gateway', 'predictq.jobs', 'select')"""
        assert tuple(connection.execute(text(query)).one()) == (False, True)
    owner = {**addresses, DatabaseRole.WORKER: SecretStr(postgres.url)}
    with pytest.raises(MigrationRefused, match=r"owns tables.*PREDICTQ_WORKER_DATABASE_URL"):
        make_roles(engine, {role: url.get_secret_value() for role, url in owner.items() if url})


def test_a_database_that_was_restored_elsewhere_gets_its_roles(make_database: Callable[..., str]) -> None:
    """Roles belong to a server: a dump notes those of another. Restored without privileges, all may call anything."""
    engine = create_engine(make_database(migrated=False))
    upgrade(engine)
    may_all = text("SELECT has_function_privilege('public', 'predictq.rewrite_table(text)', 'execute')")
    with transaction(engine) as connection:
        for duty in ("gateway", "worker"):
            connection.execute(
                text("INSERT INTO predictq.database_roles VALUES (:duty, 'gone ' || :duty)"), {"duty": duty}
            )
        connection.execute(text("GRANT EXECUTE ON FUNCTION predictq.rewrite_table TO PUBLIC"))
        assert connection.execute(may_all).scalar_one()
    with pytest.raises(
        MigrationRefused, match=r"gone gateway, gone worker of its services are not on this server.*--roles"
    ):
        upgrade(engine)
    upgrade(engine, makes_roles=True)
    assert {role.name for role in make_roles(engine, {})} == {role.default_name for role in DatabaseRole}
    upgrade(engine)
    with transaction(engine) as connection:
        assert not connection.execute(may_all).scalar_one()
    engine.dispose()


def test_a_role_may_have_any_name_and_password(make_database: Callable[..., str]) -> None:
    """Quotes, blanks and percent signs in name and password: the role is made, and has its rights."""
    engine = create_engine(make_database())
    name, password = f"o'ther \"%s {uuid4()}", "s3cret'%s @/"
    address = make_url("postgresql://h/d").set(username=name, password=password).render_as_string(hide_password=False)
    made = make_roles(engine, {DatabaseRole.WORKER: address})
    assert (made[1].name, made[1].is_new, made[1].url) == (name, True, None)
    with engine.connect() as connection:
        query = text("SELECT has_table_privilege(:name, 'predictq.turns', 'insert')")
        assert connection.execute(query, {"name": name}).scalar_one()
    engine.dispose()


def test_a_table_that_the_gateway_may_not_read_is_asked_by_workers_alone(
    engine: Engine, settings: Settings, scorer: Scorer
) -> None:
    """Without the GRANT for the gateway a call is accepted, and an unknown client is an error of her row."""
    add_clients(engine, 1)
    add_model(engine)
    with transaction(engine) as connection:
        connection.execute(text("REVOKE SELECT ON predictq_data.clients FROM predictq_gateway"))
    with running_gateway(settings, new_key(engine, OWNER)) as gateway:
        known = gateway.post("/v1/predict", json={"client_id": 1})
        unknown = gateway.post("/v1/predict", json={"client_id": 2})
        assert (known.status_code, unknown.status_code) == (202, 202)
        score(scorer)
        found = [gateway.get(f"/v1/jobs/{answer.json()['id']}").json() for answer in (known, unknown)]
    assert [job["status"] for job in found] == ["succeeded", "failed"]
    assert "unknown_client" in str(found[1])


def test_a_worker_reads_no_hash_of_a_key(as_service: Callable[[DatabaseRole], PsycopgConnection]) -> None:
    """It reads how many rows may wait, and nothing by which a key could be guessed."""
    driver = as_service(DatabaseRole.WORKER)
    assert not is_refused(driver, "SELECT owner, max_waiting_rows FROM predictq.api_keys")
    assert is_refused(driver, "SELECT key_hash FROM predictq.api_keys")


@pytest.mark.parametrize("role", [DatabaseRole.GATEWAY, DatabaseRole.WORKER])
def test_a_table_of_the_owners_is_read_where_tables_are_open(
    engine: Engine, as_service: Callable[[DatabaseRole], PsycopgConnection], role: DatabaseRole
) -> None:
    """Made before or after, in any schema, dropped and made again: read, never written."""
    make = "CREATE SCHEMA {0}; CREATE TABLE {0}.people (id integer); CREATE VIEW {0}.seen AS TABLE {0}.people"
    with transaction(engine) as connection:
        connection.execute(text(make.format("before")))
        connection.execute(text("DROP TABLE IF EXISTS public.frame; CREATE TABLE public.frame (id integer)"))
    driver = as_service(role)
    assert is_refused(driver, "SELECT id FROM before.people")
    open_tables(engine)
    open_tables(engine)
    with transaction(engine) as connection:
        connection.execute(text(make.format('"After all"')))
        connection.execute(text("DROP TABLE public.frame; CREATE TABLE public.frame (id integer)"))
    for name in ("before.people", "before.seen", '"After all".people', '"After all".seen', "public.frame"):
        assert not is_refused(driver, f"SELECT id FROM {name}")
        assert is_refused(driver, f"DELETE FROM {name}")


def test_open_tables_open_none_of_predictqs(
    engine: Engine, as_service: Callable[[DatabaseRole], PsycopgConnection]
) -> None:
    """What its tables and partitions allow is as the table of rights says, also of those that are made later."""
    open_tables(engine)
    run(as_service(DatabaseRole.UPKEEP), "SELECT predictq.make_job_partitions('20 weeks')")
    run(as_service(DatabaseRole.UPKEEP), "SELECT predictq.make_batch_partitions(12)")
    wrong = []
    for role in DatabaseRole:
        allowed, driver = rights(role), as_service(role)
        for name, parent, column, is_table in relations(engine):
            for verb in _ALLOWED if is_table else ("select",):
                changed = updated_column(role, parent, column) if verb == "update" else column
                refused = is_refused(driver, _VERBS[verb].format(table=f"predictq.{name}", column=changed))
                if refused == (verb in allowed[parent]):
                    wrong.append(f"{role}: {verb} {name}")
    assert not wrong
    assert is_refused(as_service(DatabaseRole.WORKER), "SELECT key_hash FROM predictq.api_keys")
