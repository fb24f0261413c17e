"""The one stack that the end-to-end tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.support import CLIENTS, Up, running_up

CLIENT_SECRET = "planted-client-secret-of-the-screens"
SIGN_IN = {  # by a provider that is away
    "PREDICTQ_OIDC_ISSUER": "https://127.0.0.1:9",
    "PREDICTQ_OIDC_AUDIENCE": "predictq",
    "PREDICTQ_OIDC_CLIENT_ID": "predictq-screens",
    "PREDICTQ_OIDC_CLIENT_SECRET": CLIENT_SECRET,
}


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running `predictq up` with a model and sample clients."""
    directory = tmp_path_factory.mktemp("stack")
    with running_up(directory, "--example", "hr_attrition", "--rows", str(CLIENTS), "--workers", "2", **SIGN_IN) as up:
        yield up
