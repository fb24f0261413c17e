"""Whole numbers that may be missing, which the estimator gets as doubles: whether it would rather have them whole.

pandas reads a column without gaps as int64 and one with gaps as float64. A model that makes words of numbers, and was
fitted on the one, knows no word of the other: `1` is not `1.0`. Nothing in a file tells which it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from model.answering import Prediction, apart
from shared.models.feature import FeatureKind
from worker.models.frame import input_columns, to_frame
from worker.models.loaded_model import LoadedModel

_NEAR = 1e-6  # that answers may be apart and still be the same: of float32, in which boosters compute


@dataclass(frozen=True, slots=True)
class AsWhole:
    """Features that are answered otherwise as whole numbers.

    `is_heeded`: as doubles the estimator takes notice of them, so that nobody can tell which of the two is right.
    """

    names: tuple[str, ...]
    rows: int  # that get another answer
    most: float  # by which they differ
    is_heeded: bool

    def __str__(self) -> str:
        """What was seen, and the signature under which the estimator gets them whole."""
        them = ", ".join(self.names[:5]) + (", …" if len(self.names) > 5 else "")
        seen = (
            f"{self.rows} rows differ by up to {self.most:.3g} where {them} are whole numbers (1, not 1.0), as pandas "
            "reads a column in which none is missing"
        )
        said = json.dumps({"features": [{"name": name, "nullable": False} for name in self.names]}, ensure_ascii=False)
        if self.is_heeded:
            return f"{seen}; if the model was fitted on such, --signature FILE with {said}"
        return f"{seen}, and as 1.0 the model takes no notice of them at all: --signature FILE with {said} mends it"


def taken_otherwise(model: LoadedModel, features: pa.Table, answers: Prediction) -> AsWhole | None:
    """What of these rows the estimator answers otherwise where whole numbers are whole; None where nothing is.

    `features`: of rows that it answers, in signature order; `answers`: its own to them. Columns with a gap are what
    pandas, too, has as doubles.
    """
    names = tuple(
        spec.name
        for spec, column in zip(model.signature.features, features.columns, strict=True)
        if spec.nullable and spec.kind is FeatureKind.INTEGER and spec.dtype == "float64" and not column.null_count
    )
    if not names:
        return None
    frame = to_frame(input_columns(features, model.signature), model.signature)
    given = answers.numbers
    if not _differ(given, _asked(model, _whole(frame, names))):
        return None
    found = tuple(name for name in names if _differ(given, _asked(model, _whole(frame, [name])))) or names
    whole = _asked(model, _whole(frame, found))
    if whole is None:  # together they are refused
        return None
    moved = _moved(frame, found)
    is_heeded = _differ(given, _asked(model, moved)) or not _differ(whole, _asked(model, _whole(moved, found)))
    distance = apart(given, whole)
    return AsWhole(found, int((distance > _NEAR).sum()), float(distance.max()), is_heeded)


def _whole(frame: Any, columns: Sequence[str]) -> Any:
    return frame.astype(dict.fromkeys(columns, "int64"))


def _moved(frame: Any, columns: Sequence[str]) -> Any:
    """The frame with the values of these columns each in another row."""
    return frame.assign(**{name: np.roll(np.sort(frame[name].to_numpy()), len(frame) // 2) for name in columns})


def _asked(model: LoadedModel, frame: Any) -> npt.NDArray[np.float64] | None:
    """Its answers; None where the estimator refuses whole numbers, so that it was fitted on none."""
    try:
        return model.asking(frame).numbers
    except Exception:  # noqa: BLE001 - whatever an estimator of others raises
        return None


def _differ(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64] | None) -> bool:
    """Whether any row has another answer; not where the estimator gave none."""
    return other is not None and bool((apart(one, other) > _NEAR).any())
