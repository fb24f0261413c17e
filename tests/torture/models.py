"""The model of the torture runs: the tests' own, which can also be slow on one row, in as many versions as needed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tests.models import TestModel

RAISES, KILLS, HANGS, NAN, SLOW = 60, 61, 62, 63, 64  # the ages that make the model misbehave
SLOW_SECONDS = 3.0


@dataclass
class TortureModel(TestModel):
    """`right_answer` plus the version's offset; ages 60…63 poison it, age 64 makes it slow."""

    poisonous: bool = True

    def predict_proba(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Shape (rows, 2)."""
        if (features["age"].to_numpy() == SLOW).any():
            time.sleep(SLOW_SECONDS)
        return super().predict_proba(features)
