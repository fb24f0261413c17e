"""Loading models: each version once per process, the live one before the pool forks so that its pages are shared."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from model.artefact import Artefact, load, positive_column
from model.metadata import ArtefactMetadata
from shared.db import transaction
from shared.models import get_model, live_model, read_artefact
from shared.signature import Signature


class Estimator(Protocol):
    """Any fitted scikit-learn classifier with probabilities."""

    classes_: npt.NDArray[Any]

    def predict_proba(self, features: Any) -> npt.NDArray[np.float64]:
        """Class probabilities, shape (rows, classes)."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model version ready to score."""

    version: int
    estimator: Estimator
    signature: Signature
    threshold: float
    positive_column: int  # which column of predict_proba is the probability
    artefact: Artefact  # kept for the process apart, which loads it again

    def probabilities(self, features: Any) -> npt.NDArray[np.float64]:
        """Probability of the positive class for each row of `features`, a frame in signature order."""
        table = np.asarray(self.estimator.predict_proba(features), dtype=np.float64)
        return table[:, self.positive_column]


def load_model(artefact: Artefact, version: int) -> LoadedModel:
    """Verify and unpickle an artefact. Raises the errors of `model.artefact.load`."""
    estimator = load(artefact)
    metadata = artefact.metadata
    return LoadedModel(
        version=version,
        estimator=estimator,
        signature=metadata.signature,
        threshold=metadata.threshold,
        positive_column=positive_column(estimator, metadata.positive_class),
        artefact=artefact,
    )


class ModelStore:
    """The model versions that this process has loaded; the least used leaves when there are too many."""

    def __init__(self, *, most: int = 4) -> None:
        self._most = most
        self._models: OrderedDict[int, LoadedModel] = OrderedDict()

    def get(self, engine: Engine, version: int) -> LoadedModel:
        """The model of that version, loaded when this process first needs it."""
        if version not in self._models:
            self._models[version] = self._read(engine, version)
            if len(self._models) > self._most:
                self._models.popitem(last=False)
        self._models.move_to_end(version)
        return self._models[version]

    def preload_live(self, engine: Engine) -> int | None:
        """Load the live version, if there is one; returns its number. Raises NoLiveModel."""
        with transaction(engine) as connection:
            version = live_model(connection).version
        return self.get(engine, version).version

    @staticmethod
    def _read(engine: Engine, version: int) -> LoadedModel:
        with transaction(engine) as connection:
            record = get_model(connection, version)
            content = read_artefact(connection, version)
        return load_model(Artefact(content, ArtefactMetadata.from_json(record.metadata)), version)
