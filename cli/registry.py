"""Models from the command line: wrap files of others, and put models into the registry."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sqlalchemy import Engine

from cli.errors import FileRefused, UsageProblem
from model import artefact as artefacts
from model.artefact import Artefact, build_artefact
from model.registration import new_version
from shared.models.registry import ModelVersion, promote_version, register_version
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.postgres.engine import transaction
from shared.sources.sample_features import CLIENT_FEATURES
from shared.sources.source import read_source


def read_artefact(path: Path, signature: Path | None, threshold: float | None, positive_class: str) -> Artefact:
    """The artefact in a directory that `predictq train --output` wrote, or one made of a joblib file.

    Unpickling runs code: `path` must be a file that you trust. Raises UsageProblem, FileRefused or ArtefactError.
    """
    if path.is_dir():
        found = artefacts.read(path)
        artefacts.load(found)
        return found
    if threshold is None:
        raise UsageProblem("--threshold is needed: at or above which probability is the label 1?")
    estimator = _unpickle(path)
    wrapped = build_artefact(
        estimator,
        _read_signature(signature) if signature else Signature(CLIENT_FEATURES),
        threshold,
        name=path.stem,
        positive_class=_class_named(positive_class, estimator),
    )
    _try_one_row(estimator, wrapped.metadata.signature)
    return wrapped


def register(engine: Engine, artefact: Artefact, *, promote: bool) -> ModelVersion:
    """Put an artefact into the registry; with `promote` it is live when this returns."""
    with transaction(engine) as connection:
        source = read_source(connection, "clients")
        version = register_version(connection, new_version(artefact, source_id=source.id))
        return promote_version(connection, version.id) if promote else version


def _unpickle(path: Path) -> Any:
    try:
        return joblib.load(path)
    except Exception as error:
        raise FileRefused(f"{path} is no joblib file that can be read here: {error!r}") from error


def _read_signature(path: Path) -> Signature:
    try:
        return Signature.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        wanted = '{"features": [{"name": "age", "kind": "integer"}, …]}'
        raise FileRefused(f"{path} is no signature, which looks like {wanted}: {error!r}") from error


def _class_named(text: str, estimator: Any) -> int | str:
    """The class that is written `text`, as the estimator knows it."""
    for known in getattr(estimator, "classes_", ()):
        if str(known) == text:
            return str(known) if isinstance(known, str) else int(known)
    return text  # build_artefact says which classes there are


def _try_one_row(estimator: Any, signature: Signature) -> None:
    """Score a made-up row, so that a signature which is not the estimator's is noticed now and not by a job."""
    if any(spec.kind is FeatureKind.CATEGORY and not spec.categories for spec in signature.features):
        return  # an open list of words: a word made up here may rightly be refused
    row = {spec.name: _some_value(spec) for spec in signature.features}
    try:
        with warnings.catch_warnings(action="ignore"):  # that it was fitted without names, for example: its own affair
            estimator.predict_proba(pd.DataFrame([row]))
    except Exception as error:  # whatever an estimator of others raises
        raise FileRefused(f"the model cannot score a row of this signature: {error!r}") from error


def _some_value(spec: FeatureSpec) -> bool | int | float | str:
    if spec.kind is FeatureKind.CATEGORY:
        return spec.categories[0]
    if spec.kind is FeatureKind.BOOLEAN:
        return False
    lowest = spec.minimum if spec.minimum is not None else min(0.0, spec.maximum or 0.0)
    return int(lowest) if spec.kind is FeatureKind.INTEGER else lowest
