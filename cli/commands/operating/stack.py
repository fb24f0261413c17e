"""`predictq up`, `demo`, `worker`, `api` and `migrate`: running the parts."""

# ruff: noqa: PLC0415 - SQLAlchemy, Alembic and Celery take 0.7 s to import, which `predictq --help` must not wait for

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection.address import STACK_DIRECTORY, chosen_directory
from cli.errors import UsageProblem
from cli.output.console import AsJson, plain_text, remark, say, say_json
from shared.database_role import DatabaseRole

if TYPE_CHECKING:
    from devstack.gateway_tls import GatewayTls

PROCESSORS = os.cpu_count() or 1
TlsCert = Annotated[Path | None, typer.Option(help="Speak TLS with this certificate and its chain (PEM).")]
TlsKey = Annotated[Path | None, typer.Option(help="Its private key (PEM, without a password).")]
Workers = Annotated[int, typer.Option(min=1, help="Worker processes.")]


def up(
    workers: Workers = PROCESSORS,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 8000 if it is free.")] = None,
    example: Annotated[
        str | None, typer.Option(help="Bring data and, lacking a model, trained ones, such as hr_attrition.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="How many rows of the example to add.")] = None,
    every_address: Annotated[
        bool, typer.Option("--every-address", help="Listen on all addresses of this machine: for a container.")
    ] = False,
    public_url: Annotated[
        str | None, typer.Option(help="Where browsers find it, if not on this machine: for the link that is printed.")
    ] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: Annotated[
        Path | None, typer.Option(help="The authority that signed it, where this machine does not know it (PEM).")
    ] = None,
    flower: Annotated[bool, typer.Option("--flower/--no-flower", help="Flower, to watch Celery.")] = True,
    directory: Annotated[
        Path | None,
        typer.Option(file_okay=False, show_default=STACK_DIRECTORY, help="Where data, logs and addresses are kept."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run everything until Ctrl-C: PostgreSQL, Valkey (a Redis), gateway, worker and Flower.

    DATABASE_URL and REDIS_URL name servers of yours to use in place of new ones.
    """
    from cli.example import require_example
    from cli.up import run_until_stopped
    from devstack.stack import Plan

    if example is not None:
        require_example(example)
    elif rows is not None:
        raise UsageProblem("--rows says how many rows of an example: name one, with --example hr_attrition")
    plan = Plan(
        _own_directory(directory),
        workers,
        flower=flower,
        port=port,
        example=example,
        rows=rows,
        host="0.0.0.0" if every_address else "127.0.0.1",  # noqa: S104 - asked for
        public_url=public_url,
        tls=_gateway_tls(tls_cert, tls_key, tls_ca),
    )
    run_until_stopped(plan, as_json=as_json)


def _own_directory(given: Path | None) -> Path:
    """Where a stack is started: as `--directory` says, after the command or before it."""
    return (given or chosen_directory() or Path(STACK_DIRECTORY)).resolve()


def _gateway_tls(certificate: Path | None, key: Path | None, authority: Path | None) -> GatewayTls | None:
    from devstack.gateway_tls import read_gateway_tls

    if certificate is None and key is None and authority is None:
        return None
    if certificate is None or key is None:
        raise UsageProblem("--tls-cert and --tls-key are given together; --tls-ca goes with them")
    return read_gateway_tls(certificate, key, authority)


def demo(
    clients: Annotated[int, typer.Option(min=1, help="How many sample clients to score.")] = 50_000,
    workers: Workers = PROCESSORS,
    directory: Annotated[
        Path | None,
        typer.Option(file_okay=False, show_default=STACK_DIRECTORY, help="In which the demonstration has its own."),
    ] = None,
) -> None:
    """Run everything once from an empty directory: load, train, predict, score in bulk, trace; then stop."""
    from cli.demo import run_demo

    run_demo(_own_directory(directory), clients, workers)


def worker(
    concurrency: Annotated[int, typer.Option(min=1, help="Worker processes.")] = PROCESSORS,
    queues: Annotated[str, typer.Option(help="What to take, the first first.")] = "interactive,bulk",
    models: Annotated[
        str | None, typer.Option(help="Take the work of these models alone, as churn,fraud; default: of all.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Unique on this machine; default: worker and its process id.")
    ] = None,
) -> None:
    """Run one more worker until Ctrl-C, beside a stack or for the DATABASE_URL and REDIS_URL of another machine."""
    arguments = ["--concurrency", str(concurrency), "--queues", queues, *(["--models", models] if models else [])]
    arguments += ["--name", name] if name else []
    _become(DatabaseRole.WORKER, "worker", *arguments)


def api(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
) -> None:
    """Run one more gateway until Ctrl-C."""
    tls = _gateway_tls(tls_cert, tls_key, None)
    _become(DatabaseRole.GATEWAY, "api", "--host", host, "--port", str(port), *(tls.arguments if tls else ()))


def upkeep() -> None:
    """Run the upkeep process until Ctrl-C: partitions, retention, expiry. One is at work at a time, others wait."""
    _become(DatabaseRole.UPKEEP, "worker.upkeep")


def _become(role: DatabaseRole, module: str, *arguments: str) -> None:
    """Go on as `python -m MODULE`: one process with nothing of the command line's left in its memory.

    It gets the address of PostgreSQL under its own database role, where there is one, and no secret that it does not
    need.
    """
    from cli.connection.address import fill_environment
    from devstack.services import module_command, secrets_of_others

    fill_environment(redis=True)
    addresses = {each: os.environ.pop(each.variable, "") for each in DatabaseRole}
    os.environ["DATABASE_URL"] = addresses[role] or os.environ["DATABASE_URL"]
    for name in secrets_of_others(role):
        os.environ.pop(name, None)
    command = module_command(module, *arguments)
    os.execv(command[0], command)  # noqa: S606 - no shell is meant


def migrate(
    roles: Annotated[
        bool, typer.Option("--roles", help="Make the database roles of gateway, worker and upkeep, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the database to the schema that this code needs. DATABASE_URL names the owner of its tables."""
    from cli.connection.database import database
    from shared.config import load_settings
    from shared.postgres.engine import transaction
    from sql.migrate import old_install, upgrade
    from sql.roles import make_roles, role_addresses

    with database(check_schema=False) as engine:
        before, after = upgrade(engine, makes_roles=roles)
        named = role_addresses(load_settings(redis_url="redis://127.0.0.1:6379/0")) if roles else {}
        made = make_roles(engine, named) if roles else []
        with transaction(engine) as connection:
            note = old_install(connection)
    if as_json:
        told = [{"duty": role.duty, "name": role.name, "is_new": role.is_new, "url": role.url} for role in made]
        say_json({"before": before, "after": after, "note": note, **({"roles": told} if roles else {})})
        return
    say(f"schema {after}: nothing to do" if before == after else f"schema {before or 'empty'} → {after}")
    if note:
        say(note)
    for role in made:
        say(plain_text(f"database role of the {role.duty}: {role.name}" + ("" if role.is_new else ", which was there")))
    if new := [f"{role.duty.variable}={role.url}" for role in made if role.url]:
        say(plain_text("\n".join(new)))
        remark("Keep these lines in the environment of the services, each with its own: they are shown this once.")
