"""Any call that the OpenAPI document allows, and many that it does not: made up by Schemathesis, one after another.

`make test` makes a few of each; `make fuzz` many (PREDICTQ_FUZZ_CALLS).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sqlalchemy import Engine

from shared.config import Settings
from tests.integration.gateway.api_support import add_columns_of_numbers, new_key, running_gateway
from tests.rights.table import CALLS
from tests.support import ROOT, add_clients, add_model, worker_process

_EXAMPLES = int(os.environ.get("PREDICTQ_FUZZ_CALLS", "0"))
_CONFIG = Path(__file__).with_name("schemathesis.toml")
_HOOKS = "tests.integration.gateway.schemathesis_hooks"
# Streams of events do not end, and whoever waits for a worker waits for long. An administrator that finds its own key
# in the list, and revokes it, is a stranger in all later calls.
_LEFT_OUT = r"/events|/count$|/check$|/versions$|/look$|^/v1/sources$|/revoke$"


@pytest.mark.timeout(_EXAMPLES * 60 + 600)
@pytest.mark.parametrize("is_admin", [True, False], ids=["admin", "plain"])
def test_no_call_is_answered_with_what_the_document_does_not_say(
    settings: Settings, engine: Engine, tmp_path: Path, *, is_admin: bool
) -> None:
    """No 500, no undocumented status, shape or header, and nothing invalid is taken."""
    add_model(engine)
    add_clients(engine, 50)
    add_columns_of_numbers(engine)
    key = new_key(engine, "alice", is_admin=is_admin)
    patient = settings.model_copy(update={"failed_keys_per_minute": 1_000_000})
    phases = "examples,coverage,fuzzing,stateful" if _EXAMPLES else "examples,fuzzing,stateful"
    with worker_process(settings), running_gateway(patient, key) as gateway:
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(_CONFIG)),
            *("run", str(gateway.base_url.join("/openapi.json")), "--header", f"Authorization: Bearer {key}"),
            *(
                "--phases",
                phases,
                "--max-examples",
                str(_EXAMPLES or 2),
                "--no-shrink",
            ),
            *("--continue-on-failure", "--no-color", "--exclude-path-regex", _LEFT_OUT, "--warnings", "off"),
            *("--generation-database", "none", "--suppress-health-check", "all", "--request-timeout", "60"),
            *("--max-response-time", "60", "--wait-for-schema", "60"),
            *([] if _EXAMPLES else ["--seed", "1", "--max-time", "15"]),
        ]
        hooked = {**os.environ, "SCHEMATHESIS_HOOKS": _HOOKS, "PYTHONPATH": str(ROOT)}
        found = subprocess.run(command, cwd=tmp_path, env=hooked, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]


def test_every_exception_is_of_calls_that_there_are() -> None:
    """One that matches nothing any more would be left behind, and the next call of that name go unchecked."""
    exceptions = tomllib.loads(_CONFIG.read_text(encoding="utf-8"))["operations"]
    assert exceptions
    for exception in exceptions:
        assert [call.name for call in CALLS if re.search(exception["include-name-regex"], call.name)]
