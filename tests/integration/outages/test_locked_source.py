"""The table of clients belongs to somebody else: a lock on it stops nobody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
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
