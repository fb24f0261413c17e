"""Which stack a command means, and that a key goes to nobody else's gateway."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from cli.arguments.directory_option import add_directory_option
from cli.commands.operating.shell import url
from cli.connection.address import api_address, choose_directory, fill_environment, find_stack, known_gateway
from cli.errors import GatewayDown, NoStack, UsageProblem
from cli.main import app
from devstack.errors import NotRunning
from devstack.state import StackState, StateDirectory, load_state


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[StackState]:
    """A stack whose supervisor is this process, with something that listens in the gateway's place."""
    for name in ("DATABASE_URL", "REDIS_URL", "PREDICTQ_API_URL", "PREDICTQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        url = f"http://127.0.0.1:{gateway.getsockname()[1]}"
        yield StackState(os.getpid(), "postgresql+psycopg2://d", "redis://r", url, "pq_local")
    choose_directory(None)


@pytest.fixture
def stranger() -> Iterator[int]:
    """A port on which a program listens that is none of ours."""
    code = """
import os, socket, sys
if os.fork():
    os._exit(0)
os.setsid()
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        yield int(child.stdout.readline())


def test_the_stack_is_found_from_directories_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: StackState
) -> None:
    """A second terminal anywhere in the project needs no addresses; what the environment says goes first."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    monkeypatch.setenv("REDIS_URL", "redis://mine")
    with StateDirectory(tmp_path / ".predictq") as directory:
        directory.publish(state)
        assert find_stack() == state
        assert api_address(None, None).key == "pq_local"
        fill_environment(redis=True)
        assert (os.environ["DATABASE_URL"], os.environ["REDIS_URL"]) == (state.database_url, "redis://mine")
    assert find_stack() is None


def test_more_services_of_a_stack_have_what_its_own_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: StackState
) -> None:
    """Where sources elsewhere have their addresses, that there is a Flower …: `predictq worker` needs it as well."""
    monkeypatch.chdir(tmp_path)
    for name in ("PREDICTQ_ENV_FILE", "PREDICTQ_FLOWER", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREDICTQ_FLOWER", "False")
    with StateDirectory(tmp_path / ".predictq") as directory:
        directory.publish(replace(state, environment={"PREDICTQ_ENV_FILE": "/stack/.env", "PREDICTQ_FLOWER": "True"}))
        fill_environment(redis=True)
    assert os.environ["PREDICTQ_ENV_FILE"] == "/stack/.env"
    assert os.environ["PREDICTQ_FLOWER"] == "False"  # what the environment says goes first


def test_the_address_of_the_database_is_for_any_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: StackState, capsys: pytest.CaptureFixture[str]
) -> None:
    """pg_dump and psql know no drivers of SQLAlchemy."""
    monkeypatch.chdir(tmp_path)
    with StateDirectory(tmp_path / ".predictq") as directory:
        directory.publish(state)
        url(database=True)
    assert capsys.readouterr().out == "postgresql://d\n"


def test_the_local_key_is_sent_to_the_local_gateway_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: StackState
) -> None:
    """Naming another gateway must not hand it our key."""
    monkeypatch.chdir(tmp_path)
    with StateDirectory(tmp_path / ".predictq") as directory:
        directory.publish(state)
        assert api_address(state.api_url + "/", None).key == "pq_local"
        assert api_address("http://elsewhere", None).key is None
        assert api_address("http://elsewhere", "pq_theirs").key == "pq_theirs"


def test_a_stack_that_died_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: StackState
) -> None:
    """stack.json of a killed `up` is passed over, and the error says what to do."""
    directory = tmp_path / ".predictq"
    directory.mkdir()
    write_state(directory, replace(state, pid=2**22 + 1))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoStack, match="predictq up"):
        api_address(None, None)
    with pytest.raises(NoStack, match="DATABASE_URL and REDIS_URL"):
        fill_environment(redis=True)


def write_state(directory: Path, state: StackState) -> None:
    values = {name: getattr(state, name) for name in StackState.__dataclass_fields__}
    (directory / "stack.json").write_text(json.dumps(values))


def test_a_process_id_that_a_stranger_has_by_now_leads_nobody_to_him(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: StackState
) -> None:
    """What a killed `up` left, with the number of a process that lives and listens: neither found nor given a key."""
    directory = tmp_path / ".predictq"
    directory.mkdir()
    (directory / "lock").write_text(f"{os.getpid()}\n")
    write_state(directory, state)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotRunning):
        load_state(directory)
    with pytest.raises(NoStack):
        api_address(None, None)
    assert api_address(state.api_url, None).key is None


def test_while_the_gateway_is_down_its_key_is_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: StackState, stranger: int
) -> None:
    """A crashed gateway's port may be a stranger's for the second until it is started again."""
    monkeypatch.chdir(tmp_path)
    url = f"http://127.0.0.1:{stranger}"
    with StateDirectory(tmp_path / ".predictq") as directory:
        directory.publish(replace(state, api_url=url))
        for asked in (None, url):
            with pytest.raises(GatewayDown, match="is not up"):
                api_address(asked, None)
        assert api_address(url, "pq_theirs").key == "pq_theirs"  # given by the user, for this very address


def test_a_chosen_directory_goes_over_place_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: StackState
) -> None:
    """`--directory` names the stack wherever one is, whatever the environment names; one where none runs is said."""
    elsewhere = tmp_path / "my stack"
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.setenv(name, "another's")
    monkeypatch.setenv("PREDICTQ_API_URL", "http://another")
    monkeypatch.setenv("PREDICTQ_API_KEY", "pq_another")
    with StateDirectory(elsewhere) as directory:
        directory.publish(state)
        assert find_stack() is None
        choose_directory(elsewhere)
        assert find_stack() == state
        address = api_address("http://another", "pq_another")
        assert (address.url, address.key) == (state.api_url, "pq_local")
        assert getattr(known_gateway(), "url", None) == state.api_url
        fill_environment(redis=True)
        assert (os.environ["DATABASE_URL"], os.environ["REDIS_URL"]) == (state.database_url, state.redis_url)
    with pytest.raises(NoStack, match=r"nothing runs in .*predictq up --directory '.*my stack'") as raised:
        api_address(None, None)
    assert raised.value.says_start  # doctor says it once


def test_every_command_takes_a_directory() -> None:
    """At any depth; nobody has to remember which do."""
    root = typer.main.get_command(app)
    add_directory_option(root)

    def lacking(command: object, name: str) -> list[str]:
        has = any("--directory" in parameter.opts for parameter in command.params)  # type: ignore[attr-defined]
        below = getattr(command, "commands", {})
        return ([] if has else [name]) + [one for sub in below for one in lacking(below[sub], f"{name} {sub}")]

    assert lacking(root, "predictq") == []


def test_a_key_is_read_without_the_end_of_its_line(state: StackState) -> None:
    """As from a file of Windows; one with another strange sign is refused and not shown."""
    for written in ("pq_theirs\r", "pq_theirs\n", " pq_theirs\t"):
        assert api_address(state.api_url, written).key == "pq_theirs"
    for wrong in ("pq_thé", "pq_the irs", "pq_the\x00irs", "pq_the\r\nirs"):
        with pytest.raises(UsageProblem) as refused:
            api_address(state.api_url, wrong)
        assert "pq_the" not in str(refused.value)
