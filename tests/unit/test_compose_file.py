"""What docker-compose.yml asks of the engine for each service. tests/compose looks at the running containers."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.support import ROOT

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))[
    "services"
]
# PostgreSQL's entry script begins as root, gives its volume to the account postgres, and goes on as that.
CAPABILITIES = {"postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_can_do_no_more_than_it_needs(name: str) -> None:
    """Read-only, without capabilities, without new privileges, with limits of memory and of processes."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", [])) == CAPABILITIES.get(name, set())
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert 0 < service["pids_limit"] <= 512
    assert all("size=" in mount for mount in service.get("tmpfs", []))
    assert not {"privileged", "network_mode", "pid", "ipc", "devices", "userns_mode"} & set(service)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nothing_of_the_machine_is_mounted_and_ports_are_the_machines_own(name: str) -> None:
    """Volumes have names, no paths; a published port listens on 127.0.0.1 unless .env says otherwise."""
    service = SERVICES[name]
    assert [mount for mount in service.get("volumes", []) if mount.startswith((".", "/", "~"))] == []
    assert [port for port in service.get("ports", []) if "_BIND:-127.0.0.1}:" not in port] == []


@pytest.mark.parametrize("file", sorted(ROOT.glob("Dockerfile.*")), ids=lambda file: file.name)
def test_every_image_ends_as_an_ordinary_user(file: Any) -> None:
    """The user of each image is a number in the end, so that an orchestrator sees that it is not root."""
    stages = file.read_text(encoding="utf-8").split("\nFROM ")[1:]
    run = [stage for stage in stages if "\nCMD " in stage]
    assert run
    for stage in run:
        users = [line.split()[1] for line in stage.splitlines() if line.startswith("USER ")]
        assert users
        assert users[-1].split(":")[0].isdecimal()
        assert users[-1].split(":")[0] != "0"
