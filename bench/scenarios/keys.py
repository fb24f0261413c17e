"""Bulk by text and by uuid keys beside integer ones: the same clients and the same model. Not part of a normal run.

`python -m bench --only keys`. The three take turns.
"""

from __future__ import annotations

from statistics import median

from sqlalchemy import text

from bench.context import Bench, Figures
from bench.report.bill import billing
from bench.scenarios.bulk import submit_all
from bench.stack import Service
from examples.hr_attrition.features import FEATURE_NAMES, KEY
from examples.hr_attrition.load import SCHEMA, TABLE
from model.registration import new_version
from shared.models.registry import promote_version, register_version
from shared.postgres.engine import autocommit, driver_connection, transaction
from shared.sources.description import source_from
from shared.sources.source import add_source
from worker.sources.describing.description import describe

# As policy numbers are, in the order of the table, and as uuids are, in none.
_KEYS = {"integer": KEY, "text": f"'P-' || lpad({KEY}::text, 8, '0')", "uuid": "gen_random_uuid()"}


def measure(bench: Bench) -> Figures:
    """Rows a second of all clients, by the type of their key."""
    with bench.stack.service("keys") as service:
        for kind, expression in _KEYS.items():
            _live(bench, service, kind, expression)
            submit_all(service, model=kind, all=True)  # warms up
        rates: dict[str, list[float]] = {kind: [] for kind in _KEYS}
        costs: dict[str, list[float]] = {kind: [] for kind in _KEYS}
        for _ in range(bench.count(5, 2)):
            for kind in _KEYS:
                with billing(bench.groups(service)) as bill:
                    job, _, seconds = submit_all(service, model=kind, all=True)
                rows = job["request_counts"]["succeeded"]
                rates[kind].append(rows / seconds)
                costs[kind].append(sum(bill.per(rows).values()))
    return {
        "rates": {kind: median(found) for kind, found in rates.items()},
        "rates_by_round": rates,
        "cpu_us_a_row": {kind: median(found) for kind, found in costs.items()},
        "ratio": {
            kind: median(one / other for one, other in zip(rates[kind], rates["integer"], strict=True))
            for kind in ("text", "uuid")
        },
    }


def _live(bench: Bench, service: Service, kind: str, expression: str) -> None:
    """A copy of the sample's table with another key, and the model live on it."""
    table = f"{SCHEMA}.clients_by_{kind}"
    features = ", ".join(FEATURE_NAMES)
    with autocommit(service.engine) as connection:
        connection.execute(
            text(f"CREATE TABLE {table} AS SELECT {expression} AS key, {features} FROM {TABLE} ORDER BY {KEY}")
        )
        connection.execute(text(f"ALTER TABLE {table} ADD PRIMARY KEY (key)"))
        connection.execute(text(f"VACUUM ANALYZE {table}"))
        found = describe(driver_connection(connection), table, key=["key"])
    with transaction(service.engine) as connection:
        source = add_source(connection, source_from(f"clients_by_{kind}", None, found))
        version = register_version(connection, new_version(bench.stack.artefact, source_id=source.id, model=kind))
        promote_version(connection, version.id)
