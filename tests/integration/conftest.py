"""Fixtures for the integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from shared.config import Settings
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
