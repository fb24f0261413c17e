"""Training from the command line: rows in, a directory and an artefact out."""

from __future__ import annotations

from pathlib import Path

from cli.errors import UsageProblem
from cli.progress import progress
from model.training.csv_file import read_rows
from model.training.run import TrainingResult, Wish, target_of, train
from shared.models.task import Task


def train_on_file(path: Path, wish: Wish, *, output: Path | None, promote: bool, quiet: bool) -> TrainingResult:
    """Train on a labelled CSV file. Raises DataRefused, or UsageProblem where nothing would be left of the model."""
    rows = read_rows(path, wish.target, drop=wish.drop)
    task = target_of(rows, wish).task
    if task is not Task.BINARY and (promote or output is None):
        raise UsageProblem(
            f"{wish.target} makes a {task} model, which the registry does not take yet: "
            "give --output DIRECTORY to keep it, and no --promote"
        )
    with progress(f"training on {path.name}", wish.splits + 1, unit="steps", quiet=quiet) as meter:
        return train(rows, wish, source=path.name, progress=lambda done, _total: meter(done))
