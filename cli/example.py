"""Examples by name: a room below `examples/` with `load` and `train`.

This is the only place where product code reaches one, and it knows none of them.
"""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
from sqlalchemy import Engine

from cli.errors import UsageProblem
from cli.output.progress import progress
from devstack.services import module_command
from shared.errors import PredictqError

_PACKAGE = "examples"
_GATEWAY_SECONDS, _LOOK_SECONDS = 60.0, 0.2


class ExampleFailed(PredictqError):
    """A command of an example did not succeed."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The rows that were added: `count` of them, the first with the key `first_id`."""

    first_id: Any
    count: int


def example_names() -> list[str]:
    """The examples there are."""
    try:
        package = import_module(_PACKAGE)
    except ModuleNotFoundError:
        return []
    return sorted(found.name for found in pkgutil.iter_modules(package.__path__) if found.ispkg)


def require_example(name: str) -> None:
    """Raise UsageProblem unless there is such an example."""
    names = example_names()
    if name not in names:
        there = f"There are: {', '.join(names)}" if names else "None is installed here."
        raise UsageProblem(f"There is no example {name!r}. {there}")


def load_example(engine: Engine, name: str, rows: int | None, seed: int, *, quiet: bool) -> Loaded:
    """Make the tables of an example and add `rows` rows to them, or as many as it finds right."""
    module = _part(name, "load")
    count = module.ROWS if rows is None else rows
    with progress(f"loading {name}", count, quiet=quiet) as meter:
        return Loaded(module.load(engine, count, seed, meter), count)


def train_example(name: str, directory: Path, seed: int, *, quiet: bool) -> list[list[str]]:
    """Train the models of an example into `directory`; returns the commands that put them to work."""
    module = _part(name, "train")
    with progress(f"training {name}", module.STEPS, unit="steps", quiet=quiet) as meter:
        commands: list[list[str]] = module.train(directory, seed, meter)
    return commands


def run_commands(commands: list[list[str]]) -> Iterator[tuple[list[str], Any]]:
    """Run `predictq` commands one after another, as a user would; yields each with what it printed as JSON.

    Raises ExampleFailed with what a command complained about; those after it are not run.
    """
    wait_for_gateway()
    for command in commands:
        done = subprocess.run(module_command("cli", *command, "--json"), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            complaint = done.stderr.strip().splitlines() or ["it said nothing"]
            raise ExampleFailed(f"`predictq {' '.join(command)}` failed: {complaint[-1]}")
        yield command, json.loads(done.stdout)


def wait_for_gateway() -> None:
    """Return when the gateway answers: at the start of a stack the commands may come before it."""
    from cli.connection.address import api_address  # noqa: PLC0415 - a stack's programs set it in the environment
    from cli.connection.http import open_http  # noqa: PLC0415

    address = api_address(os.environ.get("PREDICTQ_API_URL"), None)
    deadline = time.monotonic() + _GATEWAY_SECONDS
    with open_http(address, timeout=2) as http:
        while time.monotonic() < deadline:
            try:
                if http.get("/health/live").is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(_LOOK_SECONDS)


def _part(name: str, part: str) -> ModuleType:
    require_example(name)
    return import_module(f"{_PACKAGE}.{name}.{part}")
