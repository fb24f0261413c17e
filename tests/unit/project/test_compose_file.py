"""What docker-compose.yml asks of the engine for each service. tests/compose looks at the running containers."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from devstack.servers.postgres_settings import QUIET
from devstack.servers.redis import ALLOWED, CHANNELS, KEYS
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
    mounts = service.get("volumes", [])
    assert [mount for mount in mounts if isinstance(mount, str) and mount.startswith((".", "/", "~"))] == []
    assert [
        mount for mount in mounts if isinstance(mount, dict) and (mount["type"] != "volume" or "source" in mount)
    ] == []
    assert [port for port in service.get("ports", []) if "_BIND:-127.0.0.1}:" not in port] == []


def test_the_temporary_files_of_a_worker_lie_on_a_volume_of_its_own() -> None:
    """They are larger than memory allows; no two workers share a place; the image gives it to the worker's user."""
    service = SERVICES["worker"]
    place = service["environment"]["TMPDIR"]
    assert {"type": "volume", "target": place} in service["volumes"]
    image = (ROOT / "Dockerfile.worker").read_text(encoding="utf-8")
    assert f"install -d -o 10001 -g 10001 -m 700 {place}\n" in image
    assert "\nUSER 10001:10001\n" in image


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


def test_redis_lets_its_user_what_the_embedded_one_does() -> None:
    """The rights in the compose file are those of `predictq up`, word for word."""
    script = SERVICES["redis"]["command"][2]
    words = script.partition("rights='")[2].partition("'")[0].split()
    keys, channels = [f"~{key}" for key in KEYS], [f"&{channel}" for channel in CHANNELS]
    commands = [f"+{command}" for command in sorted(ALLOWED)]
    assert words == ["resetkeys", *keys, "resetchannels", *channels, "-@all", *commands]


@pytest.mark.parametrize(("name", "role"), [("api", "gateway"), ("worker", "worker"), ("upkeep", "upkeep")])
def test_a_service_has_the_address_of_its_own_database_role_alone(name: str, role: str) -> None:
    """No service knows the owner's password, or another's."""
    environment = SERVICES[name]["environment"]
    addresses = [value for value in map(str, environment.values()) if "postgresql" in value]
    assert len(addresses) == 1
    assert f"//predictq_{role}:${{{role.upper()}_DATABASE_PASSWORD" in addresses[0]
    assert "POSTGRES_PASSWORD" not in str(environment)


def test_postgresql_of_compose_is_as_quiet_as_the_embedded_one() -> None:
    """Each setting that keeps values out of its log, with the same value."""
    given = dict(word.split("=", 1) for word in SERVICES["postgres"]["command"] if "=" in word)
    assert {name: given.get(name) for name in QUIET} == QUIET
