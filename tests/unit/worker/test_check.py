"""`models check`: whatever way gives another answer is told, and no answer is another answer, too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from model.answering import ask
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.models.task import Task
from worker.models.check import check_model
from worker.models.loaded_model import LoadedModel

SIGNATURE = Signature((FeatureSpec("n", FeatureKind.NUMBER),))
ROWS = pa.table({"n": [1.0, 2.0, 3.0]})


class Fickle:
    """A regression that answers a call of a certain number otherwise: 1 is the service's, then those that check it."""

    def __init__(self, call: int, change: float) -> None:
        self.calls = 0
        self.call = call
        self.change = change

    def predict(self, frame: Any) -> npt.NDArray[np.float64]:
        """The feature, and in that call another number in the last row."""
        self.calls += 1
        answers = frame["n"].to_numpy(copy=True)
        if self.calls == self.call:
            answers[-1] += self.change
        return np.asarray(answers)


def report_of(call: int, change: float) -> dict[str, str]:
    """The differences that a check finds."""
    metadata = SimpleNamespace(signature=SIGNATURE, task=Task.REGRESSION, classes=(), threshold=None)
    artefact: Any = SimpleNamespace(metadata=metadata)
    model = LoadedModel(1, ask(Fickle(call, change), Task.REGRESSION, ()), artefact, linear=None)
    return check_model(model, ROWS).differences


@pytest.mark.parametrize(("call", "way"), [(2, "the estimator itself"), (3, "a stored page")])
@pytest.mark.parametrize("change", [1e-9, -5.0, np.nan, np.inf])
def test_an_answer_that_is_another_on_the_way_is_told(call: int, way: str, change: float) -> None:
    """By one row, by little, and also where there is no number at all."""
    found = report_of(call, change)
    assert list(found) == [way]
    assert found[way].startswith("1 rows differ")


def test_the_last_bit_is_no_difference() -> None:
    """A sum in another order may have it."""
    assert report_of(2, 4e-16) == {}
