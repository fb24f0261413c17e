"""`predictq repeat`, `retry` and `count`: an earlier job once more, and how many a filter would be."""

# ruff: noqa: PLC0415 - httpx takes 0.1 s to import, which `predictq --help` must not wait for

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli.arguments.conditions import Where, read_condition
from cli.arguments.options import ApiKeyText, ApiUrl, IdempotencyKey, api_client
from cli.commands.jobs import JobId
from cli.commands.submit import Model, checked_idempotency_key, finish
from cli.output.console import AsJson, plain_text, say, say_json
from cli.output.job_text import client_text
from shared.sentences import count_of

Watch = Annotated[bool, typer.Option("--watch", help="Show the progress until the job is finished.")]


def repeat(
    job_id: JobId,
    watch: Watch = False,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Ask for the same clients again, by the model as it is now: a new job."""
    _again(job_id, "repeat", idempotency_key, api_url, api_key, watch=watch, as_json=as_json)


def retry(
    job_id: JobId,
    watch: Watch = False,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Ask for the failed rows of a finished job again: a new job."""
    _again(job_id, "retry", idempotency_key, api_url, api_key, watch=watch, as_json=as_json)


def _again(
    job_id: str,
    what: str,
    idempotency_key: str | None,
    api_url: str | None,
    api_key: str | None,
    *,
    watch: bool,
    as_json: bool,
) -> None:
    from cli import watching

    key = checked_idempotency_key(idempotency_key)
    with api_client(api_url, api_key, quiet=as_json) as client:
        job = client.again(job_id, what, key=key)
        if watch:
            job = watching.watch(client, job, quiet=as_json)
        finish(client, job, waited=watch, as_json=as_json)


def count(
    model: Model = None,
    where: Where = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Count the clients that a filter selects now, or all there are, and show the first. Nothing is scored."""
    order = {"where": read_condition(where or []), **({"model": model} if model else {})}
    with api_client(api_url, api_key, quiet=as_json) as client:
        found = client.call("POST", "/v1/jobs/count", order)
    if as_json:
        say_json(found)
    else:
        said = f"{count_of(found['count'], 'client')} of {found['source']}, for {found['model']}"
        say(plain_text(said))
        if found.get("first_keys"):
            say(plain_text(f"first: {_listed(found['first_keys'], found['count'])}"))


def _listed(keys: Sequence[Any], count: int) -> str:
    """Some keys in one line; one of several columns as `predict` takes it."""
    return ", ".join(map(client_text, keys)) + (", …" if count > len(keys) else "")
