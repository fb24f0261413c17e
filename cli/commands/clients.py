"""`predictq clients import` and `answers`: a file of clients becomes a table; what one client was answered."""

# ruff: noqa: PLC0415 - SQLAlchemy and the settings take 0.3 s to import, which `predictq --help` must not wait for

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments.client_key import Composite, KeyParts, NoSource, Source, client_order
from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.output.console import AsJson, plain_text, remark, say, say_json, say_table
from cli.output.job_text import number_text
from shared.sentences import count_of, listed_words

if TYPE_CHECKING:
    from cli.table_import import ImportOptions, Plan
    from shared.files.managed_table import ImportReport

app = typer.Typer(no_args_is_help=True, help="Import clients, erase or export one.")


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, .xlsx, .parquet or .arrow.")
    ],
    source: Annotated[str | None, typer.Option(help="The source's name; by default the file's.")] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="The column that names a client; repeat it for several.")
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(help="COLUMN=TYPE, may be repeated: zip=text, born=date:dmy, price=numeric:€, city=text:nulls."),
    ] = None,
    separator: Annotated[str | None, typer.Option(help="Between the columns of a CSV file.")] = None,
    decimal: Annotated[str | None, typer.Option(help="The decimal mark: . or ,")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a CSV file: utf-8, utf-16, cp1252, …")] = None,
    sheet: Annotated[str | None, typer.Option(help="Of a workbook; by default the only one that has rows.")] = None,
    ignore_extra: Annotated[bool, typer.Option("--ignore-extra", help="Leave unknown columns out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a table of clients from a file, or insert new and update changed ones. All rows, or none.

    It writes to PostgreSQL itself: with an API key and a URL alone nobody imports.
    """
    from cli.table_import import ImportOptions

    options = ImportOptions(source, key or (), types or (), separator, decimal, encoding, sheet, ignore_extra)
    _import_any(file, options, as_json=as_json)


def _import_any(file: Path, options: ImportOptions, *, as_json: bool) -> None:
    from cli.connection.database import database
    from cli.table_import import import_table
    from shared.files.refusals import CellsRefused

    show = _say_nothing if as_json else _show_plan
    start = time.monotonic()
    try:
        with database() as engine:
            plan, report = import_table(engine, file, options, on_plan=show, quiet=as_json)
    except CellsRefused as error:
        if as_json or error.count > 1:  # a single one is in the error
            _show_problems(error.problems, error.count, as_json=as_json)
        raise
    except KeyboardInterrupt:
        remark("stopped before its end: an import writes all rows, or none as here")
        raise
    if as_json:
        columns = {column.name: column.type for column in plan.columns}
        say_json({"source": plan.name, "key": plan.key, "columns": columns, **asdict(report)})
        return
    _say_report(report, start)


def _say_nothing(_plan: Plan) -> None:
    """JSON tells it at the end."""


def _show_plan(plan: Plan) -> None:
    """What was understood of the file, before a row is written."""
    what = "a new table" if plan.is_new else "the table that is there"
    name, key = plain_text(plan.name), plain_text(", ".join(plan.key))
    remark(f"{count_of(plan.rows, 'row')} for {name}, {what}; the key is {key}:")
    for column in plan.columns:
        words = [column.dress.in_words(column.type)] if column.dress.in_words(column.type) else []
        words += [_odd_words(column.name, *column.odd)] if column.odd else []
        nulls = f", {column.nulls:,} empty" if column.nulls else ""
        kept = _kept_words(column.name, column.kept_words) if column.kept_words else ""
        if column.name in plan.key and column.blank_ends:
            many = "value begins or ends" if column.blank_ends == 1 else "values begin or end"
            kept += f"; {column.blank_ends:,} {many} with a blank, which is part of the key"
        remark(plain_text(f"  {column.name}: {column.type}{f' ({words[0]})' if words else ''}{nulls}{kept}"))


def _kept_words(name: str, words: Mapping[str, int]) -> str:
    """That words which pandas reads as missing are kept in a text, and what to type where nothing is meant."""
    held, count = listed_words(words), sum(words.values())
    are = "is" if count == 1 else "are"
    return f"; {count:,} {are} {held}, kept as words: --types '{name}=text:nulls' makes them empty"


def _odd_words(name: str, line: int, value: str) -> str:
    """Why a column is text, and what to type where that value can be read as more."""
    from shared.files import moments, numbers

    why = f"for line {line} holds {value[:40]!r}"
    if moments.has_short_year(value):
        kind = "date" if " " not in value and "T" not in value else "timestamp"
        return f"{why}; --types '{name}={kind}:dmy' or '{name}={kind}:mdy' reads it, years 00 to 68 as 2000 to 2068"
    unit = numbers.unit_of(value.lstrip("-+"))
    return f"{why}; --types '{name}=numeric:{unit}' reads it as a number" if unit else why


def _show_problems(problems: Sequence[Any], count: int, *, as_json: bool) -> None:
    if as_json:
        say_json({"wrong_rows": count, "problems": [asdict(problem) for problem in problems]})
    for problem in problems if not as_json else ():
        remark(plain_text(problem))


def _say_report(report: ImportReport, start: float) -> None:
    rate = report.total / (time.monotonic() - start)
    counts = f"{report.inserted:,} inserted, {report.updated:,} updated, {report.unchanged:,} unchanged"
    say(f"{count_of(report.total, 'client')}: {counts} ({rate:,.0f} clients/s)")


def answers(
    key: KeyParts,
    source: Source = None,
    no_source: NoSource = False,
    composite: Composite = False,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Show what your jobs have answered for one client, newest first."""
    order = client_order(key, source, composite=composite, no_source=no_source) | ({"model": model} if model else {})
    with api_client(api_url, api_key, quiet=as_json) as http:
        parts = list(http.parts("/v1/clients/answers", order))
    found = [answer for part in parts for answer in part["answers"]]
    if as_json:
        say_json({**parts[-1], "answers": found})
        return
    headers = ("request", "answered (UTC)", "model", "answer", "job")
    say_table(headers, [_answer_row(answer) for answer in found])


def _answer_row(answer: dict[str, Any]) -> tuple[str, ...]:
    moment = (answer["answered_at"] or "")[:19].replace("T", " ")
    made = f"{answer['model']}:{answer['model_version']}"
    return answer["request_id"], moment, made, _outcome(answer), answer["job_name"] or answer["job_id"]


def _outcome(answer: dict[str, Any]) -> str:
    if answer["error"] is not None:
        return str(answer["error"]["code"])
    if answer.get("value") is not None:
        return number_text(answer["value"])
    if answer.get("probability") is None:
        return str(answer["state"])
    return f"{answer['label']} ({answer['probability']:.4f})"
