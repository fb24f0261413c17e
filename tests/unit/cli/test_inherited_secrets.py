"""Secrets in the environment of whoever starts a program: what it needs goes on to it, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.commands.operating import stack
from devstack.services import Services
from shared.config import load_settings
from shared.database_role import DatabaseRole

PLANTED = {"PREDICTQ_API_KEY": "pq_planted", "PREDICTQ_OIDC_CLIENT_SECRET": "planted-secret", "MY_OWN": "mine"}
ADDRESSES = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d", "REDIS_URL": "redis://127.0.0.1:1/0"}


def test_children_of_a_stack_inherit_no_key(tmp_path: Path) -> None:
    """The gateway alone has the secret of the identity provider; no program has the shell's API key."""
    settings = load_settings(database_url=ADDRESSES["DATABASE_URL"], redis_url=ADDRESSES["REDIS_URL"])
    services = Services(settings, {**PLANTED, **ADDRESSES}, tmp_path)
    others = (services.worker(1), services.upkeep(), services.flower(1, "password"))
    for child in (gateway := services.gateway(1), *others):
        has = {name for name in PLANTED if name in child.env}
        assert has == {"MY_OWN"} | ({"PREDICTQ_OIDC_CLIENT_SECRET"} if child is gateway else set()), child.name


@pytest.mark.parametrize("role", list(DatabaseRole))
def test_a_program_that_a_command_becomes_inherits_no_key(monkeypatch: pytest.MonkeyPatch, role: DatabaseRole) -> None:
    """`predictq worker` and its like are programs as those of a stack are."""
    for name, value in {**PLANTED, **ADDRESSES}.items():
        monkeypatch.setenv(name, value)
    found: dict[str, str] = {}
    monkeypatch.setattr(os, "execv", lambda *_: found.update(os.environ))
    stack._become(role, "module")
    kept = {"MY_OWN"} | ({"PREDICTQ_OIDC_CLIENT_SECRET"} if role is DatabaseRole.GATEWAY else set())
    assert {name for name in PLANTED if name in found} == kept
