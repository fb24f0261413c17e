"""Calls to the Docker engine that DOCKER_HOST names, and to whichever compose command there is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class CommandFailed(Exception):
    """A command ended with an error; the text is its output."""


def run(*command: str, seconds: float = 120, environment: dict[str, str] | None = None) -> str:
    """Run a command and return what it wrote to standard output. Raises CommandFailed with all its output."""
    result = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
    )
    if result.returncode:
        raise CommandFailed(f"{' '.join(command)}: {result.returncode}\n{result.stdout[-4000:]}{result.stderr[-4000:]}")
    return result.stdout


def compose_command() -> tuple[str, ...]:
    """`docker compose`, or `docker-compose` where Docker has no such plug-in."""
    run("docker", "info")
    try:
        run("docker", "compose", "version")
    except CommandFailed:
        if shutil.which("docker-compose") is None:
            raise
        return ("docker-compose",)
    return ("docker", "compose")


def inspect(name: str) -> dict[str, Any]:
    """What the engine knows of a container or an image."""
    found: list[dict[str, Any]] = json.loads(run("docker", "inspect", name))
    return found[0]


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a container, as the engine's host sees it."""

    user: int
    resident_kb: int
    command: str


def processes(container: str) -> list[Process]:
    """What runs in a container."""
    lines = run("docker", "top", container, "-eo", "pid,uid,rss,args").splitlines()[1:]
    columns = [line.split(maxsplit=3) for line in lines]
    return [Process(int(uid), int(rss), command) for _, uid, rss, command in columns]


def statuses(container: str) -> list[dict[str, str]]:
    """What the kernel says of each process of a container, but for root's, which only begin things there."""
    pids = [line.split()[0] for line in run("docker", "top", container, "-eo", "pid,uid").splitlines()[1:]]
    found = []
    for pid in pids:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if status["Uid"].split()[0] != "0":
            found.append(status)
    return found


def clean_environment(**values: str) -> dict[str, str]:
    """The environment of this process without what would reach into the compose file, and with `values`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COMPOSE_", "PREDICTQ_"))}
    return {**kept, **values}
