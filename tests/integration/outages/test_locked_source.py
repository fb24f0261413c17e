"""The table of clients belongs to somebody else: a lock on it, or its slowness, stops nobody."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from model.artefact import build_artefact
from model.registration import new_version
from shared.config import Settings
from shared.models.registry import promote_version, register_version
from shared.sources.source import Source, add_source, read_source
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.models import SIGNATURE, TestModel
from tests.support import OWNER, add_clients, add_model


@pytest.fixture
def gateway(engine: Engine, settings: Settings) -> Iterator[Gateway]:
    """A gateway over ten clients and a live model."""
    add_clients(engine, 10)
    add_model(engine)
    with running_gateway(settings, new_key(engine, OWNER)) as client:
        yield client


def test_an_open_alter_table_stops_no_single_job(engine: Engine, gateway: Gateway) -> None:
    """While somebody alters the table, jobs are accepted without a look at it; afterwards 404 is said at once again."""
    assert gateway.post("/v1/predict", json={"client_id": 99}).status_code == 404
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE predictq_data.clients ADD COLUMN note text"))
        for client_id in (1, 99):
            answer = gateway.post("/v1/predict", json={"client_id": client_id})
            assert answer.status_code == 202, answer.text
    gateway.services.intake._unseen_until = 0
    assert gateway.post("/v1/predict", json={"client_id": 99}).status_code == 404


# Each look at a client takes 60 ms.
_SLOW_VIEW = """
CREATE VIEW public.slow AS SELECT * FROM predictq_data.clients WHERE pg_sleep(0.06)::text = '';
GRANT SELECT ON public.slow TO predictq_gateway, predictq_worker
"""


@pytest.mark.parametrize("is_indexed", [False, True])
def test_a_slow_source_stops_nobody(engine: Engine, gateway: Gateway, is_indexed: bool) -> None:
    """However many calls name clients of a slow source at once, none is refused, and none of another model."""
    with engine.begin() as connection:
        connection.execute(text(_SLOW_VIEW))
        fast = read_source(connection, "clients")
        settings = {"is_indexed": is_indexed}
        slow = Source(0, "slow", None, "public", "slow", fast.key, fast.columns, settings=settings)
        slow = add_source(connection, slow)
        version = new_version(build_artefact(TestModel(), SIGNATURE, 0.5, name="slow"), model="slow", source_id=slow.id)
        promote_version(connection, register_version(connection, version).id)
    calls = [{"client_id": 1 + number % 10, "model": "slow"} for number in range(90)]
    calls += [{"client_id": 1 + number} for number in range(5)]
    with ThreadPoolExecutor(len(calls)) as threads:
        answers = list(threads.map(lambda call: gateway.post("/v1/predict", json=call), calls))
    assert {(answer.status_code, answer.text if answer.is_error else "") for answer in answers} == {(202, "")}
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.jobs")).scalar_one() == len(calls)
