"""`predictq train`: labelled rows in, a model with its plots and its card out."""

# ruff: noqa: PLC0415 - scikit-learn takes 2 s to import: `predictq --help` must not wait for it

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.commands.models.registry import Promote, promote_registered
from cli.errors import UsageProblem
from cli.output.console import AsJson, plain_text, remark, say, say_json, say_table
from shared.models.task import Task

if TYPE_CHECKING:
    from model.training.run import TrainingResult


def train(
    target: Annotated[str, typer.Option(help="The column to learn.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="Labelled rows as CSV, with a header of any columns; without it they are those of --source.",
        ),
    ] = None,
    estimator: Annotated[
        str | None,
        typer.Option(
            help="logistic_regression, hist_gradient_boosting or random_forest; for a number ridge or the last two."
        ),
    ] = None,
    task: Annotated[
        Task | None, typer.Option(help="Default: two values are binary, words multiclass, other numbers regression.")
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help="Of two classes the one whose probability is wanted, where it is not plain.")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(help="A column to leave out; may be repeated.")] = None,
    splits: Annotated[int, typer.Option(min=2, help="Test splits: more make the figures surer.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    model: Annotated[str | None, typer.Option(help="Register it under this name.")] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Where the registered model finds its features; without FILE the rows to learn from, too."),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Of a source: so many rows, drawn by --seed. Default: all.")
    ] = None,
    promote: Promote = False,
    output: Annotated[
        Path | None, typer.Option(file_okay=False, help="A directory for the model, its plots and its card.")
    ] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Train a model on labelled rows, say how good it is, and register it where a name is given."""
    from cli.model_files import find_model
    from cli.model_files import register as send
    from cli.training import train_on_file, train_on_source
    from model.training.run import Wish
    from model.training.saving import save_training

    if model is None and (output is None or promote):
        raise UsageProblem("give --output DIRECTORY to keep the model, or --model NAME to register it")
    _check_where_from(file, source, rows)
    wish = Wish(target, task, positive, estimator, tuple(drop or ()), seed=seed, splits=splits)
    known = None
    if model is not None:  # first, so that nobody trains for a minute to hear that there is no gateway
        with api_client(api_url, api_key, quiet=as_json) as client:
            client.call("GET", "/v1/models")
            if source is not None:
                known = client.call("GET", f"/v1/sources/{quote(source, safe='')}")
    if file is not None:
        result = train_on_file(file, wish, quiet=as_json, source=known)
    else:
        with api_client(api_url, api_key, quiet=as_json) as client:
            result = train_on_source(client, str(source), wish, rows=rows, quiet=as_json)
    if not as_json:
        _say_trained(result)  # before it is registered, which may be refused
    version = None
    with tempfile.TemporaryDirectory(prefix="predictq-train-") as temporary:
        directory = output or Path(temporary)
        save_training(result, directory)
        if model is not None:
            with api_client(api_url, api_key, quiet=as_json) as client:
                version = send(client, model, find_model(directory), {"source": source}, quiet=as_json)["version"]
                if promote:
                    version = promote_registered(client, version, None)
    if as_json:
        say_json({"task": result.target.task, "metrics": _figures_json(result), "version": version})
        return
    if version:
        label = f"{version['model']}:{version['version']}"
        say(f"registered as {plain_text(label)}" + (" and live" if version["is_live"] else ""))


def _check_where_from(file: Path | None, source: str | None, rows: int | None) -> None:
    if file is None and source is None:
        raise UsageProblem("give a FILE.csv to learn from, or --source NAME to learn from its rows")
    if file is not None and rows is not None:
        raise UsageProblem("--rows is for the rows of --source; a FILE is read whole")


def _say_trained(result: TrainingResult) -> None:
    from model.training.card import about_text, interval_texts

    for name, reason in result.left_out.items():
        remark(f"left out {plain_text(name)}: {plain_text(reason)}")
    say(plain_text(about_text(result)))
    rows = [(name, *interval_texts(value)) for name, value in result.metrics.items()]
    say_table((f"mean of {result.splits} splits", "value", "95 % interval"), rows, right=frozenset({"value"}))


def _figures_json(result: TrainingResult) -> dict[str, Any]:
    return {name: asdict(value) for name, value in result.metrics.items()}
