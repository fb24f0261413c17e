"""`predictq demo`: the whole way once, with real figures, from an empty directory to nothing left running."""

from __future__ import annotations

import csv
import io
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.connection.client import ApiClient, Json
from cli.errors import ExitStatus
from cli.output.console import plain_text, remark, say
from cli.output.job_text import answer_text, counts_text, trace_lines
from cli.up import address_in, say_ready, tell_trouble
from cli.watching import exit_status, wait_for, watch
from devstack.errors import NotWritable
from devstack.files import make_private_directory
from devstack.services import FLOWER_USER
from devstack.stack import Plan, running_stack
from devstack.stack_servers import delete_data
from shared.errors import PredictqError

EXAMPLE = "hr_attrition"
SHOWN_RESULTS = 3


class DemoFailed(PredictqError):
    """A job of the demonstration did not succeed."""

    def __init__(self, job: Json) -> None:
        super().__init__(f"job {job['id']} ended as {job['status']}: {job.get('error') or job['request_counts']}")


def run_demo(parent: Path, clients: int, workers: int) -> None:
    """Everything in a directory of its own below `parent`, so that a stack that runs there is not disturbed."""
    start = time.monotonic()
    # Servers of the user's own are not for a demonstration to write to.
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    with demo_directory(parent) as directory:
        _heading("Starting PostgreSQL, Valkey, gateway, worker and Flower")
        plan = Plan(directory, workers, example=EXAMPLE, rows=clients)
        with running_stack(plan, say_ready, tell_trouble) as running:
            state = running.state
            flower = f"{state.flower_url} (user {FLOWER_USER}, password {state.flower_password})"
            say_ready(f"up after {time.monotonic() - start:.0f} s: {state.api_url}/docs, {flower}")
            with ApiClient(address_in(running.state)) as client:
                _show(client, running.first_client or 1)
    _heading(f"Done in {time.monotonic() - start:.0f} s; everything is stopped and its data deleted")
    say("Keep one running: [bold]predictq up[/]")


def _show(client: ApiClient, client_id: int) -> None:
    _heading("One prediction")
    single = wait_for(client, client.predict(client_id, wait=True))
    _require(single)
    say(answer_text(single["result"]))
    _heading("A bulk job of all clients")
    job = watch(client, client.submit_where({}), quiet=False)
    _require(job)
    say(counts_text(job))
    _show_results(client, job["id"])
    _heading("The trace of the first prediction")
    for line in trace_lines(client.trace(single["request_id"])):
        say(line)


def _show_results(client: ApiClient, job_id: str) -> None:
    content = io.BytesIO()
    client.results(job_id, content, "text/csv", lambda _size: None)
    rows = list(csv.DictReader(io.StringIO(content.getvalue().decode())))
    positive = sum(row["label"] == "1" for row in rows)
    say(f"{len(rows):,} results fetched as CSV, {positive:,} with label 1; the first {SHOWN_RESULTS}:")
    for row in rows[:SHOWN_RESULTS]:
        say(f"  client {row['client_id']}: probability {float(row['probability']):.4f}, label {row['label']}")


def _require(job: Json) -> None:
    if exit_status(job) is not ExitStatus.DONE:
        raise DemoFailed(job)


def _heading(text: str) -> None:
    say(f"\n[bold cyan]{plain_text(text)}[/]")


@contextmanager
def demo_directory(parent: Path) -> Iterator[Path]:
    """A new directory in `parent`, or among the temporary ones where that cannot be written; gone at the end.

    After a failure it stays, for the logs in it.
    """
    name = f"demo-{secrets.token_hex(4)}"
    directory = parent / name
    try:
        make_private_directory(parent)
        make_private_directory(directory)
    except (OSError, NotWritable):
        directory = Path(tempfile.gettempdir()) / f"predictq-{name}"
        make_private_directory(directory)
    try:
        yield directory
    except Exception:
        remark(f"The logs are kept in {plain_text(directory)}")
        raise
    except BaseException:  # Ctrl-C
        _delete(directory)
        raise
    _delete(directory)


def _delete(directory: Path) -> None:
    delete_data(directory)
    shutil.rmtree(directory)
