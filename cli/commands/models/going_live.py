"""`predictq promote`, `rollback`, `models withdraw` and `models retire`: which version answers, and which does not."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.commands.models.registry import model_path, named_model
from cli.errors import UsageProblem
from cli.output.console import AsJson, plain_text, say, say_json


def retire(
    version: Annotated[str, typer.Argument(help="A version that is not live: churn:3.")],
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Forget the file of a version. What it answered stays readable; it can never be live again."""
    name, number = named_model(version)
    if number is None:
        raise UsageProblem(f"{version!r} names no version: write {name}:3")
    with api_client(api_url, api_key, quiet=False) as client:
        client.call("POST", f"{model_path(name, number)}/retire", {})
    say(f"{plain_text(version)} is retired")


def promote(
    model: Annotated[str, typer.Argument(help="A model, for its newest version, or a version such as churn:3.")],
    force: Annotated[str | None, typer.Option(help="Why it goes live though its source lacks what it needs.")] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Make a model version the live one. Accepted jobs keep theirs; workers need no restart."""
    name, number = named_model(model)
    _change_live(f"{model_path(name, number)}/promote", force, as_json=as_json, url=api_url, key=api_key)


def rollback(
    model: Annotated[str, typer.Argument(help="The model.")],
    force: Annotated[str | None, typer.Option(help="Why it goes live though its source lacks what it needs.")] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Make the version live again that was live before the present one."""
    name, _ = named_model(model)
    _change_live(f"{model_path(name, None)}/rollback", force, as_json=as_json, url=api_url, key=api_key)


def _change_live(path: str, force: str | None, *, as_json: bool, url: str | None, key: str | None) -> None:
    with api_client(url, key, quiet=as_json) as client:
        version = client.call("POST", path, {"force": force} if force else {})
    if as_json:
        say_json(version)
    else:
        say(f"{plain_text(version['model'])}:{version['version']} is live")


def withdraw(
    model: Annotated[str, typer.Argument(help="The model.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")],
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Take a model out of service until a version is promoted: new jobs of it are refused, accepted ones go on."""
    name, number = named_model(model)
    if number is not None:
        raise UsageProblem(f"a model is withdrawn, not one of its versions: write {name}")
    with api_client(api_url, api_key, quiet=as_json) as client:
        version = client.call("POST", f"{model_path(name, None)}/withdraw", {"reason": reason})
    if as_json:
        say_json(version)
    else:
        label = f"{name}:{version['version']}"
        say(
            plain_text(
                f"{name} has no live version; {label} was. It is back with: predictq promote {shlex.quote(label)}"
            )
        )
