"""`predictq sources`: where features come from. Workers read them; this asks the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.output.console import AsJson, plain_text, remark, say, say_json, say_table
from shared.postgres.source_time_outs import (
    CONNECT,
    LEAST_CONNECT_SECONDS,
    LEAST_SECONDS,
    LOCK,
    MOST_SECONDS,
    STATEMENT,
    time_out,
)
from shared.sentences import count_of

app = typer.Typer(invoke_without_command=True, help="Show the sources of features, or add one.")

Name = Annotated[str, typer.Argument(help="The source.")]
_TIME_OUTS = {STATEMENT: "a reading", LOCK: "a lock", CONNECT: "a connection"}
_SHOWN_TYPES = 60  # columns that are shown; more are counted


@app.callback()
def sources(
    context: typer.Context, as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKeyText = None
) -> None:
    """Show the sources by name."""
    if context.invoked_subcommand is None:
        show_all(as_json=as_json, api_url=api_url, api_key=api_key)


@app.command("list")
def show_all(as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Show the sources by name."""
    with api_client(api_url, api_key, quiet=as_json) as client:
        found = client.call("GET", "/v1/sources")["sources"]
    if as_json:
        say_json(found)
        return
    rows = [
        (source["name"], _table(source), _key(source), len(source["columns"]), _rows_text(source["measured"]))
        for source in found
    ]
    say_table(("source", "table", "key", "columns", "rows"), rows, right=frozenset({"columns", "rows"}))
    if not found:
        remark("No source yet: predictq sources add NAME --table SCHEMA.TABLE --key COLUMN")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What it is called from now on.")],
    table: Annotated[str, typer.Option(help="The table, view, materialised view or foreign table: schema.name.")],
    key: Annotated[
        list[str] | None, typer.Option(help="The column that names a client; repeated for a composite key.")
    ] = None,
    url_env: Annotated[
        str | None, typer.Option(help="The environment variable of the workers with the address of its database.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="A column that can be a feature; default: all that can.")
    ] = None,
    filter_column: Annotated[
        list[str] | None, typer.Option("--filter", help="A column that no model needs and --where may name.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=LEAST_SECONDS, max=MOST_SECONDS[STATEMENT], help="Seconds for one reading; default: 60."),
    ] = None,
    lock_timeout: Annotated[
        float | None,
        typer.Option(min=LEAST_SECONDS, max=MOST_SECONDS[LOCK], help="Seconds for somebody's lock; default: 5."),
    ] = None,
    connect_timeout: Annotated[
        int | None,
        typer.Option(
            min=LEAST_CONNECT_SECONDS, max=int(MOST_SECONDS[CONNECT]), help="Seconds for a connection; default: 3."
        ),
    ] = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Take a key that takes too long to be seen to be unique and never null.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what there is, and keep nothing.")] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Read the catalogue of a table, show what was found, and keep it as a source."""
    asked = {
        "name": name,
        "table": table,
        "key": [part for item in key or () for part in item.split(",")],
        "url_variable": url_env,
        "columns": column or [],
        "filters": filter_column or [],
        "unchecked": unchecked,
        "timeout_seconds": timeout,
        "lock_timeout_seconds": lock_timeout,
        "connect_timeout_seconds": connect_timeout,
        "dry_run": dry_run,
    }
    with api_client(api_url, api_key, quiet=as_json) as client:
        answer = client.call("POST", "/v1/sources", asked)
    if as_json:
        say_json(answer)
        return
    _say_found(answer["source"], answer["found"])
    if dry_run:
        remark("nothing is kept")
        return
    say(f"source {plain_text(name)} is added")
    remark(f"Next: predictq models register MODEL FILE --source {name}")


@app.command()
def show(name: Name, as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Show a source with its key and its columns."""
    with api_client(api_url, api_key, quiet=as_json) as client:
        source = client.call("GET", f"/v1/sources/{quote(name, safe='')}")
    if as_json:
        say_json(source)
        return
    _say_found(source, {"columns": source["columns"], **source["measured"]})


@app.command()
def check(name: Name, as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Say what has changed since a source was added, and which live versions that breaks."""
    with api_client(api_url, api_key, quiet=as_json) as client:
        found = client.call("POST", f"/v1/sources/{quote(name, safe='')}/check", {})
    if as_json:
        say_json(found)
    else:
        for change in found["changes"]:
            say(plain_text(change))
        earlier = [change for change in found["since_added"] if change not in found["changes"]]
        if not found["changes"]:
            say("nothing has changed since the last check" if earlier else "nothing has changed")
        for change in earlier:
            say(plain_text(f"since it was added: {change}"))
        for broken in found["broken"]:
            lacks = ", ".join(broken["lacking"] + broken["changed"])
            say(plain_text(f"{broken['model']}:{broken['version']} is live and needs {lacks}"))
    if found["broken"]:
        raise typer.Exit(1)


@app.command()
def remove(name: Name, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Take a source out of use. What was scored from it stays readable."""
    with api_client(api_url, api_key, quiet=False) as client:
        client.call("DELETE", f"/v1/sources/{quote(name, safe='')}")
    say(f"source {plain_text(name)} is removed")


def _say_found(source: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    kind = found.get("kind") or "table"
    noun = "row" if found.get("rows") == 1 else "rows"
    width = f" of some {found['row_bytes']:,} bytes" if found.get("row_bytes") else ""
    say(plain_text(f"{kind} {_table(source)}: {_rows_text(found)} {noun}{width}, key {_key(source)}"))
    columns: Sequence[Mapping[str, Any]] = found["columns"]
    fractions: Mapping[str, float] = found.get("null_fractions") or {}
    rows = [
        (column["name"], column["type"], _nulls(column, fractions), column.get("comment") or "")
        for column in columns[:_SHOWN_TYPES]
    ]
    say_table(("column", "type", "nulls", "comment"), rows)
    if len(columns) > _SHOWN_TYPES:
        remark(f"and {count_of(len(columns) - _SHOWN_TYPES, 'more column')}")
    if found.get("seconds") is not None:
        remark(f"10,000 keys take {found['seconds']:.2f} s")
    settings: Mapping[str, Any] = source.get("settings") or {}
    said = [f"{words} {time_out(settings, name):g} s" for name, words in _TIME_OUTS.items()]
    remark(f"time-outs: {', '.join(said)}")
    for item in found.get("not_features") or ():
        remark(plain_text(f"{item['name']} ({item['type']}) cannot be a feature: {item['why']}"))
    if left_out := found.get("left_out"):
        rest = f" and {len(left_out) - _SHOWN_TYPES} more" if len(left_out) > _SHOWN_TYPES else ""
        remark(plain_text(f"no features, for --column left them out: {', '.join(left_out[:_SHOWN_TYPES])}{rest}"))
    for note in found.get("notes") or ():
        remark(plain_text(note))
    _say_grants("What the worker's database role needs for this, and no more:", found.get("grants"))
    _say_grants("So that an unknown client is a 404 at once, for the gateway's role:", found.get("gateway_grants"))


def _say_grants(heading: str, lines: Sequence[str] | None) -> None:
    if lines:
        remark(heading)
    for line in lines or ():
        say(plain_text(line))


def _nulls(column: Mapping[str, Any], fractions: Mapping[str, float]) -> str:
    if not column["nullable"]:
        return "never"
    fraction = column.get("null_fraction", fractions.get(column["name"]))
    return "may be" if fraction is None else f"{fraction:.1%}"


def _rows_text(found: Mapping[str, Any]) -> str:
    rows = found.get("rows")
    if rows is None:
        return "?"
    return f"{rows:,}" if found.get("is_exact") else f"about {rows:,}"


def _table(source: Mapping[str, Any]) -> str:
    where = f" at ${source['url_variable']}" if source.get("url_variable") else ""
    return f"{source['schema']}.{source['relation']}{where}"


def _key(source: Mapping[str, Any]) -> str:
    return ", ".join(f"{column['name']} ({column['type']})" for column in source["key"])
