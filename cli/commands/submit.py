"""`predictq predict`, `predict-raw` and `bulk`: ask for predictions over HTTP."""

# ruff: noqa: PLC0415 - httpx takes 0.1 s to import, which `predictq --help` must not wait for

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import AsJson, remark, say, say_json
from cli.errors import FileRefused, UsageProblem
from cli.options import ApiKeyText, ApiUrl, IdempotencyKey, api_client
from cli.progress import progress

NDJSON_ENDINGS = (".ndjson", ".jsonl")
STANDARD_INPUT = "-"
LONGEST_KEY = 255
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the answer.")]


def predict(
    client_id: Annotated[int, typer.Argument(min=1, help="A client in the database.")],
    wait: Wait = False,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Predict for one client."""
    from cli.watching import wait_for

    with api_client(api_url, api_key, quiet=as_json) as client:
        job = client.predict(client_id, wait=wait, key=_checked(idempotency_key))
        _finish(wait_for(client, job) if wait else job, waited=wait, as_json=as_json)


def predict_raw(
    features: Annotated[
        Path,
        typer.Option(help="JSON {name: value}; - reads standard input."),
    ],
    wait: Wait = False,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Predict for features given in a file."""
    from cli.watching import wait_for

    _require_file("--features", features)
    values = _read_features(features)
    with api_client(api_url, api_key, quiet=as_json) as client:
        job = client.predict_raw(values, wait=wait, key=_checked(idempotency_key))
        _finish(wait_for(client, job) if wait else job, waited=wait, as_json=as_json)


def bulk(
    ids: Annotated[
        Path | None,
        typer.Option(
            help="Client ids as CSV, or as NDJSON by its ending; - reads standard input.",
        ),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="All clients.")] = False,
    where: Annotated[
        list[str] | None, typer.Option(help="COLUMN=VALUE, may be repeated; values of one column are alternatives.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show the progress until the job is finished.")] = False,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Predict for many clients."""
    if sum((ids is not None, everyone, bool(where))) != 1:
        raise UsageProblem("name the clients by exactly one of --ids FILE, --all and --where COLUMN=VALUE")
    if ids is not None:
        _require_file("--ids", ids)
    from cli import watching

    condition = _condition(where or [])
    with api_client(api_url, api_key, quiet=as_json) as client:
        key = _checked(idempotency_key)
        job = _upload(client, ids, key, quiet=as_json) if ids else client.submit_where(condition, key=key)
        if watch:
            job = watching.watch(client, job, quiet=as_json)
        _finish(job, waited=watch, as_json=as_json)


def _finish(job: dict[str, Any], *, waited: bool, as_json: bool) -> None:
    """Say how the job stands, and end with the status that tells it."""
    from cli.job_text import job_line
    from cli.watching import exit_status

    if as_json:
        say_json(job)
    else:
        say(job_line(job))
        if not waited:
            remark(f"Follow it with: predictq job {job['id']} --watch")
    if waited:
        raise typer.Exit(exit_status(job))


def _checked(key: str | None) -> str | None:
    """The key as a header takes it. Raises UsageProblem."""
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable() and " " not in key):
        raise UsageProblem(f"--idempotency-key KEY is 1 to {LONGEST_KEY} visible ASCII characters")
    return key


def _require_file(option: str, path: Path) -> None:
    if str(path) != STANDARD_INPUT and not path.is_file():
        raise UsageProblem(f"{option} {path}: there is no such file")


def _upload(client: Any, path: Path, key: str | None, *, quiet: bool) -> dict[str, Any]:
    content_type = "application/x-ndjson" if path.suffix in NDJSON_ENDINGS else "text/csv"
    if str(path) != STANDARD_INPUT:
        return _send(client, path, content_type, key, quiet=quiet)
    # What is piped in can be read once, and a call may have to be repeated.
    with tempfile.NamedTemporaryFile() as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.flush()
        return _send(client, Path(kept.name), content_type, key, quiet=quiet)


def _send(client: Any, path: Path, content_type: str, key: str | None, *, quiet: bool) -> dict[str, Any]:
    with progress("sending", path.stat().st_size, unit="bytes", quiet=quiet) as meter:
        job: dict[str, Any] = client.submit_file(path, content_type, meter, key=key)
        return job


def _condition(pairs: Sequence[str]) -> dict[str, Any]:
    """{column: value}, with a list of values for a column that comes more than once."""
    found: dict[str, list[Any]] = {}
    for pair in pairs:
        column, equals, value = pair.partition("=")
        if not equals or not column:
            raise UsageProblem(f"--where {pair}: write it as COLUMN=VALUE, for example department=Sales")
        found.setdefault(column.strip(), []).append(_typed(value.strip()))
    return {column: values if len(values) > 1 else values[0] for column, values in found.items()}


def _typed(text: str) -> Any:
    """`text` as JSON where it is a number, true, false or null; else as the word that it is."""
    try:
        value = json.loads(text.lower())
    except ValueError:
        return text
    return text if isinstance(value, (str, list, dict)) else value


def _read_features(path: Path) -> dict[str, Any]:
    content = sys.stdin.buffer.read() if str(path) == STANDARD_INPUT else path.read_bytes()
    try:
        values = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise FileRefused(f"--features {path} is not UTF-8: byte {error.start + 1} is no part of a letter") from error
    except (ValueError, RecursionError) as error:
        raise FileRefused(f"--features {path} is not JSON: {error}") from error
    if isinstance(values, dict) and isinstance(values.get("features"), dict):
        values = values["features"]  # the whole body of a call is as good
    if not isinstance(values, dict):
        raise FileRefused(f'--features {path} must hold an object: {{"age": 41, …}}')
    return values
