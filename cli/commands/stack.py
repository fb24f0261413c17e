"""`predictq up`, `demo`, `worker`, `api` and `migrate`: running the parts."""

# ruff: noqa: PLC0415 - SQLAlchemy, Alembic and Celery take 0.7 s to import, which `predictq --help` must not wait for

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.address import STACK_DIRECTORY
from cli.console import AsJson, say, say_json
from cli.errors import UsageProblem

PROCESSORS = os.cpu_count() or 1
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
    flower: Annotated[bool, typer.Option("--flower/--no-flower", help="Flower, to watch Celery.")] = True,
    directory: Annotated[Path, typer.Option(file_okay=False, help="Where data, logs and addresses are kept.")] = Path(
        STACK_DIRECTORY
    ),
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
        directory.resolve(),
        workers,
        flower=flower,
        port=port,
        example=example,
        rows=rows,
        host="0.0.0.0" if every_address else "127.0.0.1",  # noqa: S104 - asked for
        public_url=public_url,
    )
    run_until_stopped(plan, as_json=as_json)


def demo(
    clients: Annotated[int, typer.Option(min=1, help="How many sample clients to score.")] = 50_000,
    workers: Workers = PROCESSORS,
    directory: Annotated[Path, typer.Option(file_okay=False, help="In which the demonstration has its own.")] = Path(
        STACK_DIRECTORY
    ),
) -> None:
    """Run everything once from an empty directory: load, train, predict, score in bulk, trace; then stop."""
    from cli.demo import run_demo

    run_demo(directory.resolve(), clients, workers)


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
    _become("worker", *arguments)


def api(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
) -> None:
    """Run one more gateway until Ctrl-C."""
    _become("api", "--host", host, "--port", str(port))


def upkeep() -> None:
    """Run the upkeep process until Ctrl-C: partitions, retention, expiry. One is at work at a time, others wait."""
    _become("worker.upkeep")


def _become(module: str, *arguments: str) -> None:
    """Go on as `python -m MODULE`: one process with nothing of the command line's left in its memory."""
    from cli.address import fill_environment
    from devstack.services import module_command

    fill_environment(redis=True)
    command = module_command(module, *arguments)
    os.execv(command[0], command)  # noqa: S606 - no shell is meant


def migrate(as_json: AsJson = False) -> None:
    """Bring the database to the schema that this code needs."""
    from cli.database import database
    from shared.postgres.engine import transaction
    from sql.migrate import old_install, upgrade

    with database(check_schema=False) as engine:
        before, after = upgrade(engine)
        with transaction(engine) as connection:
            note = old_install(connection)
    if as_json:
        say_json({"before": before, "after": after, "note": note})
        return
    say(f"schema {after}: nothing to do" if before == after else f"schema {before or 'empty'} → {after}")
    if note:
        say(note)
