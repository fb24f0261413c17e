"""Training from the command line: rows in, a directory and an artefact out."""

from __future__ import annotations

from pathlib import Path

from cli.progress import progress
from model.training.csv_file import read_rows
from model.training.run import TrainingResult, Wish, train


def train_on_file(path: Path, wish: Wish, *, quiet: bool) -> TrainingResult:
    """Train on a labelled CSV file. Raises DataRefused."""
    rows = read_rows(path, wish.target, drop=wish.drop)
    with progress(f"training on {path.name}", wish.splits + 1, unit="steps", quiet=quiet) as meter:
        return train(rows, wish, source=path.name, progress=lambda done, _total: meter(done))
