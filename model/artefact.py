"""The artefact: a fitted estimator as bytes, and what must be known before those bytes are trusted.

Unpickling runs code, so a digest or a scikit-learn version that differs is refused first.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import sklearn

from model.code.importing import is_installed
from model.errors import ArtefactCorrupt, ArtefactIncompatible
from model.fingerprint import TrainingData
from model.formats import format_of, open_file, versions_in
from model.metadata import ArtefactMetadata
from model.servable import ordered_classes, servable
from model.stated import NOT_STATED
from shared.files.model_size import size_refusal
from shared.models.signature import Signature
from shared.models.task import Task

CONTENT_FILE = "model.joblib"
METADATA_FILE = "model.json"


@dataclass(frozen=True, slots=True)
class Artefact:
    """`content` is a file with a fitted estimator, as it was handed in; `metadata` says everything about it.

    `code` is the pack of the modules that it brings, where it does. See model.code.
    """

    content: bytes
    metadata: ArtefactMetadata
    code: bytes | None = None


def build_artefact(
    estimator: Any,
    signature: Signature,
    threshold: float | None,
    *,
    name: str,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    curves: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    training_data: TrainingData | None = None,
    positive_class: Any = None,
) -> Artefact:
    """Wrap a fitted estimator of this process.

    Of a binary model a probability at or above `threshold` (0 to 1) is labelled positive; `positive_class` None is
    inferred. Raises ArtefactIncompatible when the estimator cannot be served, ModelRefused when the positive class is
    not known, ValueError when the threshold is outside 0 to 1.
    """
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    found = servable(estimator)
    metadata = ArtefactMetadata(
        name=name,
        sha256=hashlib.sha256(buffer.getbuffer()).hexdigest(),
        signature=signature,
        threshold=checked_threshold(threshold, found.task),
        task=found.task,
        classes=ordered_classes(found, positive_class),
        metrics={figure: dict(values) for figure, values in (metrics or {}).items()},
        curves={curve: {axis: list(points) for axis, points in of.items()} for curve, of in (curves or {}).items()},
        library_versions=library_versions(),
        training_data=training_data,
        created_at=datetime.now(UTC),
    )
    return Artefact(buffer.getvalue(), metadata)


def checked_threshold(threshold: float | None, task: Task) -> float | None:
    """The threshold as a float; None for tasks that have none. Raises ValueError outside 0 to 1."""
    if task is not Task.BINARY:
        return None
    if threshold is None or not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be from 0 to 1; got {threshold}")
    return float(threshold)


def library_versions() -> dict[str, str]:
    """The versions in this process that a prediction can depend on: for estimators that were fitted here."""
    return {
        "python": platform.python_version(),
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "joblib": joblib.__version__,
    }


def versions_of_file(content: bytes) -> dict[str, str]:
    """The versions that made a file, as far as it says: never this process's."""
    stated = versions_in(content, format_of(content))
    return {"python": NOT_STATED, "scikit-learn": NOT_STATED, "numpy": NOT_STATED, **stated}


def load(artefact: Artefact, *, digest: str | None = None, accept_patch: bool = False) -> Any:
    """The fitted estimator; `digest` is the one that was stored when the version was registered.

    One that brings code is opened only where that is importable, in a process of its own. Raises ArtefactCorrupt or
    ArtefactIncompatible, before unpickling where it can.
    """
    check_digests(artefact, digest)
    metadata = artefact.metadata
    if artefact.code is not None and not is_installed(metadata.code_sha256):
        raise ArtefactIncompatible("The version brings code of its own, which is not for this process.")
    estimator = open_file(artefact.content, metadata.file_format, allow=None, accept_patch=accept_patch)
    found = servable(estimator)
    if found.task is not metadata.task or set(map(repr, found.known)) != set(map(repr, metadata.classes)):
        raise ArtefactIncompatible(
            f"The file holds a {found.task.value} model of the classes {list(found.known)}, which was registered as a "
            f"{metadata.task.value} model of {list(metadata.classes)}."
        )
    return estimator


def positive_column(estimator: Any, positive_class: Any) -> int:
    """The column of `predict_proba` that holds the probability of `positive_class`."""
    return list(estimator.classes_).index(positive_class)


def save(artefact: Artefact, directory: Path | str) -> None:
    """Write model.joblib and model.json into `directory`, which is made if it is missing."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONTENT_FILE).write_bytes(artefact.content)
    text = json.dumps(artefact.metadata.to_json(), indent=2, ensure_ascii=False)
    (folder / METADATA_FILE).write_text(text + "\n", encoding="utf-8")


def read(directory: Path | str) -> Artefact:
    """What `save` wrote, not yet unpickled. Raises ArtefactCorrupt when a file is missing or garbled."""
    folder = Path(directory)
    try:
        refusal = size_refusal((folder / CONTENT_FILE).stat().st_size)
        if refusal:
            raise ArtefactIncompatible(refusal)
        content = (folder / CONTENT_FILE).read_bytes()
        data = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtefactCorrupt(f"{error.filename} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ArtefactCorrupt(f"{folder / METADATA_FILE} is not JSON: {error}") from error
    return Artefact(content, ArtefactMetadata.from_json(data))


def check_digests(artefact: Artefact, digest: str | None) -> None:
    """Raise ArtefactCorrupt unless the bytes, and all else that makes the answers, are those that were registered."""
    found = hashlib.sha256(artefact.content).hexdigest()
    if found != artefact.metadata.sha256:
        raise ArtefactCorrupt(
            f"The artefact's digest is {found[:12]}…, its metadata says {artefact.metadata.sha256[:12]}…: it was "
            "altered or cut. Restore it, or register the file again."
        )
    code = None if artefact.code is None else hashlib.sha256(artefact.code).hexdigest()
    if code != artefact.metadata.code_sha256:
        raise ArtefactCorrupt("The code is not the one that was registered. Restore it, or register the file again.")
    if digest is not None and digest != artefact.metadata.digest:
        raise ArtefactCorrupt(
            f"The version's digest is {artefact.metadata.digest[:12]}…, it was registered as {digest[:12]}…: its "
            "signature, classes or threshold were altered. Restore them, or register the file again."
        )
