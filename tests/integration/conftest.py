"""Fixtures for the integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from shared.config import Settings
from tests.integration.api_support import Network
from worker.models import ModelStore
from worker.process import ProcessSlot
from worker.scoring import Scorer


@pytest.fixture
def scorer(settings: Settings, engine: Engine) -> Iterator[Scorer]:
    """What a pool process builds after its fork."""
    slot = ProcessSlot(settings, ModelStore(), node="test")
    slot.prepare()
    yield slot.scorer
    slot.scorer.engine.dispose()


@pytest.fixture
def network(database_url: str) -> Iterator[Network]:
    """The way from the gateway to PostgreSQL."""
    with Network(database_url) as network:
        yield network
