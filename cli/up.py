"""`predictq up` in words: what came up, how to use it, and what happens to it until it is stopped."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from shlex import quote

from cli.connection.address import ApiAddress
from cli.connection.client import ApiClient
from cli.connection.sign_in_link import sign_in_link
from cli.errors import GatewayAway, GatewayRefused
from cli.output.console import plain_text, remark, say, say_json
from devstack.services import FLOWER_USER
from devstack.stack import Plan, Running, running_stack
from devstack.state import StackState
from devstack.supervision.recovery import Event
from devstack.supervision.supervisor import StopRequested
from shared.settings.unknown import unknown_variables

NEXT = (
    "predictq sources add NAME --table SCHEMA.TABLE --key COLUMN   (or predictq clients import FILE.csv)",
    "predictq models register MODEL FILE --source NAME",
    "predictq promote MODEL",
    "predictq predict CLIENT --wait",
)


def run_until_stopped(plan: Plan, *, as_json: bool) -> None:
    """Run the stack until Ctrl-C, SIGTERM or SIGHUP.

    Being stopped in good order is a success; a signal while it comes up is raised as StopRequested.
    """
    for words in unknown_variables(os.environ):
        remark(f"[yellow]![/] {plain_text(words)}")
    started = time.monotonic()
    is_up = False
    try:
        with running_stack(plan, _untold if as_json else say_ready, tell_trouble) as running:
            is_up = True
            _announce(running, time.monotonic() - started, as_json=as_json, public_url=plan.public_url)
            running.supervisor.run_until_signal()
    except StopRequested:
        if not is_up:
            raise
    if not as_json:
        remark("stopped")


def _announce(running: Running, seconds: float, *, as_json: bool, public_url: str | None) -> None:
    if as_json:
        say_json(asdict(running.state) | {"logs": str(running.logs)})
        sys.stdout.flush()
    else:
        _say_panel(running, seconds, public_url)


def _untold(_line: str) -> None:
    """With --json, only the one document is printed."""


def say_ready(line: str) -> None:
    """One more thing is ready."""
    say(f"[green]✓[/] {plain_text(line)}")


def tell_trouble(name: str, event: Event, detail: str) -> None:
    """What the supervisor sees that a person should know."""
    if event in (Event.CRASHED, Event.FAILING):
        remark(f"[yellow]![/] {name} {event}: {plain_text(detail)}")


def _say_panel(running: Running, seconds: float, public_url: str | None) -> None:
    state = running.state
    login = f"user {FLOWER_USER}, password {state.flower_password}"
    flower = f"{state.flower_url}  {login}" if state.flower_url else None
    facts = [
        ("Look", _screens(state, public_url)),
        ("Gateway", state.api_url),
        ("Try it", f"{state.api_url}/docs"),
        ("Metrics", f"{state.api_url}/metrics"),
        ("Flower", flower),
        ("Key", state.api_key),
        ("Logs", str(running.logs)),
    ]
    # No frame: in a narrow terminal, and in a file, it would cut the link and the key.
    say(f"[bold green]predictq is up, after {seconds:.0f} s[/]")
    for label, fact in facts:
        if fact:
            say(f"  [bold]{label:<8}[/] {plain_text(fact)}")
    if running.has_model and running.first_client is not None:
        say("Predict:")
        say(plain_text(curl_line(running)))
    directory = quote(str(running.directory))
    say(f"One more worker, from any terminal: [bold]{plain_text(f'predictq worker --directory {directory}')}[/]")
    say("Stop: Ctrl-C.")
    if not running.has_model:
        say("No model is live yet. From another terminal:")
        for line in NEXT:
            say(f"  [bold]{plain_text(line)}[/]")
        remark("To look around, on a stack that is stopped: predictq up --example hr_attrition")


def _screens(state: StackState, public_url: str | None) -> str:
    """A link that signs in once; where none can be had, the address alone."""
    try:
        with ApiClient(address_in(state), patience_seconds=2) as client:
            link = sign_in_link(client)[0]
            return link if public_url is None else link.replace(client.named_url, public_url.rstrip("/"), 1)
    except (GatewayAway, GatewayRefused) as error:
        if state.api_url.startswith("https:"):
            remark(f"{plain_text(error)}. Is its certificate of an authority of your own? Name that: --tls-ca FILE")
        return state.api_url


def address_in(state: StackState) -> ApiAddress:
    """The gateway of a stack, with its own key."""
    return ApiAddress(state.api_url, state.api_key, state.api_ca, state.api_name)


def curl_line(running: Running) -> str:
    """A call that works by copy and paste."""
    state, body = running.state, json.dumps({"client_id": running.first_client})
    trust = f"--cacert {quote(state.api_ca)} " if state.api_ca else ""
    if state.api_name is not None:
        trust += f"--connect-to {state.api_name}::127.0.0.1: "
    return (
        f"curl -s {trust}{address_in(state).named_url}/v1/predict -H 'Authorization: Bearer {state.api_key}' "
        f"-H 'Content-Type: application/json' -H 'Prefer: wait=10' -d '{body}'"
    )
