"""`predictq audit`: who did what, for people and for whoever collects the events of all services."""

# ruff: noqa: PLC0415 - what maps the lines is needed by one command

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from cli.arguments.moments import moment_ago
from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.output.console import AsJson, remark, say_json, say_table
from shared.access.private_files import open_private
from shared.sentences import count_of

if TYPE_CHECKING:
    from cli.connection.client import ApiClient

_OF_ALL = dict.fromkeys(("retention.set", "retention.floor"), "all models")  # where an act names none
FOLLOW_SECONDS = 2.0  # between two looks

app = typer.Typer(no_args_is_help=True, help="Who did what, when, and from where.")

Since = Annotated[str | None, typer.Option(help="Only since: 30d ago, or 2026-11-01.")]
Actor = Annotated[str | None, typer.Option(help="Only of this owner or person.")]
Action = Annotated[str | None, typer.Option(help="Only these, as model.promote.")]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    since: Since = None,
    actor: Actor = None,
    action: Action = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Show the newest lines of the audit log."""
    query = urlencode({**_wanted(since, actor, action), "limit": limit})
    with api_client(api_url, api_key, quiet=as_json) as http:
        acts = http.call("GET", f"/v1/audit?{query}")["acts"]
    if as_json:
        say_json(acts)
        return
    rows = [
        (act["at"][:19].replace("T", " "), act["actor"], act["key"] or act["actor_kind"], act["address"] or "",
         act["action"], act["object"] or _OF_ALL.get(act["action"], ""), act["reason"] or "")
        for act in acts
    ]  # fmt: skip
    say_table(("at (UTC)", "who", "by", "from", "what", "of", "reason"), rows)


@app.command()
def export(
    since: Since = None,
    actor: Actor = None,
    action: Action = None,
    output: Annotated[Path | None, typer.Option(help="The file to write; default: standard output.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new lines as they come, until Ctrl-C.")] = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Write the audit log as JSON lines in the words of OCSF, oldest first."""
    from shared.audit.ocsf import ocsf_event

    count = 0
    with ExitStack() as stack:
        target = sys.stdout if output is None else stack.enter_context(open_private(output, "x"))
        http = stack.enter_context(api_client(api_url, api_key, quiet=False))
        for act in _acts(http, _wanted(since, actor, action), follow=follow):
            target.write(json.dumps(ocsf_event(act), ensure_ascii=False) + "\n")
            count += 1
            if follow:
                target.flush()
    remark(count_of(count, "line"))


def _acts(http: ApiClient, wanted: dict[str, str], *, follow: bool) -> Iterator[dict[str, Any]]:
    query: dict[str, Any] = {**wanted, "order": "oldest", "limit": 1000}
    while True:
        page = http.call("GET", f"/v1/audit?{urlencode(query)}")
        yield from page["acts"]
        query["cursor"] = page["next"]
        if not page["acts"]:
            if not follow:
                return
            time.sleep(FOLLOW_SECONDS)


def _wanted(since: str | None, actor: str | None, action: str | None) -> dict[str, str]:
    given = {"since": moment_ago("--since", since) if since else None, "actor": actor, "action": action}
    return {name: value for name, value in given.items() if value is not None}
