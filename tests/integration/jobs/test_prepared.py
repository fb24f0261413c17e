"""Statements that are planned once for each connection: the same answers, whatever happens to plan or connection."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from shared.postgres.arrays import array_text, nullable_array_text
from shared.postgres.engine import autocommit
from shared.postgres.prepared import PreparedStatement, run_prepared

NAMED = PreparedStatement(
    "read",
    """SELECT t."a$1%s" || ' $2 100%' || n FROM things t CROSS JOIN unnest($1) AS given (n) WHERE t.k = ANY ($2)""",
    {"texts": "text[]", "keys": "integer[]"},
    "SET LOCAL statement_timeout = 1000; ",
)
VALUES = {"texts": array_text(['x\\"y']), "keys": "{1}"}
ANSWER = [('one $2 100%x\\"y',)]


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """In autocommit, in a database that has a table `things`."""
    with autocommit(engine) as made:
        made.exec_driver_sql('CREATE TABLE things (k integer PRIMARY KEY, "a$1%%s" text)')
        made.exec_driver_sql("INSERT INTO things VALUES (1, 'one')")
        yield made


def run(connection: Connection) -> list[tuple[str]]:
    return [tuple(row) for row in run_prepared(connection, NAMED, VALUES)]


def kept(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one())


def test_a_statement_is_planned_once_and_reads_by_indexes(connection: Connection) -> None:
    """By the generic plan each time, which an empty table would not have led to; nothing of its settings stays."""
    for _ in range(8):
        assert run(connection) == ANSWER
    uses = connection.exec_driver_sql("SELECT generic_plans, custom_plans FROM pg_prepared_statements").one()
    assert tuple(uses) == (8, 0)
    assert connection.exec_driver_sql("SHOW enable_seqscan").scalar_one() == "on"
    assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() != "1s"
    connection.exec_driver_sql("SET enable_seqscan = off")
    connection.exec_driver_sql("SET plan_cache_mode = force_generic_plan")
    plan = connection.exec_driver_sql(f"EXPLAIN EXECUTE {NAMED.name} ('{{}}', '{{1}}')").scalars()
    assert "things_pkey" in "\n".join(plan)


def test_a_plan_follows_the_table(connection: Connection) -> None:
    """After a change of the table it is made anew; a column that is gone is told as in any statement."""
    assert run(connection) == ANSWER
    connection.exec_driver_sql("ALTER TABLE things ADD COLUMN other text")
    assert run(connection) == ANSWER
    connection.exec_driver_sql('ALTER TABLE things DROP COLUMN "a$1%%s"')
    with pytest.raises(Exception, match="does not exist"):
        run(connection)
    assert kept(connection) == 1


def test_behind_a_pooler_it_goes_as_a_plain_statement(connection: Connection) -> None:
    """The next message meets a server process that knows nothing of it, or one that knows it from somebody else."""
    assert run(connection) == ANSWER
    connection.exec_driver_sql("DEALLOCATE ALL")
    assert run(connection) == ANSWER
    assert (run(connection), kept(connection)) == (ANSWER, 0)
    connection.info.clear()
    connection.exec_driver_sql(NAMED.preparation, {})
    assert (run(connection), kept(connection)) == (ANSWER, 1)


def test_a_connection_keeps_a_few_plans(connection: Connection) -> None:
    """What comes later goes as a plain statement."""
    for number in range(40):
        statement = PreparedStatement("add", f"SELECT {number} + $1", {"one": "integer"})
        assert run_prepared(connection, statement, {"one": 1}).scalar_one() == number + 1
    assert kept(connection) == 16


def test_a_new_connection_prepares_anew(connection: Connection, engine: Engine) -> None:
    """What was kept is gone with the connection to the server."""
    assert run(connection) == ANSWER
    connection.invalidate()
    connection.close()
    with autocommit(engine) as other:
        assert run(other) == ANSWER
        assert kept(other) == 1


_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.none() | _TEXTS | st.sampled_from(["NULL", "", '"', "\\", "{,}", " a "]), max_size=6))
def test_arrays_come_through_as_they_were(connection: Connection, values: list[str | None]) -> None:
    """Texts of any signs, and missing ones; where all are missing there is no array."""
    literal = nullable_array_text(values)
    found = connection.exec_driver_sql("SELECT %(given)s::text[]", {"given": literal}).scalar_one()
    assert found == (values if any(value is not None for value in values) else None)
    if None not in values:
        whole = array_text([value for value in values if value is not None])
        assert connection.exec_driver_sql("SELECT %(given)s::text[]", {"given": whole}).scalar_one() == values


def test_numbers_and_truth_values_are_read_as_such(connection: Connection) -> None:
    """Each in an array of its type."""
    query = "SELECT %(numbers)s::bigint[], %(truths)s::boolean[]"
    given_values = {"numbers": nullable_array_text([2**62, None, -1]), "truths": nullable_array_text([True, False])}
    row = connection.exec_driver_sql(query, given_values).one()
    assert tuple(row) == ([2**62, None, -1], [True, False])


def test_a_text_with_a_nul_is_refused_before_it_is_sent(connection: Connection) -> None:
    """As the driver does with any text."""
    with pytest.raises((ValueError, psycopg2.Error)):
        connection.exec_driver_sql("SELECT %(given)s::text[]", {"given": nullable_array_text(["a\0"])})
