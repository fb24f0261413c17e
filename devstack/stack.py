"""Bringing the whole stack up: servers, schema, an example, key, gateway, worker, Flower; and down again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import Engine, text

from devstack.errors import PortTaken
from devstack.files import make_private_directory
from devstack.gateway_tls import LOOPBACK, GatewayTls
from devstack.local_key import flower_password, local_key
from devstack.servers.ports import free_port, is_free
from devstack.services import GATEWAYS_OWN, Services, shows_a_worker
from devstack.stack_servers import Servers, start_servers
from devstack.start_work import StartWork
from devstack.state import StackState, StateDirectory
from devstack.supervision.recovery import Event, OnEvent
from devstack.supervision.supervisor import Supervisor
from shared.config import Settings, load_settings
from shared.database_role import DatabaseRole
from shared.messaging.messages import make_redis, server_version
from shared.models.registry import live_versions
from shared.postgres.engine import make_engine, transaction
from shared.sentences import count_of
from sql.migrate import old_install, upgrade
from sql.roles import make_roles, open_tables

API_PORT, FLOWER_PORT = 8000, 5555
FLOWER_SECONDS, POLL_SECONDS = 15.0, 0.1
START_SECONDS = 60.0  # for one program: a loaded machine imports scikit-learn slowly

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stack shall be.

    `port` None: 8000, or any free one. `example` names one whose data and models are wanted. `rows` is how many rows of
    it; None: as many as it finds right, where there is no client yet.
    """

    directory: Path
    workers: int
    flower: bool = True
    port: int | None = None
    example: str | None = None
    rows: int | None = None
    host: str = "127.0.0.1"  # or 0.0.0.0, for a container that has its own network
    public_url: str | None = None  # where browsers find it, if not at that port of this machine
    tls: GatewayTls | None = None  # None: the gateway speaks plain HTTP


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that is up."""

    supervisor: Supervisor
    state: StackState
    directory: Path
    logs: Path
    first_client: Any  # the key of the first row of the example that was loaded just now
    has_model: bool


@contextmanager
def running_stack(plan: Plan, tell: Tell, on_event: OnEvent) -> Iterator[Running]:
    """Bring the stack of `plan` up, and stop all of it when the block ends, however that comes.

    `tell` gets a line for each thing that is ready, `on_event` what the supervisor sees.

    Raises:
        AlreadyRunning: a stack runs in the directory.
        PortTaken: the port that was asked for is taken.
        ChildFailed: a program did not come up.
        StartWorkFailed: the data or the models of the example could not be made.

    """
    with ExitStack() as stack:
        directory = stack.enter_context(StateDirectory(plan.directory))
        port = _choose_port(plan.port)
        supervisor = stack.enter_context(Supervisor(on_event))
        servers = start_servers(plan.directory, supervisor)
        settings = load_settings(database_url=servers.fast_database_url, redis_url=servers.redis_url)
        engine = make_engine(settings, application_name="predictq-up")
        stack.callback(engine.dispose)
        tell(_migrated(engine, servers, settings))
        if plan.example and _has_model(engine):
            tell(_left_out(plan.example, with_rows=plan.rows is not None))
        make_private_directory(plan.directory / "logs", is_on_the_way=False)
        kept = {
            "PREDICTQ_ERASURE_DIRECTORY": str(plan.directory),
            "PREDICTQ_ENV_FILE": str((plan.directory / ".env").absolute()),  # addresses of sources elsewhere
        }
        if plan.tls and plan.tls.name:
            kept["PREDICTQ_ALLOWED_HOSTS"] = f"localhost,127.0.0.1,[::1],{plan.tls.name}"
        kept["PREDICTQ_FLOWER"] = str(plan.flower)
        environment = {**kept, **os.environ, "DATABASE_URL": servers.fast_database_url, "REDIS_URL": servers.redis_url}
        services = Services(settings, environment, plan.directory / "logs", servers.role_urls)
        key = local_key(engine, plan.directory)
        url = f"{'https' if plan.tls else 'http'}://{LOOPBACK}:{port}"
        own = {name: value for name, value in environment.items() if name not in GATEWAYS_OWN}
        own |= {"PREDICTQ_API_URL": url, "PREDICTQ_API_KEY": key, **_trust(plan.tls)}
        with ExitStack() as start_work:
            loading = _begin_loading(plan, engine, own, start_work)
            supervisor.start(services.gateway(port, plan.host, plan.tls), START_SECONDS)
            supervisor.start(services.upkeep(), START_SECONDS)
            flower = _start_flower(services, supervisor, plan.directory) if plan.flower else None
            loaded = loading.result() if loading else None
            if loaded:
                tell(f"{count_of(loaded['count'], 'row')} of the example")
            # Its models are registered as anybody's are: by the gateway, which asks a worker.
            training = _begin_training(plan, engine, own, start_work)
            supervisor.start(services.worker(plan.workers), START_SECONDS)
            _finish_training(training, tell)
        if flower and not _shows_a_worker(*flower):
            on_event("flower", Event.FAILING, f"it shows no worker; its log is {services.logs / 'flower.log'}")
        tell(f"gateway, worker (processes: {plan.workers})" + (" and Flower" if plan.flower else ""))
        state = StackState(
            pid=os.getpid(),
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            api_url=url,
            api_key=key,
            flower_url=f"http://127.0.0.1:{flower[0]}" if flower else None,
            flower_password=flower[1] if flower else None,
            gateway_database_url=servers.role_urls.get(DatabaseRole.GATEWAY),
            worker_database_url=servers.role_urls.get(DatabaseRole.WORKER),
            upkeep_database_url=servers.role_urls.get(DatabaseRole.UPKEEP),
            api_ca=str(plan.tls.authority) if plan.tls and plan.tls.authority else None,
            api_name=plan.tls.name if plan.tls else None,
            environment=kept,
        )
        directory.publish(state)
        first_client = loaded["first_id"] if loaded else None
        yield Running(supervisor, state, directory.path, services.logs, first_client, _has_model(engine))


def _choose_port(wanted: int | None) -> int:
    if wanted is None:
        return API_PORT if is_free(API_PORT) else free_port()
    if not is_free(wanted):
        raise PortTaken(wanted)
    return wanted


def _migrated(engine: Engine, servers: Servers, settings: Settings) -> str:
    before, after = upgrade(engine, makes_roles=bool(servers.role_urls))
    if servers.role_urls:
        make_roles(engine, servers.role_urls)
    if not servers.own_database:
        open_tables(engine)  # nobody else is on it, and her table shall be a source as it is
    with transaction(engine) as connection:
        version = connection.execute(text("SHOW server_version")).scalar_one()
        note = old_install(connection)
    postgres = f"{'your ' if servers.own_database else ''}PostgreSQL {version}"
    redis = f"{'your ' if servers.own_redis else ''}{_redis_version(settings)}"
    was = "" if before == after else f" (was {before or 'empty'})"
    return f"{postgres}, {redis}, schema {after}{was}" + (f". {note}" if note else "")


def _left_out(example: str, *, with_rows: bool) -> str:
    """That an example is not brought, or not all of it, to a stack that is in use."""
    wanted = ("train",) if with_rows else ("load", "train")
    commands = " and ".join(f"predictq example {part} {example}" for part in wanted)
    what = "no model" if with_rows else "neither data nor models"
    return f"a model is live here: {what} of {example} brought ({commands} would)"


def _redis_version(settings: Settings) -> str:
    try:
        with make_redis(settings, fails_at_once=True) as client:
            return server_version(client)
    except (RedisError, OSError):  # it is away, or does not let us ask: the programs that need it say so
        return "Redis"


def _trust(tls: GatewayTls | None) -> dict[str, str]:
    """How commands trust the gateway, in their environment."""
    found = {} if tls is None else {"PREDICTQ_TLS_CA": str(tls.authority or ""), "PREDICTQ_TLS_NAME": tls.name or ""}
    return {name: value for name, value in found.items() if value}


def _begin_loading(
    plan: Plan, engine: Engine, environment: Mapping[str, str], start_work: ExitStack
) -> StartWork | None:
    """Make the example's data beside the start of the gateway, where it is wanted and its models are not there yet."""
    if plan.example is None or (plan.rows is None and _has_model(engine)):
        return None
    rows = () if plan.rows is None else ("--rows", str(plan.rows))
    return start_work.enter_context(StartWork(environment, "example", "load", plan.example, *rows))


def _begin_training(
    plan: Plan, engine: Engine, environment: Mapping[str, str], start_work: ExitStack
) -> StartWork | None:
    if plan.example is None or _has_model(engine):
        return None
    return start_work.enter_context(StartWork(environment, "example", "train", plan.example))


def _finish_training(training: StartWork | None, tell: Tell) -> None:
    for answer in training.result() if training else ():
        if "signature" in answer:  # a version; other commands of an example add sources
            tell(f"model {answer['model']}:{answer['version']} trained" + (" and live" if answer["is_live"] else ""))


def _start_flower(services: Services, supervisor: Supervisor, directory: Path) -> tuple[int, str]:
    """Its port and its password."""
    port = FLOWER_PORT if is_free(FLOWER_PORT) else free_port()
    password = flower_password(directory)
    supervisor.start(services.flower(port, password), START_SECONDS)
    return port, password


def _shows_a_worker(port: int, password: str) -> bool:
    """Whether Flower shows the worker, which it learns from the next sign of life: every 2 s."""
    deadline = time.monotonic() + FLOWER_SECONDS
    while not (shown := shows_a_worker(port, password)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return shown


def _has_model(engine: Engine) -> bool:
    with transaction(engine) as connection:
        return bool(live_versions(connection))
