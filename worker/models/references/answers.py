"""Reference rows: what a version answered when it was registered, kept so that other releases are held to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sklearn

from model.answering import Prediction
from model.artefact import Artefact
from model.errors import ArtefactIncompatible
from model.formats import versions_in
from model.opening import is_patch_apart
from worker.models.frame import input_columns
from worker.models.loaded_model import LoadedModel, load_model
from worker.pages.decode import decode_features
from worker.pages.encode import encode_features

MOST_ROWS = 1000
_MOST_ALONE = 200  # rows that are tried one by one, where the model refuses some
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Reference:
    """Rows as a page of features, and the answers to them: all numbers of a row, (rows, 1) or (rows, classes)."""

    features: bytes
    answers: npt.NDArray[np.float64]


def make_reference(model: LoadedModel, table: pa.Table) -> Reference:
    """The answers of `model` to the first rows of a table in signature order; rows for which it raises are left out."""
    table = table.slice(0, MOST_ROWS)
    kept = list(range(table.num_rows))
    if not _is_answered(model, table):
        kept = [row for row in kept[:_MOST_ALONE] if _is_answered(model, table.slice(row, 1))]
    columns = input_columns(table.take(pa.array(kept, pa.int64())), model.signature)
    answers = _numbers(model.ask_estimator(columns)) if kept else np.empty((0, 1))
    return Reference(encode_features(columns, len(kept)), answers)


def load_proven(
    artefact: Artefact, version: int, *, digest: str | None = None, reference: Reference | None = None
) -> LoadedModel:
    """Verify and open an artefact; where it was made by another patch release, hold it to the answers that were kept.

    Raises the errors of `model.artefact.load`; without a reference every other release is refused.
    """
    model = load_model(artefact, version, digest=digest, accept_patch=reference is not None)
    if reference is not None and is_another_patch(artefact):
        require_same_answers(model, reference)
    return model


def is_another_patch(artefact: Artefact) -> bool:
    """Whether the file was made by a release of scikit-learn that differs from this one in its last number alone."""
    stated = versions_in(artefact.content, artefact.metadata.file_format).get("scikit-learn")
    return stated is not None and stated != sklearn.__version__ and is_patch_apart(stated, sklearn.__version__)


def require_same_answers(model: LoadedModel, reference: Reference) -> None:
    """Raise ArtefactIncompatible where the model, opened by another release, answers the reference rows otherwise."""
    if not len(reference.answers):
        raise ArtefactIncompatible(
            "No reference rows are kept of this version, so another release cannot be held to it."
        )
    found = _numbers(model.ask_estimator(decode_features(reference.features)))
    with np.errstate(all="ignore"):
        apart = np.abs(found - reference.answers) / np.maximum(1.0, np.abs(reference.answers))
    apart = np.where(np.isnan(found) & np.isnan(reference.answers), 0.0, apart)
    rows = int((~(apart <= TOLERANCE)).any(axis=1).sum())
    if rows:
        raise ArtefactIncompatible(
            f"Opened by this release of its libraries, the model answers {rows} of {len(found)} reference rows "
            f"otherwise, by up to {float(np.nanmax(apart)):.3g}. Install the release that made it, or register it anew."
        )


def _is_answered(model: LoadedModel, table: pa.Table) -> bool:
    try:
        model.ask_estimator(input_columns(table, model.signature))
    except Exception:  # noqa: BLE001 - a row that has an error is no reference
        return False
    return True


def _numbers(answers: Prediction) -> npt.NDArray[np.float64]:
    return answers.values[:, None] if answers.scores is None else answers.scores
