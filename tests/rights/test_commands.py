"""Each command makes the calls of its line in the table: all of them are run against a gateway, a worker and upkeep."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import joblib
import pytest
from click.testing import Result
from sqlalchemy import Engine
from typer.testing import CliRunner

from cli.connection import client as client_module
from cli.main import app
from shared.config import Settings
from shared.database_role import DatabaseRole
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.models import TestModel
from tests.rights.table import BY_NAME, COMMANDS, DATABASE, MACHINE, SERVERS
from tests.support import ROOT, add_clients, add_model, environment, stop, wait_until, worker_process

# It runs others of these as processes of their own, each with the calls of its own line.
_MADE_OF_OTHERS = {"example train": {"sources add", "models register"}}
_WAIT_SECONDS = 1  # that a command waits within one call: so some take more
_DEPARTMENTS = ("Sales", "Research & Development", "HR")  # the first two as the clients' table has them
_FEATURES = {"age": 40, "monthly_income": 5000, "department": "Sales", "over_time": True}


@dataclass
class Shell:
    """Runs commands in this process, and notes the calls that each has made."""

    directory: Path
    gateway: Gateway
    called: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _now: str = ""

    def run(self, command: str, *arguments: str, status: int = 0) -> Result:
        """One command, which must end with this status."""
        self._now = command
        done = CliRunner().invoke(app, [*command.split(), *arguments])
        assert done.exit_code == status, f"{command} {arguments}: {done.output} {done.exception!r}"
        return done

    def ask(self, command: str, *arguments: str, status: int = 0) -> Any:
        """The same with --json: what it has printed."""
        return json.loads(self.run(command, *arguments, "--json", status=status).stdout)

    @contextlib.contextmanager
    def held_back(self, command: str) -> Iterator[None]:
        """What is asked in the block is not answered before the command has asked a second time."""
        self.run("pause", "--queue", "interactive", "--reason", "so that one call is not enough")
        (pause,) = self.gateway.get("/v1/pauses").json()["pauses"]

        def resume() -> None:
            wait_until(lambda: "GET /v1/jobs/{job_id}" in self.called[command], what=f"the second call of {command}")
            self.gateway.delete(f"/v1/pauses/{pause['id']}")

        with ThreadPoolExecutor(1) as thread:
            resumed = thread.submit(resume)
            yield
            resumed.result()

    def note(self, request: httpx.Request) -> None:
        """For httpx: a call goes out."""
        self.called[self._now].add(_template(request.method, request.url.path))


def _template(method: str, path: str) -> str:
    """The call of the table that this is; one that names nothing in its path comes first."""
    calls = sorted((call for call in BY_NAME.values() if call.method == method), key=lambda call: call.path.count("{"))
    return next(call.name for call in calls if re.fullmatch(re.sub(r"{\w+}", "[^/]+", call.path), path))


@pytest.fixture
def shell(settings: Settings, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Commands of an admin, on a stack with clients and a live model."""
    add_clients(engine, 300)
    add_model(engine)
    open_http = client_module.open_http

    patient = settings.model_copy(update={"batch_timeout_seconds": 60})
    key = new_key(engine, "root", is_admin=True)
    with running_gateway(patient, key) as gateway, worker_process(patient), _upkeep(patient):
        for name, value in _addresses(gateway, key, settings).items():
            monkeypatch.setenv(name, value)
        wait_until(lambda: gateway.get("/v1/workers").json()["workers"], what="a worker")
        shell = Shell(tmp_path, gateway)

        def open_noted(*arguments: Any, **options: Any) -> httpx.Client:
            opened = open_http(*arguments, **options)
            opened.event_hooks = {**opened.event_hooks, "request": [*opened.event_hooks["request"], shell.note]}
            return opened

        monkeypatch.setattr(client_module, "open_http", open_noted)
        monkeypatch.setattr(client_module, "WAIT_SECONDS", _WAIT_SECONDS)
        yield shell


def _addresses(gateway: Gateway, key: str, settings: Settings) -> dict[str, str]:
    database = settings.database_url.get_secret_value()
    roles = {role.variable: database for role in DatabaseRole}
    return {"PREDICTQ_API_URL": str(gateway.base_url), "PREDICTQ_API_KEY": key, "DATABASE_URL": database, **roles}


