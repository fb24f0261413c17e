"""Models from the command line: wrap files of others, and put models into the registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from cli.errors import FileRefused, UsageProblem
from model import artefact as artefacts
from model.artefact import Artefact
from model.errors import ArtefactError
from model.opening import size_refusal
from model.registration import new_version
from shared.models.registry import ModelVersion, promote_version, register_version
from shared.models.signature import FeatureKind, Signature, SignatureRefused
from shared.models.signature_reading import read_signature_text
from shared.postgres.engine import transaction
from shared.sources.sample_features import CLIENT_FEATURES
from shared.sources.source import read_source
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
    with transaction(engine) as connection:
        source = read_source(connection, "clients")
        version = register_version(connection, new_version(artefact, source_id=source.id))
        return promote_version(connection, version.id) if promote else version


def _read_signature(path: Path) -> Signature:
    try:
        return Signature.from_json(read_signature_text(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError:
        raise FileRefused(f"{path} is not UTF-8 text.") from None
    except SignatureRefused as error:
        raise FileRefused("\n".join(f"{path}: {flaw}" for flaw in str(error).splitlines())) from error
