"""Whatever a test starts as a service runs under the service's own database role, as PostgreSQL sees it."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from shared.config import Environment, Settings
from shared.database_role import DatabaseRole
from shared.postgres.engine import autocommit
from shared.status import JobStatus
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.integration.stored.upkeep_support import upkeep_process
from tests.support import OWNER, add_clients, add_model, environment, wait_for_job, wait_until, worker_process

# The names under which programs connect, and whose role they have.
_PROGRAMS = {
    r"predictq-api-": DatabaseRole.GATEWAY,
    r"upkeep@": DatabaseRole.UPKEEP,
    r"roles@[^/]*(/\d+)?$": DatabaseRole.WORKER,
    r"roles@.*/planner": DatabaseRole.WORKER,
    r"roles@.*/errands": DatabaseRole.WORKER,
}

_CONNECTED = text("""
SELECT application_name, usename FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
""")


def test_services_of_tests_have_the_roles_of_production(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    """The gateway, the upkeep process, and the programs of a worker: each by its name in pg_stat_activity."""
    add_model(engine)
    add_clients(engine, 1)
    seen: dict[str, set[str]] = {}

    def all_have_connected() -> bool:
        with autocommit(engine) as connection:
            for name, role in connection.execute(_CONNECTED):
                if name != "test":
                    seen.setdefault(name, set()).add(role)
        return all(any(re.match(program, name) for name in seen) for program in _PROGRAMS)

    with (
        worker_process(settings, name="roles"),
        upkeep_process(settings, tmp_path / "upkeep.log"),
        running_gateway(settings, new_key(engine, OWNER)) as gateway,
    ):
        job = gateway.post("/v1/predict", json={"client_id": 1}).json()
        assert wait_for_job(engine, UUID(job["id"])).status is JobStatus.SUCCEEDED
        wait_until(all_have_connected, seconds=60, what=f"all programs connect: {seen}")
    wanted = {
        name: {role.default_name for program, role in _PROGRAMS.items() if re.match(program, name)} for name in seen
    }
    assert seen == wanted


def test_no_service_is_started_as_the_owner(settings: Settings) -> None:
    """Settings of the owner alone are refused wherever tests start services."""
    urls = settings.database_url, settings.redis_url
    owners = Settings(database_url=urls[0], redis_url=urls[1], environment=Environment.DEVELOPMENT)
    with pytest.raises(AssertionError, match="the gateway would run as the database's owner"):
        running_gateway(owners).__enter__()
    with pytest.raises(AssertionError, match="would run as the database's owner"):
        environment(owners)
