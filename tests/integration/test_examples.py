"""The tables of the examples in a real PostgreSQL: made, filled, and the same for the same seed."""

from __future__ import annotations

from sqlalchemy import Engine, text

from cli.example import Loaded, load_example
from shared.postgres.engine import transaction


def fingerprint(engine: Engine, table: str, key: str) -> str:
    """A digest of all rows."""
    with transaction(engine) as connection:
        found = connection.execute(text(f"SELECT md5(string_agg(t::text, ',' ORDER BY {key})) FROM {table} t"))
        return str(found.scalar_one())


def test_sample_clients_are_the_same_for_the_same_seed_and_ids(engine: Engine) -> None:
    """A sample can be made again elsewhere, in any number of steps, and never overwrites a client."""
    with transaction(engine) as connection:
        connection.execute(text("INSERT INTO predictq_data.clients (client_id) VALUES (10)"))
    assert load_example(engine, "hr_attrition", 30, 5, quiet=True) == Loaded(11, 30)
    assert load_example(engine, "hr_attrition", 20, 5, quiet=True) == Loaded(41, 20)
    first = fingerprint(engine, "predictq_data.clients", "client_id")
    with transaction(engine) as connection:
        connection.execute(text("DELETE FROM predictq_data.clients WHERE client_id > 10"))
    load_example(engine, "hr_attrition", 50, 5, quiet=True)
    assert fingerprint(engine, "predictq_data.clients", "client_id") == first


def test_the_sample_makes_its_own_table(engine: Engine) -> None:
    """It is a plain table, as a user would make one: nothing of the service has to make it."""
    with transaction(engine) as connection:
        connection.execute(text("DROP TABLE predictq_data.clients"))
    assert load_example(engine, "hr_attrition", 3, 0, quiet=True) == Loaded(1, 3)
