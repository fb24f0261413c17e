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
SHELLS_KEY = "pq_planted-in-the-shell-that-starts-the-stack"  # of another stack


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running `predictq up` with a model and sample clients."""
    directory = tmp_path_factory.mktemp("stack")
    options = ("--example", "hr_attrition", "--rows", str(CLIENTS), "--workers", "2")
    with running_up(directory, *options, PREDICTQ_API_KEY=SHELLS_KEY, **SIGN_IN) as up:
        yield up
