"""`predictq retention`: how long answers are kept, and letting go what is due."""

# ruff: noqa: PLC0415 - what is imported late takes long, and `predictq --help` must not wait for it

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.output.console import AsJson, plain_text, remark, say, say_json, say_table
from shared.sentences import count_of

if TYPE_CHECKING:
    from cli.connection.client import ApiClient

app = typer.Typer(no_args_is_help=True, help="How long answers are kept, and letting go what is due.")

Period = Annotated[str, typer.Argument(help='Such as "13 months", "400 days", or "for ever".')]
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@app.command("set")
def set_(
    period: Period,
    model: Annotated[str | None, typer.Option(help="For this model alone; default: for all without their own.")] = None,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
    as_json: AsJson = False,
) -> None:
    """Keep answers, with their jobs and requests, for so long. "default" takes a model's own period away."""
    document = {"keep_for": None if period == "default" and model else period, "model": model}
    with api_client(api_url, api_key, quiet=as_json) as client:
        _say_policy(client.call("PUT", "/v1/retention", document), as_json=as_json)


@app.command()
def floor(period: Period, api_url: ApiUrl = None, api_key: ApiKeyText = None, as_json: AsJson = False) -> None:
    """Let no period be shorter than this; six months at first."""
    with api_client(api_url, api_key, quiet=as_json) as client:
        _say_policy(client.call("PUT", "/v1/retention/floor", {"floor": period}), as_json=as_json)


@app.command()
def show(api_url: ApiUrl = None, api_key: ApiKeyText = None, as_json: AsJson = False) -> None:
    """Show how long answers are kept, by model."""
    with api_client(api_url, api_key, quiet=as_json) as client:
        _say_policy(client.call("GET", "/v1/retention"), as_json=as_json)


@app.command()
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and let nothing go.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Write what goes as Parquet into this directory first; uses DATABASE_URL."),
    ] = None,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
    as_json: AsJson = False,
) -> None:
    """Let go now what is due. The upkeep process does so once a day by itself."""
    if export is not None and not dry_run:
        from cli.retention_export import export_and_run

        report = export_and_run(export)
    else:
        with api_client(api_url, api_key, quiet=as_json) as client:
            report = _ask(client, dry_run=dry_run)
    if as_json:
        say_json(report)
    else:
        _say_report(report)


def _ask(client: ApiClient, *, dry_run: bool) -> dict[str, Any]:
    """Have the gateway look, or the upkeep process work, and wait for the report."""
    import time

    from cli.errors import RunFailed

    asked = client.call("POST", "/v1/retention/run", {"dry_run": dry_run})
    is_told = False
    while asked["status"] in ("queued", "running"):
        if asked["status"] == "queued" and not is_told:
            remark("waiting for the upkeep process (predictq upkeep)")
            is_told = True
        time.sleep(0.5)
        asked = client.call("GET", f"/v1/retention/runs/{asked['id']}")
    if asked["status"] == "failed":
        raise RunFailed(str(asked["error"]))
    report: dict[str, Any] = asked["report"]
    return report


def _say_policy(policy: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(policy)
        return
    say(f"Answers are kept {_kept(policy['keep_for'])}. No period may be shorter than {plain_text(policy['floor'])}.")
    own = [(one["model"], one["own"]) for one in policy["models"] if one["own"]]
    if own:
        say_table(("model", "kept"), own)


def _kept(period: str) -> str:
    return plain_text(period if period == "for ever" else f"for {period}")


def _say_report(report: dict[str, Any]) -> None:
    would = "would go" if report["dry_run"] else "went"
    if report["thinned_rows"]:
        say(f"{count_of(report['thinned_rows'], 'row')} {would} out of pages that stay for the sake of held clients.")
    if not report["answers"] and not report["partitions"]:
        if not report["thinned_rows"]:
            say("Nothing is due.")
    else:
        say(
            f"{count_of(report['answers'], 'row')} of {count_of(report['jobs'], 'job')} "
            f"in {count_of(report['pages'], 'page')} {would}: "
            f"{size_text(report['bytes'])}, {count_of(len(report['partitions']), 'partition')} whole."
        )
        rows = [
            (one["model"], f"{one['jobs']:,}", f"{one['answers']:,}", f"{one['pages']:,}", size_text(one["bytes"]))
            for one in report["models"]
        ]
        headers = ("model", "jobs", "rows", "pages", "size")
        say_table(headers, rows, right=frozenset(headers[1:]))
    if report["waiting"]:
        remark(f"{count_of(report['waiting'], 'row is', 'rows are')} due, to go when all of their partition is.")


def size_text(size: float) -> str:
    """Bytes in words: 1.2 GB."""
    unit = 0
    while round(size, min(unit, 1)) >= 1000 and unit < len(_UNITS) - 1:  # 999,999 B are 1.0 MB, and not 1000.0 kB
        size /= 1000
        unit += 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"
