"""`predictq pause`, `resume` and `pauses`: holding work back, and letting it go on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.errors import UsageProblem
from cli.output.console import AsJson, minute_text, plain_text, say, say_json, say_table

QUEUES = ("interactive", "plan", "bulk")

OfQueue = Annotated[str | None, typer.Option("--queue", help="interactive, plan or bulk.")]
OfModel = Annotated[str | None, typer.Option("--model", help="The work of this model; with --queue only there.")]


def pause(
    reason: Annotated[str, typer.Option(help="Why; whoever waits will see it.")],
    queue: OfQueue = None,
    model: OfModel = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Hold back a queue or a model's work: what waits loses nothing, what is in hand is finished."""
    wanted = {**_named(queue, model), "reason": reason}
    with api_client(api_url, api_key, quiet=as_json) as http:
        begun = http.call("POST", "/v1/pauses", wanted)
    if as_json:
        say_json(begun)
    else:
        say(f"paused: {what_of(begun)}. Let it go on with: predictq resume {_options(begun)}")


def resume(
    queue: OfQueue = None,
    model: OfModel = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Let work go on that was paused."""
    named = _named(queue, model)
    with api_client(api_url, api_key, quiet=as_json) as http:
        standing = http.call("GET", "/v1/pauses")["pauses"]
        found = [item for item in standing if (item["queue"], item["model"]) == (queue, model)]
        if not found:
            others = ", ".join(_options(item) for item in standing)
            raise UsageProblem(f"this is not paused{f'; what is: {others}' if others else ': nothing is'}")
        http.call("DELETE", f"/v1/pauses/{found[0]['id']}")
    if as_json:
        say_json({**named, "resumed": True})
    else:
        say(f"goes on: {what_of(found[0])}")


def pauses(as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Show what is paused, by whom and why."""
    with api_client(api_url, api_key, quiet=as_json) as http:
        found = http.call("GET", "/v1/pauses")["pauses"]
    if as_json:
        say_json(found)
    elif not found:
        say("nothing is paused")
    else:
        rows = [
            (
                item["queue"] or "all",
                item["model"] or "all",
                item["reason"],
                item["actor"],
                minute_text(item["created_at"]),
            )
            for item in found
        ]
        say_table(("queue", "model", "reason", "by", "since (UTC)"), rows)


def what_of(item: dict[str, Any]) -> str:
    """What a pause holds back, in words that the console may print."""
    of_queue = f"queue {item['queue']}" if item["queue"] else ""
    of_model = f"model {plain_text(item['model'])}" if item["model"] else ""
    return " and ".join(filter(None, (of_queue, of_model)))


def _named(queue: str | None, model: str | None) -> dict[str, str]:
    if queue is None and model is None:
        raise UsageProblem("say what: --queue QUEUE, --model MODEL, or both")
    if queue is not None and queue not in QUEUES:
        raise UsageProblem(f"--queue must be one of {', '.join(QUEUES)}")
    return {name: value for name, value in (("queue", queue), ("model", model)) if value is not None}


def _options(item: dict[str, Any]) -> str:
    given = (("--queue", item["queue"]), ("--model", item["model"]))
    return " ".join(f"{option} {plain_text(value)}" for option, value in given if value)
