"""The compose tests need a Docker engine and build images, so they run only when asked for by their marker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.stack import Stack


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this directory out of plain test runs: not skipped, not there."""
    return None if config.getoption("markexpr") == "compose" else True


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The stack of docker-compose.yml, built and started, with clients and a live model; removed at the end."""
    with Stack() as stack:
        stack.build()
        stack.start()
        stack.fill()
        yield stack
