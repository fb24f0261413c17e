"""Fixtures for the integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from shared.config import Settings
from tests.integration.network import Network
from worker.celery.pool_process import ProcessSlot
from worker.models.model_store import ModelStore
from worker.scoring.scorer import Scorer


@pytest.fixture
def scorer(settings: Settings, engine: Engine) -> Iterator[Scorer]:
    """What a pool process builds after its fork.

    Patient: its heartbeat stays out of the way of tests that end leases by hand, and its watchdog, which would end
    the process of the tests, bears with a busy machine.
    """
    patient = settings.model_copy(update={"lease_seconds": 60, "batch_timeout_seconds": 60})
    slot = ProcessSlot(patient, ModelStore(), node="test")
    slot.prepare()
    yield slot.scorer
    slot.scorer.engine.dispose()


@pytest.fixture
def network(database_url: str) -> Iterator[Network]:
    """The way from the gateway to PostgreSQL."""
    with Network(database_url) as network:
        yield network
