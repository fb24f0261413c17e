"""Models from the command line: train them, wrap files of others, and put them into the registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sqlalchemy import Engine

from cli.errors import FileRefused, UsageProblem
from cli.progress import progress
from model import artefact as artefacts
from model.artefact import Artefact
from model.csv_input import read_csv
from model.dataset import generate
from model.errors import ArtefactError
from model.metadata import ArtefactMetadata
from model.opening import size_refusal
from model.report import write_report
from model.train import TrainingResult, train
from shared.models.registry import ModelVersion, promote_model, register_model
from shared.models.signature import FeatureKind, Signature, SignatureRefused
from shared.models.signature_reading import read_signature_text
from shared.postgres.engine import transaction
from shared.sources.sample_features import CLIENT_FEATURES
from worker.models.registration import Offer, prepare, with_trial


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the sample's table, until sources are read from the database."""

    name: str
    type: str
    nullable: bool = True
    comment: str | None = None


_TYPES = {
    FeatureKind.INTEGER: "integer",
    FeatureKind.NUMBER: "double precision",
    FeatureKind.BOOLEAN: "boolean",
    FeatureKind.CATEGORY: "text",
}
_SAMPLE_COLUMNS = [_Column(spec.name, _TYPES[spec.kind]) for spec in CLIENT_FEATURES]


def train_model(
    data: Path | None, sample_rows: int, *, estimator: str, seed: int, splits: int, quiet: bool
) -> TrainingResult:
    """Train on a labelled CSV file, or on `sample_rows` generated clients where `data` is None."""
    frame = read_csv(data) if data else pd.concat(generate(sample_rows, seed), ignore_index=True)
    source = data.name if data else f"{sample_rows:,} generated clients, seed {seed}"
    with progress(f"training {estimator}", splits + 1, unit="steps", quiet=quiet) as meter:
        return train(
            frame,
            estimator=estimator,
            seed=seed,
            splits=splits,
            source=source,
            progress=lambda done, _total: meter(done),
        )


def save_training(result: TrainingResult, directory: Path) -> None:
    """Write the artefact, the plots and the figures into `directory`."""
    artefacts.save(result.artefact, directory)
    write_report(result, directory)


def read_artefact(
    path: Path,
    signature: Path | None,
    threshold: float | None,
    positive_class: str | None,
    *,
    force: str | None = None,
) -> Artefact:
    """The artefact in a directory that `predictq train --output` wrote, or one made of a file with an estimator.

    Unpickling runs code: `path` must be a file that you trust. `force` is the reason to register a model whose answers
    depend on a row's neighbours. Raises UsageProblem, FileRefused or ArtefactError.
    """
    if path.is_dir():
        if (signature, threshold, positive_class) != (None, None, None):
            raise UsageProblem(
                f"{path} is a directory, whose model.json says signature, threshold and class. To say others, register "
                f"{path / artefacts.CONTENT_FILE}"
            )
        return with_trial(artefacts.read(path), force=force)
    refusal = size_refusal(path.stat().st_size)
    if refusal:
        raise FileRefused(f"{path}: {refusal}")
    offer = Offer(
        path.read_bytes(),
        path.stem,
        _read_signature(signature) if signature else None,
        columns=_SAMPLE_COLUMNS,
        positive=positive_class,
        threshold=threshold,
        force=force,
    )
    try:
        return prepare(offer)
    except ArtefactError as error:
        raise FileRefused(f"{path}: {error}") from error


def register(engine: Engine, artefact: Artefact, *, promote: bool) -> ModelVersion:
    """Put an artefact into the registry; with `promote` it is live when this returns."""
    metadata = artefact.metadata
    with transaction(engine) as connection:
        model = register_model(
            connection,
            name=metadata.name,
            sha256=metadata.sha256,
            signature=metadata.signature,
            threshold=_binary_threshold(metadata),
            classes=metadata.classes,
            metadata=metadata.description(),
            artefact=artefact.content,
        )
        return promote_model(connection, model.version) if promote else model


def _binary_threshold(metadata: ArtefactMetadata) -> float:
    if metadata.threshold is None:
        raise UsageProblem(f"Models of the task {metadata.task} cannot be registered yet.")
    return metadata.threshold


def _read_signature(path: Path) -> Signature:
    try:
        return Signature.from_json(read_signature_text(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError:
        raise FileRefused(f"{path} is not UTF-8 text.") from None
    except SignatureRefused as error:
        raise FileRefused("\n".join(f"{path}: {flaw}" for flaw in str(error).splitlines())) from error