@contextlib.contextmanager
def _upkeep(settings: Settings) -> Iterator[None]:
    command = [sys.executable, "-m", "worker.upkeep"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(settings), stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        stop(process)


@pytest.mark.timeout(600)
def test_every_command_makes_the_calls_of_its_line(shell: Shell) -> None:
    """No more, so that the roles of its line are enough, and no fewer, so that none is asked for in vain."""
    for part in _PARTS:
        part(shell)
    wanted = {
        command: {call for call in calls if call in BY_NAME}
        for command, calls in COMMANDS.items()
        if command not in _MADE_OF_OTHERS
    }
    wanted = {command: calls for command, calls in wanted.items() if calls}
    assert {command: calls ^ wanted.get(command, set()) for command, calls in shell.called.items()
            if calls != wanted.get(command)} == {}  # fmt: skip
    assert wanted.keys() - shell.called.keys() == set()
    known = {DATABASE, SERVERS, MACHINE, f"{DATABASE} with --first"}
    assert {call for calls in COMMANDS.values() for call in calls} - BY_NAME.keys() - known == set()


def _jobs(shell: Shell) -> None:
    single = shell.ask("predict", "5", "--wait")
    features = shell.directory / "features.json"
    features.write_text(json.dumps(_FEATURES))
    for command, *arguments in (("predict", "6"), ("predict-raw", "--features", str(features))):
        with shell.held_back(command):
            shell.run(command, *arguments, "--wait")
    shell.run("trace", single["request_id"])
    shell.run("count")
    listed, table = shell.directory / "ids.csv", shell.directory / "table.parquet"
    listed.write_text("client_id\n1\n2\n")
    _write_table(table)
    job = shell.ask("bulk", "--all", "--watch")["id"]
    shell.run("bulk", "--ids", str(listed), "--watch")
    shell.run("bulk", "--file", str(table), "--watch")
    missing = shell.directory / "missing.csv"
    missing.write_text("client_id\n1\n999999\n")
    failed = shell.ask("bulk", "--ids", str(missing), "--watch")["id"]
    shell.run("jobs")
    shell.run("job", job, "--watch")
    for ending in ("csv", "parquet"):
        shell.run("results", job, "--output", str(shell.directory / f"answers.{ending}"))
    shell.run("repeat", job, "--watch")
    shell.run("retry", failed, "--watch", status=3)  # she is not there this time either
    shell.run("pause", "--queue", "bulk", "--reason", "so that something waits")
    waiting = shell.ask("bulk", "--all")["id"]
    shell.run("pauses")
    shell.run("cancel", waiting)
    shell.run("cancel", "--kind", "bulk")
    shell.run("resume", "--queue", "bulk")


def _write_table(path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"client_id": [1, 2, 3]}).to_parquet(path)


def _models(shell: Shell) -> None:
    file = shell.directory / "model.joblib"
    joblib.dump(TestModel(), file)
    (shell.directory / "signature.json").write_text(json.dumps(_signature(shell)))
    corrected = ["--signature", str(shell.directory / "signature.json"), "--source", "clients"]
    shell.run("models register", "other", str(file), *corrected, "--promote", "--force", "a model of tests")
    shell.run("models list")
    for model in ("default", "other:1"):
        for command in ("models show", "models environment"):
            shell.run(command, model)
    shell.run("models diff", "default", "other:1")
    for model in ("other", "other:1"):
        shell.run("models check", model)
        shell.run("promote", model)
    shell.run("models describe", "other", "of the tests")
    shell.run("models default", "default")
    joblib.dump(TestModel(offset=0.001), file)
    shell.run("models register", "other", str(file), *corrected, "--force", "a model of tests")
    shell.run("promote", "other:2")
    shell.run("rollback", "other")
    shell.run("models retire", "other:2")
    shell.run("models withdraw", "other", "--reason", "the end of the tests")


def _signature(shell: Shell) -> Any:
    return shell.ask("models show", "default:1")["signature"]


def _training(shell: Shell) -> None:
    options = ["--target", "over_time", "--splits", "2", "--source", "clients"]
    file = shell.directory / "training.csv"
    rows = [f"{20 + n % 40},{3000 + 10 * n},{_DEPARTMENTS[n % 3]},{n % 40 > 20}" for n in range(300)]
    file.write_text("\n".join(["age,monthly_income,department,over_time", *rows]))
    shell.run("train", str(file), *options, "--model", "learnt", "--promote")
    shell.run("train", *options, "--output", str(shell.directory / "learnt"))


def _sources(shell: Shell) -> None:
    shell.run("sources add", "more", "--table", "predictq_data.clients", "--key", "client_id")
    for command in ("sources show", "sources check", "sources remove"):
        shell.run(command, "more")
    shell.run("sources list")


def _operating(shell: Shell) -> None:
    for command in ("workers", "storage", "keys list", "audit list", "open"):
        shell.run(command)
    shell.run("audit export", "--output", str(shell.directory / "audit.ndjson"))
    made = shell.ask("keys create", "somebody")["prefix"]
    newer = shell.ask("keys rotate", made)["prefix"]
    shell.run("keys revoke", newer)


def _stored(shell: Shell) -> None:
    shell.run("retention set", "13 months")
    shell.run("retention floor", "6 months")
    shell.run("retention show")
    for options in (["--dry-run"], []):
        shell.run("retention run", *options)
    hold = shell.ask("holds add", "--model", "default", "--reason", "a complaint")["id"]
    shell.run("holds list")
    shell.run("holds release", str(hold))
    shell.run("clients answers", "5", "--source", "clients")
    shell.run("clients export", "5", "--source", "clients")
    shell.run("clients erase", "5", "--source", "clients", "--reason", "art. 17")
    shell.run("erasures list")
    log = shell.directory / "erasures.log"
    log.write_text(json.dumps({"source": "clients", "hash": "ab" * 32}) + "\n")
    shell.run("erasures replay", str(log))


_PARTS: Sequence[Callable[[Shell], None]] = (_jobs, _models, _training, _sources, _operating, _stored)
