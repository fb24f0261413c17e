"""The artefact: a fitted estimator as bytes, and what must be known before those bytes are trusted.

Unpickling runs code, so a digest or a scikit-learn version that differs from the metadata is refused first.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import sklearn

from model.errors import ArtefactCorrupt, ArtefactIncompatible
from model.fingerprint import TrainingData
from model.metadata import ArtefactMetadata
from shared.models.signature import Signature

CONTENT_FILE = "model.joblib"
METADATA_FILE = "model.json"


@dataclass(frozen=True, slots=True)
class Artefact:
    """`content` is a joblib file with a fitted scikit-learn estimator; `metadata` says everything about it."""

    content: bytes
    metadata: ArtefactMetadata


def build_artefact(
    estimator: Any,
    signature: Signature,
    threshold: float,
    *,
    name: str,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    training_data: TrainingData | None = None,
    positive_class: int | str = 1,
) -> Artefact:
    """Wrap any fitted estimator with `predict_proba`.

    A probability at or above `threshold` (0 to 1) is labelled positive. Raises ArtefactIncompatible when the
    estimator cannot be served, ValueError when the threshold is outside 0 to 1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be from 0 to 1; got {threshold}")
    _check_servable(estimator, positive_class)
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    content = buffer.getvalue()
    metadata = ArtefactMetadata(
        name=name,
        sha256=hashlib.sha256(content).hexdigest(),
        signature=signature,
        threshold=float(threshold),
        positive_class=positive_class,
        metrics={figure: dict(values) for figure, values in (metrics or {}).items()},
        library_versions=library_versions(),
        training_data=training_data,
        created_at=datetime.now(UTC),
    )
    return Artefact(content, metadata)


def library_versions() -> dict[str, str]:
    """The versions in this process that a prediction can depend on."""
    return {
        "python": platform.python_version(),
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "joblib": joblib.__version__,
    }


def load(artefact: Artefact) -> Any:
    """The fitted estimator. Raises ArtefactCorrupt or ArtefactIncompatible, before unpickling where it can."""
    _check_bytes(artefact)
    try:
        estimator = joblib.load(io.BytesIO(artefact.content))
    except Exception as error:  # unpickling may raise anything
        raise ArtefactCorrupt(f"The artefact cannot be unpickled: {error!r}. Train it again.") from error
    _check_servable(estimator, artefact.metadata.positive_class)
    return estimator


def positive_column(estimator: Any, positive_class: int | str) -> int:
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
        content = (folder / CONTENT_FILE).read_bytes()
        data = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtefactCorrupt(f"{error.filename} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ArtefactCorrupt(f"{folder / METADATA_FILE} is not JSON: {error}") from error
    return Artefact(content, ArtefactMetadata.from_json(data))


def _check_bytes(artefact: Artefact) -> None:
    found = hashlib.sha256(artefact.content).hexdigest()
    if found != artefact.metadata.sha256:
        raise ArtefactCorrupt(
            f"The artefact's digest is {found[:12]}…, its metadata says {artefact.metadata.sha256[:12]}…: it was "
            "altered or cut. Restore it, or train again."
        )
    needed = artefact.metadata.library_versions.get("scikit-learn")
    if needed != sklearn.__version__:
        raise ArtefactIncompatible(
            f"The artefact was made with scikit-learn {needed}, this process has {sklearn.__version__}. "
            f"Install scikit-learn=={needed}, or train again."
        )


def _check_servable(estimator: Any, positive_class: int | str) -> None:
    if not hasattr(estimator, "predict_proba"):
        raise ArtefactIncompatible(
            f"{type(estimator).__name__} has no predict_proba. Wrap it in CalibratedClassifierCV, or choose another."
        )
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        raise ArtefactIncompatible(f"{type(estimator).__name__} is not fitted. Call fit before wrapping it.")
    if positive_class not in list(classes):
        raise ArtefactIncompatible(
            f"The estimator knows the classes {list(classes)}, the positive class {positive_class!r} is not among them."
        )
