"""What the tests of stored answers share."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from shared.postgres.engine import transaction
from shared.retention.rules.policy import set_period
from tests.integration.stored.upkeep_support import add_version


@pytest.fixture
def version(engine: Engine) -> int:
    """A live version of the default model, kept for 13 months."""
    version_id = add_version(engine)
    with transaction(engine) as connection:
        set_period(connection, "13 months")
    return version_id
