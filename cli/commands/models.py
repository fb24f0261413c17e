"""`predictq train`, `models`, `models register` and `promote`: the registry, straight in the database."""

# ruff: noqa: PLC0415 - scikit-learn takes 2 s to import, SQLAlchemy 0.2 s: `predictq --help` must not wait for them

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import AsJson, plain_text, remark, say, say_json, say_table

if TYPE_CHECKING:
    from shared.models.registry import ModelVersion

app = typer.Typer(invoke_without_command=True, help="Show the registered models, or register one.")

Promote = Annotated[bool, typer.Option("--promote", help="Make it the live model at once.")]


def train(
    data: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Labelled clients as CSV; without it, samples are generated."),
    ] = None,
    sample: Annotated[int, typer.Option(min=100, help="How many samples to generate.")] = 10_000,
    estimator: Annotated[
        str, typer.Option(help="logistic_regression, hist_gradient_boosting or random_forest.")
    ] = "logistic_regression",
    splits: Annotated[int, typer.Option(min=2, help="Test splits: more make the figures surer.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    promote: Promote = False,
    output: Annotated[
        Path | None, typer.Option(file_okay=False, help="A directory for the artefact, its plots and its figures.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a model and register it."""
    from cli.database import database
    from cli.registry import register, save_training, train_model

    with database() as engine:  # first, so that nobody trains for a minute to hear that there is no database
        result = train_model(data, sample, estimator=estimator, seed=seed, splits=splits, quiet=as_json)
        if output:
            save_training(result, output)
        model = register(engine, result.artefact, promote=promote)
    if as_json:
        say_json(_model_json(model))
        return
    report = result.report
    leavers, threshold = int(report.labels.sum()), model.threshold
    say(f"trained on {len(report.labels):,} clients, {leavers:,} of whom left; threshold {threshold:.3f}")
    rows = [(name, f"{i.mean:.3f}", f"{i.low:.3f} – {i.high:.3f}") for name, i in report.metrics.items()]
    say_table((f"mean of {report.splits} splits", "value", "95 % interval"), rows, right=frozenset({"value"}))
    _say_registered(model)


@app.callback()
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the registered models, newest first."""
    if context.invoked_subcommand is not None:
        return
    from cli.database import database
    from shared.models.registry import list_models
    from shared.postgres.engine import transaction

    with database() as engine, transaction(engine) as connection:
        found = list_models(connection)
    if as_json:
        say_json([_model_json(model) for model in found])
        return
    rows = [
        (model.version, "live" if model.is_live else "", model.name, f"{model.threshold:.3f}", _figure(model, "f1"),
         _figure(model, "roc_auc"), f"{model.created_at:%Y-%m-%d %H:%M}", model.sha256[:12])
        for model in found
    ]  # fmt: skip
    headers = ("version", "", "name", "threshold", "f1", "roc auc", "registered", "sha256")
    say_table(headers, rows, right=frozenset({"version"}))
    if not found:
        remark("No model yet: predictq train --promote")


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
    version: Annotated[int, typer.Argument(min=1, help="As `predictq models` shows it.")], as_json: AsJson = False
) -> None:
    """Make a model version the live one. Accepted jobs keep theirs; workers need no restart."""
    from cli.database import database
    from shared.models.registry import promote_model
    from shared.postgres.engine import transaction

    with database() as engine, transaction(engine) as connection:
        model = promote_model(connection, version)
    if as_json:
        say_json(_model_json(model))
    else:
        say(f"version {model.version} ({plain_text(model.name)}) is live")


def _say_registered(model: ModelVersion) -> None:
    say(f"registered as version {model.version}" + (" and live" if model.is_live else ""))
    if not model.is_live:
        remark(f"Put it to work with: predictq promote {model.version}")


def _figure(model: ModelVersion, name: str) -> str:
    figure = (model.metadata.get("metrics") or {}).get(name)
    return f"{figure['mean']:.3f}" if figure else ""


def _model_json(model: ModelVersion) -> dict[str, Any]:
    return {
        "version": model.version,
        "name": model.name,
        "is_live": model.is_live,
        "threshold": model.threshold,
        "sha256": model.sha256,
        "metrics": model.metadata.get("metrics") or {},
        "created_at": model.created_at,
        "promoted_at": model.promoted_at,
    }
