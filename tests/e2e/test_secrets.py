"""Secrets of a running stack, sought wherever they do not belong."""

from __future__ import annotations

import base64
import os
import re
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import psutil

from devstack.services import FLOWER_USER
from devstack.supervision import keep_log
from tests.e2e.conftest import CLIENT_SECRET, SHELLS_KEY, SIGN_IN
from tests.e2e.support import Up, command_of
from tests.support import wait_until

# Who has which secret in its own environment, and why: docs/security.md.
HAS = {
    "api": {"gateway's database", "redis", "client secret"},
    "worker": {"worker's database", "redis"},
    "worker.upkeep": {"upkeep's database", "redis"},
    "devstack.flower": {"redis", "flower"},
}


def secrets_of(up: Up) -> dict[str, str]:
    """Each by what it is for."""
    state = up.state
    found = {
        "API key": state["api_key"],
        "owner's database": urlsplit(state["database_url"]).password,
        "redis": urlsplit(state["redis_url"]).password,
        "flower": state["flower_password"],
        "client secret": CLIENT_SECRET,
        "client's login": login(SIGN_IN["PREDICTQ_OIDC_CLIENT_ID"], CLIENT_SECRET),
        "flower's login": login(FLOWER_USER, state["flower_password"]),
        "shell's key": SHELLS_KEY,
        "link": new_link(up),
        "printed link": re.findall(r"link=([\w-]+)", up.log.read_text())[0],
    }
    for role in ("gateway", "worker", "upkeep"):
        found[f"{role}'s database"] = urlsplit(state[f"{role}_database_url"]).password
    assert all(len(secret) > 10 for secret in found.values())
    assert len(set(found.values())) == len(found)
    return found


def login(user: str, secret: str) -> str:
    """As a header has it."""
    return base64.b64encode(f"{user}:{secret}".encode()).decode()


def new_link(up: Up) -> str:
    answer = call(up, "POST", "/v1/sign-in-links")
    return str(httpx.URL(answer.json()["path"]).params["link"])


def call(up: Up, method: str, path: str, **options: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {up.state['api_key']}"}
    return httpx.request(method, up.state["api_url"] + path, headers=headers, timeout=20, **options)  # type: ignore[arg-type]


def told(text: str, secrets: dict[str, str]) -> set[str]:
    """Which of the secrets stand in a text, as they are or as in an address."""
    return {name for name, secret in secrets.items() if secret in text or quote(secret, safe="") in text}


def provoke(up: Up, link: str) -> Iterator[tuple[str, str]]:
    """Calls that go well and calls that do not, with what is answered."""
    base = up.state["api_url"]
    for path in ("/metrics", "/openapi.json", "/health", "/v1/sources", "/v1/workers", "/v1/audit", "/v1/attention"):
        yield path, call(up, "GET", path).text
    for path in ("/v1/jobs/none", "/v1/jobs?cursor=x", "/v1/models/none", "/no/such/path", "/v1/predictions/1-1"):
        yield path, call(up, "GET", path).text
    for body in (b"{", b'{"client_id": {}}', b'{"client_id": "no number"}', b'{"nothing": 1}'):
        yield "/v1/predict", call(up, "POST", "/v1/predict", content=body).text
    cut = up.state["api_key"][:-1]
    for header in (
        f"Bearer {up.state['api_key']}x",
        f"Bearer {cut}",
        up.state["api_key"],
        f"Basic {up.state['api_key']}",
    ):
        yield "a wrong key", httpx.get(f"{base}/v1/jobs", headers={"Authorization": header}).text
    yield "a link", httpx.get(f"{base}/sign-in", params={"link": link}).text
    yield "the same link again", httpx.get(f"{base}/sign-in", params={"link": link}).text
    yield "an answer of no provider", httpx.get(f"{base}/sign-in/callback", params={"code": "c", "state": "s"}).text
    yield "the way to a provider that is away", httpx.get(f"{base}/sign-in/provider").text
    yield "a page", httpx.get(f"{base}/sign-in").text
    for log in (up.directory / ".predictq" / "logs").glob("worker.log"):
        for port in set(re.findall(r'"metrics_port": (\d+)', log.read_text())):
            try:
                yield "a worker's metrics", httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text
            except httpx.TransportError:
                continue  # a worker of before


def crash_servers(up: Up) -> Iterator[str]:
    """What is answered while PostgreSQL and Redis come back from a crash."""
    for program in ("valkey-server", "postgres"):
        children = psutil.Process(up.process.pid).children()
        server = next(child for child in children if any(program in part for part in command_of(child)[:1]))
        server.send_signal(signal.SIGKILL)
        yield call(up, "GET", "/v1/jobs").text
        yield call(up, "POST", "/v1/predict", json={"client_id": 1}).text
        yield up.run("doctor").stdout
        wait_until(lambda: call(up, "GET", "/health/ready").is_success, seconds=60, what=f"{program} is back")


def test_no_secret_is_where_it_does_not_belong(up: Up) -> None:
    """Not in the list of processes, in a child's environment that does not need it, in metrics, answers or logs."""
    secrets = secrets_of(up)
    looked_at = set()
    for what, text in provoke(up, secrets["link"]):
        assert told(text, secrets) == set(), what
        looked_at.add(what)
    assert "a worker's metrics" in looked_at
    for text in crash_servers(up):
        assert told(text, secrets) == set()
    # Ready is said while Redis is still away.
    needed = {*HAS, "postgres", "valkey-server", "keep_log.py"}
    wait_until(lambda: needed <= {name for _, name in programs(up)}, seconds=60, what="all programs run")
    for process in psutil.process_iter():
        assert told(" ".join(command_of(process)), secrets) == set(), process
    for program, has in HAS.items():
        (child,) = up.children_named(program)
        assert told(environment_of(child), secrets) == has, program
    for process, name in programs(up):
        # What a worker starts beside itself to plan, to run errands and to score connects as it does.
        program = name if name in HAS else name.partition(".")[0]
        assert told(environment_of(process), secrets) <= HAS.get(program, set()), name
    for log in logs_of(up):
        assert told(log.read_text(errors="replace"), secrets) == set(), log
    printed = {"API key", "printed link", "flower"}  # `up` shows them to whoever started it
    assert told(up.log.read_text(), secrets) <= printed


def programs(up: Up) -> Iterator[tuple[psutil.Process, str]]:
    """What `up` has started, at any depth, by the module or the program that runs."""
    for process in up.family():
        command = command_of(process)
        if not command:
            continue
        named = next((after for before, after in pairwise(command) if before == "-m"), "")
        keeper = Path(keep_log.__file__).name if keep_log.__file__ in command else ""
        parent = process.parent()
        inherited = "" if parent is None or parent.pid == up.process.pid else name_of_module(command_of(parent))
        yield process, keeper or named or inherited or process.name()


def name_of_module(command: list[str]) -> str:
    return command[command.index("-m") + 1] if "-m" in command[:-1] else ""


def environment_of(process: psutil.Process) -> str:
    try:
        return "\n".join(f"{name}={value}" for name, value in process.environ().items())
    except psutil.NoSuchProcess:
        return ""
    except psutil.AccessDenied:
        # Root's PostgreSQL runs as somebody else, whose environment not every root may read.
        if process.uids().real == os.geteuid():
            raise
        return ""


def logs_of(up: Up) -> Iterator[Path]:
    directory = up.directory / ".predictq"
    yield from (path for path in (directory / "logs").iterdir() if path.is_file())
    yield from (directory / "postgres" / "postgres.log", directory / "redis" / "redis.log")
