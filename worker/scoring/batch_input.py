"""The estimator's input of a batch, converted once: for a compiled model, and for the page that is stored of it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from model.answering import Prediction
from worker.models.frame import input_columns
from worker.models.loaded_model import LoadedModel
from worker.models.model_store import AnyModel
from worker.pages.columns import FeatureColumn


class BatchInput:
    """Asks `model` about the rows of a batch, and keeps what its compiled form was given.

    What an estimator was given is not kept: it may have changed its input, and the page shows what was read.
    """

    def __init__(self, features: pa.Table, model: AnyModel) -> None:
        self._features = features
        self._model = model
        self.columns: Sequence[FeatureColumn] | None = None  # of all rows, and as they were read

    def predict(self, features: pa.Table) -> Prediction:
        """The answers to the rows of a table in signature order; see `LoadedModel.predict`."""
        model = self._model
        if features is self._features and isinstance(model, LoadedModel) and model.linear is not None:
            columns = input_columns(features, model.signature)
            probabilities = model.linear.probabilities(columns)
            if probabilities is not None:
                self.columns = columns
                return Prediction(probabilities)
        return model.predict(features)
