"""The one stack that the end-to-end tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.support import CLIENTS, Up, running_up


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running `predictq up` with a model and sample clients."""
    directory = tmp_path_factory.mktemp("stack")
    with running_up(directory, "--example", "hr_attrition", "--rows", str(CLIENTS), "--workers", "2") as up:
        yield up
