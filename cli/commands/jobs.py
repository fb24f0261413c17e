"""`predictq jobs`, `job`, `results`, `cancel` and `trace`: what became of what was asked."""

# ruff: noqa: PLC0415 - httpx takes 0.1 s to import, which `predictq --help` must not wait for

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from cli.arguments.moments import moment_ago
from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.commands.operating.pauses import what_of
from cli.errors import UsageProblem
from cli.output.console import AsJson, plain_text, remark, say, say_json, say_table
from cli.output.job_text import job_line, summary_lines, trace_lines
from cli.output.progress import progress
from shared.access.private_files import open_private
from shared.sentences import count_of

BINARY_ENDINGS = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".xlsx": "xlsx"}
CONTENT_TYPES = {
    "": "text/csv",
    ".csv": "text/csv",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
}
_ENDINGS = tuple(filter(None, (*CONTENT_TYPES, *BINARY_ENDINGS)))
OfModel = Annotated[str | None, typer.Option(help="Only of this model.")]
OfKind = Annotated[str | None, typer.Option(help="Only bulk jobs (bulk), or only single predictions (single).")]
OfName = Annotated[str | None, typer.Option(help="Only where this is a part of the job's name.")]
JobId = Annotated[str, typer.Argument(help="As `predictq jobs` shows it.")]


