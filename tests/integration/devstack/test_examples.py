"""The tables of the examples in a real PostgreSQL: made, filled, and the same for the same seed."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
from sqlalchemy import Engine, text

from cli.example import Loaded, load_example
from examples.motor_claims.columns import FEATURES
from examples.motor_claims.dataset import generate
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


def test_policies_lie_in_two_tables_and_a_view(engine: Engine) -> None:
    """Loaded in two steps they are the same as in one; keys are texts, and types are those of a user's own schema."""
    assert load_example(engine, "motor_claims", 400, 5, quiet=True) == Loaded("P-00000001", 400)
    assert load_example(engine, "motor_claims", 100, 5, quiet=True) == Loaded("P-00000401", 100)
    first = fingerprint(engine, "crm.policies", "policy_no")
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM crm.policies")).scalar_one() == 500
        rhone = text("SELECT count(*) FROM crm.policyholders WHERE region = 'Rhône'")
        assert connection.execute(rhone).scalar_one() > 10
        gaps = text("SELECT count(*) FROM crm.vehicles WHERE vehicle_value IS NULL")
        assert connection.execute(gaps).scalar_one() > 10
        types = {
            row.attname: row.type
            for row in connection.execute(
                text("""SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute
                        WHERE attrelid = 'crm.policies'::regclass""")
            )
        }
        connection.execute(text("DROP SCHEMA crm CASCADE"))
    assert types["policy_no"] == "text"
    assert types["birth_date"] == "date"
    assert types["last_contact_at"] == "timestamp with time zone"
    assert types["annual_premium"] == "numeric"
    assert len(types) == 22
    load_example(engine, "motor_claims", 500, 5, quiet=True)
    assert fingerprint(engine, "crm.policies", "policy_no") == first


def test_what_is_generated_is_what_is_read_back(engine: Engine) -> None:
    """Dates, decimals, booleans and gaps come through COPY as they were drawn."""
    load_example(engine, "motor_claims", 50, 3, quiet=True)
    drawn = next(generate(50, 3)).set_index("policy_no")
    with transaction(engine) as connection:
        rows = connection.execute(text("SELECT * FROM crm.policies ORDER BY policy_no")).mappings().all()
    for row in rows:
        expected = drawn.loc[row["policy_no"]]
        for name in FEATURES:
            value, wanted = row[name], expected[name]
            if pd.isna(wanted):
                assert value is None, name
            elif hasattr(wanted, "date") and not hasattr(value, "hour"):
                assert value == wanted.date(), name
            else:
                assert (float(value) if isinstance(value, Decimal) else value) == wanted, name
