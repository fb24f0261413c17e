"""`predictq holds`: what must stay, whatever its age."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.arguments.client_key import Composite, read_key
from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.output.console import AsJson, minute_text, plain_text, say, say_json, say_table
from cli.output.job_text import client_text
from shared.sentences import count_of

app = typer.Typer(no_args_is_help=True, help="Legal holds: what must stay, whatever its age.")


@app.command()
def add(
    reason: Annotated[str, typer.Option(help="Why; without the client's key.")],
    model: Annotated[str | None, typer.Option(help="Hold all answers of this model.")] = None,
    job: Annotated[str | None, typer.Option(help="Hold this job.")] = None,
    client: Annotated[
        list[str] | None, typer.Option(help="Hold this client: KEY, or COLUMN=VALUE for each part of a composite key.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="The source that the client's key is of; default: all.")] = None,
    composite: Composite = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
    as_json: AsJson = False,
) -> None:
    """Hold a model, a job or a client: nothing of it goes by age or is erased until the hold is released."""
    document = {
        "model": model,
        "job_id": job,
        "client_id": read_key(client, composite=composite) if client else None,
        "source": source,
    }
    named = {name: value for name, value in document.items() if value is not None}
    with api_client(api_url, api_key, quiet=as_json) as http:
        hold = http.call("POST", "/v1/holds", {**named, "reason": reason})
    if as_json:
        say_json(hold)
    else:
        say(f"hold {hold['id']} stands{_of_answers(hold)}. Release it with: predictq holds release {hold['id']}")
        if hold["answers"] == 0:
            say("Nothing is stored under this key: look at its spelling, unless the client's first answer is to come.")


@app.command("list")
def list_(api_url: ApiUrl = None, api_key: ApiKeyText = None, as_json: AsJson = False) -> None:
    """Show the holds that stand, newest first."""
    with api_client(api_url, api_key, quiet=as_json) as http:
        holds = http.call("GET", "/v1/holds")["holds"]
    if as_json:
        say_json(holds)
        return
    rows = [(hold["id"], _what(hold), hold["reason"], hold["actor"], minute_text(hold["created_at"])) for hold in holds]
    say_table(("hold", "what", "reason", "by", "since (UTC)"), rows)


@app.command()
def release(
    hold: Annotated[int, typer.Argument(min=1, help="As `predictq holds list` shows it.")],
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
    as_json: AsJson = False,
) -> None:
    """End a hold. What is due goes with the next run of retention."""
    with api_client(api_url, api_key, quiet=as_json) as http:
        http.call("DELETE", f"/v1/holds/{hold}")
    if as_json:
        say_json({"id": hold, "released": True})
    else:
        say(f"hold {hold} is released")


def _of_answers(hold: dict[str, Any]) -> str:
    return f" over {count_of(hold['answers'], 'stored answer')}" if hold["answers"] else ""


def _what(hold: dict[str, Any]) -> str:
    if hold["model"] is not None:
        return f"model {plain_text(hold['model'])}"
    if hold["job_id"] is not None:
        return f"job {hold['job_id']}"
    source = f" of {hold['source']}" if hold["source"] else ""
    return f"client {client_text(hold['client_id'])}{source}"