def jobs(
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    status: Annotated[
        str | None, typer.Option(help="Only queued, running, succeeded, failed or cancelled ones.")
    ] = None,
    kind: OfKind = None,
    model: OfModel = None,
    name: OfName = None,
    since: Annotated[str | None, typer.Option(help="Only accepted since: 2h ago, or 2026-11-26T18:00.")] = None,
    until: Annotated[str | None, typer.Option(help="Only accepted before: 2h ago, or 2026-11-26T18:00.")] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Show your jobs, newest first."""
    times = {
        "since": moment_ago("--since", since) if since else None,
        "until": moment_ago("--until", until) if until else None,
    }
    with api_client(api_url, api_key, quiet=as_json) as client:
        found = client.jobs(limit=limit, status=status, kind=kind, model=model, name=name, **times)
        paused = [] if as_json else client.call("GET", "/v1/pauses")["pauses"]
    if as_json:
        say_json(found)
        return
    for item in paused:
        remark(f"[yellow]paused:[/] {what_of(item)} by {plain_text(item['actor'])}: {plain_text(item['reason'])}")
    rows = [
        (job["id"], job["kind"], job["status"], *map(_count, _counts(job)), f"{job['model']}:{job['model_version']}",
         job["created_at"][:19].replace("T", " "))
        for job in found
    ]  # fmt: skip
    numbers = ("total", "succeeded", "failed", "cancelled")
    say_table(("job", "kind", "status", *numbers, "model", "accepted (UTC)"), rows, right=frozenset(numbers))


def _say_job(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(job)
    else:
        say(job_line(job))


def _counts(job: dict[str, Any]) -> list[int | None]:
    return [job["request_counts"][name] for name in ("total", "succeeded", "failed", "cancelled")]


def _count(number: int | None) -> str:
    """As a table shows it; the total of a selection is not known while its rows are looked for."""
    return "…" if number is None else f"{number:,}"


def job(
    job_id: JobId,
    watch: Annotated[bool, typer.Option("--watch", help="Show the progress until the job is finished.")] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Show how a job stands."""
    from cli import watching

    with api_client(api_url, api_key, quiet=as_json) as client:
        found = client.job(job_id)
        if watch:
            found = watching.watch(client, found, quiet=as_json)
        summary = None if as_json else watching.read_summary(client, found)
    _say_job(found, as_json=as_json)
    for line in summary_lines(summary, job_id):
        say(line)
    if watch:
        raise typer.Exit(watching.exit_status(found))


def results(
    job_id: JobId,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            dir_okay=False,
            help="By its ending .csv, .ndjson, .parquet, .arrow or .xlsx; default: CSV.",
        ),
    ] = None,
    errors: Annotated[
        str | None,
        typer.Option(help="Only rows that have an error (only), or those with this one, such as unknown_client."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per row, in place of CSV.")] = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Write a job's answers, in the order in which they were asked for; so far as they are there."""
    ending = _known_ending(output, as_json=as_json)
    if output and ending in BINARY_ENDINGS and not as_json:
        if errors is not None:
            raise UsageProblem(
                f"-o {output}: with --errors the file is one of {', '.join(filter(None, CONTENT_TYPES))}"
            )
        _write_binary(job_id, output, BINARY_ENDINGS[ending], api_url, api_key)
        return
    content_type = "application/x-ndjson" if as_json else CONTENT_TYPES[ending]
    with (
        api_client(api_url, api_key, quiet=as_json) as client,
        progress("receiving", None, unit="bytes", quiet=as_json or output is None) as meter,
        _target(output) as target,
    ):
        complete = client.results(job_id, target, content_type, meter, errors=errors)
    if not complete:
        remark("The job still runs: these are the first of its answers.")
    elif output and not as_json:
        say(f"{count_of(_rows(output, ending), 'row')} written to {plain_text(output)}")


def _known_ending(output: Path | None, *, as_json: bool) -> str:
    """That of the file, which says what is written; none with --json, which says it. Raises UsageProblem."""
    if output and not output.parent.is_dir():
        raise UsageProblem(f"-o {output}: there is no folder {output.parent}")
    ending = output.suffix.lower() if output and not as_json else ""
    if not ending or ending in _ENDINGS:
        return ending
    raise UsageProblem(f"-o {output}: the file's ending says what is written; it is one of {', '.join(_ENDINGS)}")


def _rows(output: Path, ending: str) -> int:
    """How many rows a file of text has: a field of CSV may have several lines."""
    with output.open(encoding="utf-8", newline="") as file:
        if CONTENT_TYPES[ending] == "text/csv":
            return sum(1 for _ in csv.reader(file)) - 1
        return sum(1 for _ in file)


def _write_binary(job_id: str, output: Path, kind: str, api_url: str | None, api_key: str | None) -> None:
    """Have a worker write the file as `kind`, and fetch it."""
    with (
        api_client(api_url, api_key, quiet=False) as client,
        progress("receiving", None, unit="bytes", quiet=False) as meter,
        _target(output) as target,
    ):
        count, complete = client.export(job_id, kind, target, meter)
    if not complete:
        remark("The job still runs: these are the first of its answers.")
    say(f"{count_of(count, 'row')} written to {plain_text(output)}")


@contextmanager
def _target(output: Path | None) -> Iterator[IO[bytes]]:
    """Standard output, or a file of its owner's alone that takes its name when it is complete."""
    if output is None:
        yield sys.stdout.buffer
        return
    partial = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with open_private(partial, "wb") as file:
            yield file
        partial.replace(output)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def cancel(
    job_id: Annotated[str | None, typer.Argument(help="As `predictq jobs` shows it.")] = None,
    status: Annotated[str | None, typer.Option(help="All jobs that are queued, or running.")] = None,
    kind: Annotated[str | None, typer.Option(help="All open bulk jobs (bulk), or single predictions (single).")] = None,
    model: Annotated[str | None, typer.Option(help="All open jobs of this model.")] = None,
    name: Annotated[str | None, typer.Option(help="All open jobs with this in their name.")] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Stop a job, or all open jobs that the options describe. What is scored stays."""
    given = {"status": status, "kind": kind, "model": model, "name": name}
    wanted = {key: value for key, value in given.items() if value}
    if (job_id is None) == (not wanted):
        raise UsageProblem("name one job, or describe the jobs by --status, --kind, --model and --name")
    with api_client(api_url, api_key, quiet=as_json) as client:
        if job_id is not None:
            _say_job(client.cancel(job_id), as_json=as_json)
            return
        count = client.cancel_all(wanted)
    if as_json:
        say_json({"cancelled": count})
    else:
        say(f"{count_of(count, 'job')} cancelled")


def trace(
    request_id: Annotated[str, typer.Argument(help="As results and single jobs show it: 1042-7.")],
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Show what made one prediction: features, model, worker and times."""
    with api_client(api_url, api_key, quiet=as_json) as client:
        found = client.trace(request_id)
    if as_json:
        say_json(found)
        return
    for line in trace_lines(found):
        say(line)
