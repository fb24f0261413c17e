"""`predictq train`, `models`, `models register` and `promote`: the registry, straight in the database."""

# ruff: noqa: PLC0415 - scikit-learn takes 2 s to import, SQLAlchemy 0.2 s: `predictq --help` must not wait for them

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import AsJson, plain_text, remark, say, say_json, say_table
from cli.errors import UsageProblem
from shared.models.task import Task

if TYPE_CHECKING:
    from model.training.run import TrainingResult
    from shared.models.registry import ModelVersion

app = typer.Typer(invoke_without_command=True, help="Show the registered models, or register one.")

Promote = Annotated[bool, typer.Option("--promote", help="Make it the live model at once.")]


def train(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Labelled rows as CSV, with a header of any columns.")
    ],
    target: Annotated[str, typer.Option(help="The column to learn.")],
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
    promote: Promote = False,
    output: Annotated[
        Path | None, typer.Option(file_okay=False, help="A directory for the model, its plots and its card.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on labelled rows, say how good it is, and register it."""
    from cli.database import database
    from cli.registry import register
    from cli.training import train_on_file
    from model.training.run import Wish
    from model.training.saving import save_training

    wish = Wish(target, task, positive, estimator, tuple(drop or ()), seed=seed, splits=splits)
    with database() as engine:  # first, so that nobody trains for a minute to hear that there is no database
        result = train_on_file(file, wish, output=output, promote=promote, quiet=as_json)
        if output:
            save_training(result, output)
        model = register(engine, result.artefact, promote=promote) if result.target.task is Task.BINARY else None
    if as_json:
        say_json(_model_json(model) if model else {"task": result.target.task, "metrics": _figures_json(result)})
        return
    _say_trained(result)
    if model:
        _say_registered(model)


def _say_trained(result: TrainingResult) -> None:
    from model.training.card import about_text, interval_texts

    for name, reason in result.left_out.items():
        remark(f"left out {plain_text(name)}: {plain_text(reason)}")
    say(plain_text(about_text(result)))
    rows = [(name, *interval_texts(value)) for name, value in result.metrics.items()]
    say_table((f"mean of {result.splits} splits", "value", "95 % interval"), rows, right=frozenset({"value"}))


def _figures_json(result: TrainingResult) -> dict[str, Any]:
    return {name: asdict(value) for name, value in result.metrics.items()}


@app.callback()
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the registered models, newest first."""
    if context.invoked_subcommand is not None:
        return
    from cli.database import database
    from shared.models.registry import list_versions
    from shared.postgres.engine import transaction

    with database() as engine, transaction(engine) as connection:
        found = list_versions(connection)
    if as_json:
        say_json([_model_json(model) for model in found])
        return
    rows = [
        (model.label, "live" if model.is_live else "", model.task.value, f"{model.threshold or 0:.3f}",
         _figure(model, "f1"), _figure(model, "roc_auc"), f"{model.created_at:%Y-%m-%d %H:%M}", model.sha256[:12])
        for model in found
    ]  # fmt: skip
    headers = ("version", "", "task", "threshold", "f1", "roc auc", "registered", "sha256")
    say_table(headers, rows, right=frozenset({"version"}))
    if not found:
        remark("No model yet: predictq train FILE.csv --target COLUMN --promote")


@app.command()
def register(
    file: Annotated[
        Path,
        typer.Argument(exists=True, help="A joblib or pickle file that you trust, or a directory of `train --output`."),
    ],
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="At or above it the label is the positive class; needed for a file."),
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The features as JSON; default: the clients', none empty."),
    ] = None,
    positive_class: Annotated[
        str | None,
        typer.Option("--positive", "--positive-class", help="The class whose probability is given; inferred if plain."),
    ] = None,
    force: Annotated[
        str | None, typer.Option(help="Why the model is registered though its answers depend on a row's neighbours.")
    ] = None,
    promote: Promote = False,
    as_json: AsJson = False,
) -> None:
    """Register any fitted estimator with predict_proba. The file is unpickled, which runs its code."""
    from cli.database import database
    from cli.registry import read_artefact
    from cli.registry import register as put

    artefact = read_artefact(file, signature, threshold, positive_class, force=force)
    with database() as engine:
        model = put(engine, artefact, promote=promote)
    if as_json:
        say_json(_model_json(model))
    else:
        for finding in artefact.metadata.findings:
            remark(plain_text(finding))
        _say_registered(model)


def promote(
    version: Annotated[str, typer.Argument(help="A model, for its newest version, or a version such as churn:3.")],
    as_json: AsJson = False,
) -> None:
    """Make a model version the live one. Accepted jobs keep theirs; workers need no restart."""
    from cli.database import database
    from shared.jobs.model_choice import ModelChoice
    from shared.models.promotion import check_promotion
    from shared.models.registry import find_version, newest_checked, promote_version
    from shared.postgres.engine import transaction

    choice = ModelChoice.parse(version)
    if choice is None or choice.model is None:
        raise UsageProblem(f"{version!r} is no model: write churn, or churn:3 for one of its versions.")
    with database() as engine, transaction(engine) as connection:
        if choice.version is None:
            found = newest_checked(connection, choice.model)
        else:
            found = find_version(connection, choice.model, choice.version)
        check_promotion(connection, found)
        model = promote_version(connection, found.id)
    if as_json:
        say_json(_model_json(model))
    else:
        say(f"{plain_text(model.label)} is live")


def _say_registered(model: ModelVersion) -> None:
    say(f"registered as {model.label}" + (" and live" if model.is_live else ""))
    if not model.is_live:
        remark(f"Put it to work with: predictq promote {model.label}")


def _figure(model: ModelVersion, name: str) -> str:
    figure = (model.metadata.get("metrics") or {}).get(name)
    return f"{figure['mean']:.3f}" if figure else ""


def _model_json(model: ModelVersion) -> dict[str, Any]:
    return {
        "model": model.model,
        "version": model.version,
        "title": model.title,
        "is_live": model.is_live,
        "threshold": model.threshold,
        "sha256": model.sha256,
        "metrics": model.metadata.get("metrics") or {},
        "created_at": model.created_at,
        "promoted_at": model.promoted_at,
    }
