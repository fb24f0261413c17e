"""The gateway, the worker and Flower as children of a supervisor."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from signal import Signals
from typing import get_args

from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from devstack.gateway_tls import GatewayTls
from devstack.supervision.child import Child
from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.messaging.celery_app import living_workers

PING_SECONDS = 0.5
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"  # for a program that needs none, where the settings ask for one
GATEWAYS_OWN = {"PREDICTQ_OIDC_CLIENT_SECRET"}  # what nobody else needs
NOBODYS = {"PREDICTQ_API_KEY"}  # of whoever starts programs: it is for commands
PATHS_BESIDE_SETTINGS = {"PREDICTQ_ENV_FILE", "PREDICTQ_TLS_CA"}
FLOWER_USER = "predictq"
# 10,000 tasks take 120 MB; its own limit, 100,000, would take about 500 MB. A message says only that a queue has work:
# so which queue that was, and what became of it, belong on the page.
FLOWER = {
    "FLOWER_MAX_TASKS": "10000",
    "FLOWER_PURGE_OFFLINE_WORKERS": "300",
    "FLOWER_TASKS_COLUMNS": "name,args,state,result,received,runtime,worker,uuid",
}
TAKEN = {"ddress already in use": "Another program took the port: start again, or ask for another one with --port."}


@dataclass(frozen=True, slots=True)
class Services:
    """How the programs of one stack are started: their settings, environment and the directory of their logs."""

    settings: Settings
    environment: Mapping[str, str]
    logs: Path
    role_urls: Mapping[DatabaseRole, str] = field(default_factory=dict)  # each child gets its own, and no other

    def gateway(self, port: int, host: str = "127.0.0.1", tls: GatewayTls | None = None) -> Child:
        """The gateway on `host`, one that leads to 127.0.0.1, too; ready when it answers, with a live model or none."""
        arguments = ["api", "--host", host, "--port", str(port), *(tls.arguments if tls else ())]
        ready = partial(answers, port, "/health/live", is_secure=tls is not None)
        return self._child("gateway", arguments, ready, role=DatabaseRole.GATEWAY, port=port)

    def flower(self, port: int, password: str) -> Child:
        """Flower on 127.0.0.1:`port`. It keeps nothing, and takes long to say goodbye: it is ended at once."""
        child = self._child(
            "flower",
            ["devstack.flower", str(port)],
            lambda: answers(port, "/healthcheck"),
            role=None,
            port=port,
            stop_signal=Signals.SIGKILL,
        )
        # The user's own settings of Flower win, but for the password: `up` prints the one that holds.
        own = {**FLOWER, **child.env, "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{password}"}
        return replace(child, env=own)

    def worker(self, processes: int) -> Child:
        """One worker for both queues, with that many pool processes; ready when it answers a ping."""
        name = f"stack-{os.getpid()}"  # unique on this machine, for a Redis that several stacks share
        node = f"{name}@{socket.gethostname()}"
        arguments = ["worker", "--concurrency", str(processes), "--name", name]
        ready = partial(_replies, self.settings, node)
        return self._child("worker", arguments, ready, role=DatabaseRole.WORKER, stop_timeout=30.0)

    def upkeep(self) -> Child:
        """The upkeep process. Nobody waits for it: where another one is at work, it does nothing."""
        return self._child("upkeep", ["worker.upkeep"], lambda: True, role=DatabaseRole.UPKEEP)

    def _child(
        self,
        name: str,
        arguments: list[str],
        ready: Callable[[], bool],
        *,
        role: DatabaseRole | None,
        port: int | None = None,
        stop_signal: Signals = Signals.SIGTERM,
        stop_timeout: float = 10.0,
    ) -> Child:
        return Child(
            name=name,
            argv=module_command(*arguments),
            env=self._environment_of(role),
            log_path=self.logs / f"{name}.log",
            ready=ready,
            cwd=self.logs,
            stop_signal=stop_signal,
            stop_timeout=stop_timeout,
            advice=TAKEN,
            port=port,
        )

    def _environment_of(self, role: DatabaseRole | None) -> dict[str, str]:
        """With the address of PostgreSQL under the child's own role, and no other: what it has not, nobody can take."""
        others = {duty.variable for duty in DatabaseRole} | secrets_of_others(role)
        environment = {name: value for name, value in self.environment.items() if name not in others}
        environment |= absolute_paths(environment)
        if role is None:
            return environment | {"DATABASE_URL": NO_DATABASE}
        return environment | ({"DATABASE_URL": self.role_urls[role]} if role in self.role_urls else {})


def absolute_paths(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings that are paths, as they are meant where `up` was typed: the programs run in the folder of logs."""
    names = {
        f"PREDICTQ_{name.upper()}"
        for name, field in Settings.model_fields.items()
        if Path in get_args(field.annotation)
    }
    given = {name: environment[name] for name in names | PATHS_BESIDE_SETTINGS if environment.get(name)}
    return {name: str(Path(path).absolute()) for name, path in given.items()}


def secrets_of_others(role: DatabaseRole | None) -> set[str]:
    """Variables that a program of this role is not to inherit."""
    return NOBODYS if role is DatabaseRole.GATEWAY else NOBODYS | GATEWAYS_OWN


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line of one of our modules. -P: a file of the user's called api.py must not stand in for it."""
    return [sys.executable, "-P", "-m", module, *arguments]


def answers(port: int, path: str, *, is_secure: bool = False) -> bool:
    """Whether 127.0.0.1:`port` answers a GET of `path` with 200; its certificate does not matter for that."""
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=_any_certificate())
        if is_secure
        else http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    )
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):  # not there yet, or only half
        return False
    finally:
        connection.close()


def _any_certificate() -> ssl.SSLContext:
    """Nothing that is secret is sent, and nothing but the status of the answer is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def shows_a_worker(port: int, password: str) -> bool:
    """Whether the page of Flower on 127.0.0.1:`port` has a worker that is alive: `/healthcheck` is 200 without any."""
    login = base64.b64encode(f"{FLOWER_USER}:{password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/workers?json=1", headers={"Authorization": f"Basic {login}"})
        workers = json.loads(connection.getresponse().read())["data"]
    except (OSError, http.client.HTTPException, ValueError):  # not there, or no JSON: a page of login
        return False
    finally:
        connection.close()
    return any(worker["status"] for worker in workers)


def _replies(settings: Settings, node: str) -> bool:
    try:
        return node in living_workers(settings, PING_SECONDS, only=node)
    except (KombuError, RedisError, OSError):  # Redis is being restarted
        return False
