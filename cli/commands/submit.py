"""`predictq predict`, `predict-raw` and `bulk`: ask for predictions over HTTP."""

# ruff: noqa: PLC0415 - httpx takes 0.1 s to import, which `predictq --help` must not wait for

from __future__ import annotations

import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments.client_key import read_key
from cli.arguments.conditions import Where, read_condition
from cli.arguments.moments import is_length, moment_ahead
from cli.arguments.options import ApiKeyText, ApiUrl, IdempotencyKey, api_client
from cli.arguments.raw_body import natural_key, raw_body
from cli.errors import FileRefused, GatewayRefused, UsageProblem
from cli.output.console import AsJson, remark, say, say_json
from cli.output.progress import progress

if TYPE_CHECKING:
    from cli.connection.client import ApiClient
NDJSON_ENDINGS = (".ndjson", ".jsonl")
STANDARD_INPUT = "-"
LONGEST_KEY = 255
Model = Annotated[str | None, typer.Option(help="Which model: churn, or churn:3; default: the default model.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the answer.")]


def predict(
    client_id: Annotated[
        list[str], typer.Argument(help="A client's key; of several columns as COLUMN=VALUE COLUMN=VALUE.")
    ],
    model: Model = None,
    wait: Wait = False,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Predict for one client."""
    from cli.watching import wait_for

    with api_client(api_url, api_key, quiet=as_json) as client:
        job = _predict(client, client_id, model=model, wait=wait, key=checked_idempotency_key(idempotency_key))
        finish(client, wait_for(client, job, quiet=as_json) if wait else job, waited=wait, as_json=as_json)


def predict_raw(
    features: Annotated[
        Path,
        typer.Option(help="JSON {name: value}, or the whole body of a call; - reads standard input."),
    ],
    model: Model = None,
    client_id: Annotated[
        list[str] | None,
        typer.Option(
            "--client-id",
            help="A reference of yours, which comes back with the answer; of a composite key COLUMN=VALUE, repeated.",
        ),
    ] = None,
    wait: Wait = False,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Predict for features given in a file."""
    from cli.watching import wait_for

    _require_file("--features", features)
    typed = read_key(client_id, composite=False) if client_id else None
    body = raw_body(_read_object(features), f"--features {features}", model=model, client_id=typed)
    with api_client(api_url, api_key, quiet=as_json) as client:
        job = _predict_raw(client, body, typed, wait=wait, key=checked_idempotency_key(idempotency_key))
        finish(client, wait_for(client, job, quiet=as_json) if wait else job, waited=wait, as_json=as_json)


def bulk(
    given: Annotated[Path | None, typer.Argument(metavar="FILE", help="As --file.", show_default=False)] = None,
    ids: Annotated[
        Path | None,
        typer.Option(
            help="Client ids as CSV, or as NDJSON by its ending; - reads standard input.",
        ),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Rows of features, with or without client_id, as CSV or NDJSON; - reads standard input."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="A table of clients: Excel, Parquet, Arrow, or CSV of any usual kind."),
    ] = None,
    with_features: Annotated[
        bool, typer.Option("--with-features", help="With --file: score the features in the file, not the source's.")
    ] = False,
    column: Annotated[
        list[str] | None,
        typer.Option(help="With --file: NAME=COLUMN, the file's column for a feature or the key."),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="With --file: of a workbook with several.")] = None,
    separator: Annotated[str | None, typer.Option(help="With --file: of CSV, one character or tab.")] = None,
    decimal: Annotated[
        str | None, typer.Option(help="With --file: the decimal mark in CSV and in cells of text, . or ,")
    ] = None,
    dates: Annotated[str | None, typer.Option(help="With --file: what comes first in 01/02/2026, dmy or mdy.")] = None,
    encoding: Annotated[str | None, typer.Option(help="With --file: of CSV, such as cp1252.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="All clients.")] = False,
    where: Where = None,
    model: Model = None,
    name: Annotated[str | None, typer.Option(help="What you call the job.")] = None,
    deadline: Annotated[
        str | None, typer.Option(help="What is not answered by then ends: 2h, or 2026-11-26T18:00 (or with its zone).")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show the progress until the job is finished.")] = False,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Predict for many clients."""
    if sum((*(path is not None for path in (given, ids, features, file)), everyone, bool(where))) != 1:
        ways = "--file FILE, --ids FILE, --features FILE, --all and --where COLUMN=VALUE"
        raise UsageProblem(f"name the clients by exactly one of {ways}")
    file = given or file
    for option, path in (("--ids", ids), ("--features", features), ("--file", file)):
        if path is not None:
            _require_file(option, path)
    from cli import watching
    from cli.table_upload import TABLE_ENDINGS, TableOptions, submit_table

    said_of_file = (column, sheet, separator, decimal, dates, encoding)
    if file is None and (with_features or any(said_of_file)):
        raise UsageProblem("what is said of a file goes with --file FILE")
    table = file or next((path for path in (ids, features) if path and path.suffix.lower() in TABLE_ENDINGS), None)
    options = TableOptions(with_features or table == features, column or (), sheet, separator, decimal, dates, encoding)

    condition = read_condition(where or [])
    key = checked_idempotency_key(idempotency_key)
    moment = None if deadline is None else moment_ahead("--deadline", deadline)
    if key is not None and deadline is not None and is_length(deadline):
        raise UsageProblem(
            f"--deadline {deadline} is another time whenever the command is repeated, and its --idempotency-key would "
            f"be refused: give the time itself, as --deadline {moment}"
        )
    with api_client(api_url, api_key, quiet=as_json) as client:
        said = {"model": model, "name": name, "deadline": moment}
        if table is not None:
            job = submit_table(client, table, options, key=key, said=said, quiet=as_json)
        elif text := ids or features:
            job = _upload(client, text, key, said | {"features": "upload" if features else None}, quiet=as_json)
        else:
            job = client.submit_where(condition, key=key, **said)
        if watch:
            job = watching.watch(client, job, quiet=as_json)
        if where and not as_json and job["status"] == "succeeded" and job["request_counts"]["total"] == 0:
            remark("No client fits the filter.")
        finish(client, job, waited=watch, as_json=as_json)


def finish(client: ApiClient, job: dict[str, Any], *, waited: bool, as_json: bool) -> None:
    """Say how the job stands, and end with the status that tells it."""
    from cli.output.job_text import job_line, summary_lines
    from cli.watching import exit_status, read_summary

    if as_json:
        say_json(job)
    else:
        say(job_line(job))
        for line in summary_lines(read_summary(client, job), job["id"]):
            say(line)
        if not waited:
            remark(f"Follow it with: predictq job {job['id']} --watch")
    if waited:
        raise typer.Exit(exit_status(job))


def checked_idempotency_key(key: str | None) -> str | None:
    """The key as a header takes it. Raises UsageProblem."""
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable() and " " not in key):
        raise UsageProblem(f"--idempotency-key KEY is 1 to {LONGEST_KEY} visible ASCII characters")
    return key


def _require_file(option: str, path: Path) -> None:
    if str(path) != STANDARD_INPUT and not path.is_file():
        raise UsageProblem(f"{option} {path}: there is no such file")


def _upload(client: Any, path: Path, key: str | None, said: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    content_type = "application/x-ndjson" if path.suffix.lower() in NDJSON_ENDINGS else "text/csv"
    if str(path) != STANDARD_INPUT:
        return _send(client, path, content_type, key, said, quiet=quiet)
    # What is piped in can be read once, and a call may have to be repeated.
    with tempfile.NamedTemporaryFile() as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.flush()
        return _send(client, Path(kept.name), content_type, key, said, quiet=quiet)


def _send(
    client: Any, path: Path, content_type: str, key: str | None, said: dict[str, Any], *, quiet: bool
) -> dict[str, Any]:
    with progress("sending", path.stat().st_size, unit="bytes", quiet=quiet) as meter:
        job: dict[str, Any] = client.submit_file(path, content_type, meter, key=key, **said)
        return job


def _predict(client: Any, parts: Sequence[str], *, model: str | None, **more: Any) -> dict[str, Any]:
    """Ask for one client by a key as it is typed: a number is one where its column is."""
    try:
        return _predict_key(client, parts, model=model, **more)
    except GatewayRefused as refused:
        raise key_problem(refused, parts) or refused from None


def key_problem(refused: GatewayRefused, parts: Sequence[str]) -> UsageProblem | None:
    """What to type instead, where a key has other columns than were typed; None for all other refusals."""
    if "key_columns" in refused.reasons:
        columns = refused.reasons["key_columns"]["columns"]
        known = len(parts) == len(columns) and not any("=" in part for part in parts)
        values = [shlex.quote(part) for part in parts] if known else ["…"] * len(columns)
        typed = " ".join(f"{shlex.quote(column)}={value}" for column, value in zip(columns, values, strict=True))
        return UsageProblem(f"the key has the columns {', '.join(columns)}: predictq predict {typed}")
    if "one_value" in refused.reasons and len(parts) > 1:
        return UsageProblem(
            f"the key is one value, not {len(parts)} ({' '.join(parts)}): predictq predict {shlex.quote(parts[0])}; "
            "an option such as --wait takes no value"
        )
    return None


def _predict_key(client: Any, parts: Sequence[str], *, model: str | None, **more: Any) -> dict[str, Any]:
    pairs = [part.partition("=") for part in parts]
    if len(parts) > 1 or (pairs[0][1] and pairs[0][0].isidentifier()):
        try:
            parts_of_key = {name: value for name, _, value in pairs}
            return _with_parts(parts_of_key, lambda natural: client.predict(natural, model=model, **more))
        except GatewayRefused as refused:
            if len(parts) > 1 or "one_value" not in refused.reasons:
                raise  # else the key is a text in which = is a letter as any other
    text = parts[0]
    key = natural_key(text)
    try:
        return dict(client.predict(key, model=model, **more))
    except GatewayRefused as refused:
        if key == text or "invalid_client_id" not in refused.codes:
            raise
        return dict(client.predict(text, model=model, **more))


def _with_parts(parts: Mapping[str, str], call: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Whole numbers as such, so that the answer names the client as lists of results do; texts where columns are."""
    natural = natural_key(parts)
    while True:
        try:
            return dict(call(natural))
        except GatewayRefused as refused:
            name = str(refused.reasons.get("not_text", {}).get("column", ""))
            if not isinstance(natural.get(name), int):
                raise
            natural[name] = parts[name]


def _predict_raw(client: Any, body: dict[str, Any], typed: str | dict[str, str] | None, **more: Any) -> dict[str, Any]:
    """A reference that was typed is a number where its source's keys are, as a key of `predict` is."""
    if isinstance(typed, dict):
        return _with_parts(typed, lambda natural: client.predict_raw({**body, "client_id": natural}, **more))
    try:
        return dict(client.predict_raw(body, **more))
    except GatewayRefused as refused:
        if typed is None or body["client_id"] == typed or "invalid_client_id" not in refused.codes:
            raise
        return dict(client.predict_raw({**body, "client_id": typed}, **more))


def _read_object(path: Path) -> dict[str, Any]:
    content = sys.stdin.buffer.read() if str(path) == STANDARD_INPUT else path.read_bytes()
    try:
        values = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise FileRefused(f"--features {path} is not UTF-8: byte {error.start + 1} is no part of a letter") from error
    except (ValueError, RecursionError) as error:
        raise FileRefused(f"--features {path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise FileRefused(f'--features {path} must hold an object: {{"tenure": 41, …}}')
    return values
