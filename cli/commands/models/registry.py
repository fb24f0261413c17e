"""`predictq models`: what is registered, and registering one."""

# ruff: noqa: PLC0415 - scikit-learn takes 2 s to import, SQLAlchemy 0.2 s: `predictq --help` must not wait for them

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.errors import UsageProblem
from cli.output.check_text import check_lines
from cli.output.console import AsJson, minute_text, plain_text, remark, say, say_json, say_table
from shared.errors import PredictqError
from shared.models.signature import LACKS

if TYPE_CHECKING:
    from cli.connection.client import ApiClient

app = typer.Typer(invoke_without_command=True, help="Show the registered models, or register one.")

ModelName = Annotated[str, typer.Argument(help="The model: churn, or churn:3 for a version.")]
_DESCRIPTION, _SHOWN_WORDS = 60, 6

Promote = Annotated[bool, typer.Option("--promote", help="Make it the live model at once.")]


@app.callback()
def models(context: typer.Context, as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Show the models by name, with what is live of each."""
    if context.invoked_subcommand is None:
        show_all(as_json=as_json, api_url=api_url, api_key=api_key)


@app.command("list")
def show_all(as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Show the models by name, with what is live of each."""
    with api_client(api_url, api_key, quiet=as_json) as client:
        found = client.call("GET", "/v1/models")["models"]
    if as_json:
        say_json(found)
        return
    rows = [
        (model["name"], "default" if model["is_default"] else "", model["task"], model["source"] or "–",
         model["live_version"] or "–", model["versions"], model["description"][:_DESCRIPTION])
        for model in found
    ]  # fmt: skip
    headers = ("model", "", "task", "source", "live", "versions", "description")
    say_table(headers, rows, right=frozenset({"live", "versions"}))
    if not found:
        remark("No model yet: predictq models register NAME FILE --source SOURCE")


@app.command()
def show(model: ModelName, as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Show a model with its versions, or a version (churn:3) with its signature."""
    name, number = named_model(model)
    with api_client(api_url, api_key, quiet=as_json) as client:
        found = client.call("GET", model_path(name, number))
    if as_json:
        say_json(found)
    elif number is None:
        about = f". {found['description']}" if found["description"] else ""
        say(plain_text(f"{found['name']}: {found['task']}, source {found['source'] or 'none'}{about}"))
        rows = [
            (version["version"], _state(version), _threshold(version), minute_text(version["created_at"]),
             version["file_format"], version["sha256"][:12])
            for version in found["all_versions"]
        ]  # fmt: skip
        headers = ("version", "", "threshold", "registered", "file", "sha256")
        say_table(headers, rows, right=frozenset({"version", "threshold"}))
    else:
        _say_version(found)


@app.command()
def register(
    model: Annotated[str, typer.Argument(help="What the model is called: churn.")],
    file: Annotated[
        Path, typer.Argument(exists=True, help="joblib, pickle, skops or ONNX; or a directory of `train --output`.")
    ],
    source: Annotated[str | None, typer.Option(help="Where its features are; none: they come with each call.")] = None,
    positive: Annotated[
        str | None,
        typer.Option("--positive", "--positive-class", help="Of two classes the one whose probability is given."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="At or above it the label is the positive class; default 0.5.")
    ] = None,
    signature: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON that corrects the features that were found.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="What people read about the model.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="A type in a skops file that you trust; may be repeated.")
    ] = None,
    force: Annotated[str | None, typer.Option(help="Why it is registered in spite of the trial's doubts.")] = None,
    seal: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Its seal; default: FILE.seal, where there is one.")
    ] = None,
    code: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="A folder of modules that the file needs; they travel along."),
    ] = None,
    promote: Promote = False,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Register a fitted estimator. A worker opens the file, which runs code of a pickle: closed in, where it can.

    It says how the file was opened. Modules given by --code are run, too: now, and with each prediction.
    """
    from cli.model_files import find_model, read_seal, read_signature
    from cli.model_files import register as send
    from model.code.folder import pack_folder

    options = {
        "source": source,
        "positive": positive,
        "threshold": threshold,
        "signature": read_signature(signature) if signature else None,
        "description": description,
        "allow": allow,
        "force": force,
    }
    found = find_model(file)
    options["seal"] = read_seal(found.path, seal)
    packed = pack_folder(code) if code else None
    for line in packed.describe() if packed else []:
        remark(plain_text(line))
    with api_client(api_url, api_key, quiet=as_json) as client:
        answer = send(client, model, found, options, code=packed, quiet=as_json)
        version = answer["version"]
        if not as_json:
            _say_version(version)
            for finding in answer["findings"]:
                remark(plain_text(finding))
        label = f"{version['model']}:{version['version']}"
        if promote:
            version = promote_registered(client, version, force)
    if as_json:
        say_json(version)
        return
    say(f"registered as {plain_text(label)}" + (" and live" if version["is_live"] else ""))
    if not version["is_live"]:
        remark(next_step(label, version["source"], answer["findings"]))


def promote_registered(client: ApiClient, version: Mapping[str, Any], force: str | None) -> dict[str, Any]:
    """Make a version live that has just been registered, and which stays registered where that is refused."""
    path = model_path(version["model"], version["version"])
    try:
        return client.call("POST", f"{path}/promote", {"force": force} if force else {})
    except PredictqError:
        remark(f"{plain_text(version['model'])}:{version['version']} is registered, and is not live:")
        raise


def next_step(label: str, source: str | None, findings: Sequence[str]) -> str:
    """What to type after a version was registered: no command that will be refused."""
    if any(finding.startswith(LACKS) for finding in findings):
        name = plain_text(source or "SOURCE")
        return (
            "It cannot go live while the source lacks them: do what is said of each, rename the model's features or "
            f"the columns, or add columns, and type: predictq sources check {name}. "
            f"Then: predictq promote {plain_text(label)}"
        )
    check = f"See what it makes of real rows: predictq models check {plain_text(label)}. " if source else ""
    return f"{check}Put it to work: predictq promote {plain_text(label)}"


@app.command()
def check(
    model: ModelName,
    rows: Annotated[int, typer.Option(min=1, max=10_000, help="How many rows of its source.")] = 1000,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Score real rows in every way that the service goes, beside the estimator itself, and say what was seen."""
    name, number = named_model(model)
    with api_client(api_url, api_key, quiet=as_json) as client:
        if number is None:
            versions = client.call("GET", model_path(name, None))["all_versions"]
            if not versions:
                raise UsageProblem(f"model {name} has no version yet: predictq models register {name} FILE")
            number = int(versions[0]["version"])
        report = client.call("POST", f"{model_path(name, number)}/check", {"rows": rows})
    if as_json:
        say_json(report)
    else:
        for line in check_lines(report):
            say(plain_text(line))
    if not report["is_equal"] or not report["answered"]:
        raise typer.Exit(1)


@app.command()
def default(model: ModelName, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Make a model the one that calls mean which name none."""
    name, _ = named_model(model)
    with api_client(api_url, api_key, quiet=False) as client:
        client.call("PATCH", model_path(name, None), {"is_default": True})
    say(f"{plain_text(name)} is the default model")


@app.command()
def describe(
    model: ModelName,
    text: Annotated[str, typer.Argument(help="What people read about it.")],
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Say what a model is for."""
    name, _ = named_model(model)
    with api_client(api_url, api_key, quiet=False) as client:
        client.call("PATCH", model_path(name, None), {"description": text})
    say(f"{plain_text(name)}: {plain_text(text)}")


def named_model(text: str) -> tuple[str, int | None]:
    """A model's name and a version's number. Raises UsageProblem."""
    from shared.jobs.accepting.model_choice import ModelChoice

    choice = ModelChoice.parse(text)
    if choice is None or choice.model is None:
        raise UsageProblem(f"{text!r} is no model: write churn, or churn:3 for one of its versions.")
    return choice.model, choice.version


def model_path(name: str, number: int | None) -> str:
    """Where the gateway has a model, or a version of it."""
    path = f"/v1/models/{quote(name, safe='')}"
    return path if number is None else f"{path}/versions/{number}"


def _state(version: Mapping[str, Any]) -> str:
    return "live" if version["is_live"] else "retired" if version["retired_at"] else ""


def _threshold(version: Mapping[str, Any]) -> str:
    return "" if version["threshold"] is None else f"{version['threshold']:.3f}"


def _say_version(version: Mapping[str, Any]) -> None:
    """A version with its signature."""
    classes = ", ".join(str(label) for label in version["classes"])
    facts = [
        f"{version['model']}:{version['version']}: {version['task']}" + (f" ({classes})" if classes else ""),
        f"source {version['source'] or 'none: features come with each call'}",
        *([f"threshold {version['threshold']:g}"] if version["threshold"] is not None else []),
        *([f"brings code, SHA-256 {version['code_sha256'][:16]}…"] if version.get("code_sha256") else []),
    ]
    say(plain_text("; ".join(facts)))
    rows = [
        (spec["name"], spec["kind"], spec.get("dtype") or "", "may be missing" if spec["nullable"] else "",
         ", ".join(spec["categories"][:_SHOWN_WORDS]) + (" …" if len(spec["categories"]) > _SHOWN_WORDS else ""))
        for spec in version["signature"]["features"]
    ]  # fmt: skip
    say_table(("feature", "kind", "dtype", "", "categories"), rows)
