"""Loading models: each version once per process, the live one before the pool forks so that its pages are shared."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sqlalchemy import Engine

from model.artefact import Artefact, load, positive_column
from model.metadata import ArtefactMetadata
from shared.logging import get_logger
from shared.models.registry import get_version, live_version, read_artefact
from shared.models.signature import Signature
from shared.postgres.engine import transaction
from worker.models.linear_model import LinearModel, NotLinear, compile_linear
from worker.models.sample_rows import draw_table

log = get_logger(__name__)

_SAMPLE_ROWS = 500
_TOLERANCE = 1e-9  # floating-point sums in another order differ by about 1e-15


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
    linear: LinearModel | None  # the same sum without the pipeline's overhead, where the estimator is one

    def probabilities(self, features: pa.Table) -> npt.NDArray[np.float64]:
        """Probability of the positive class for each row of `features`, a table in signature order."""
        if self.linear is not None:
            return self.linear.probabilities(features)
        return self.pipeline_probabilities(features)

    def pipeline_probabilities(self, features: pa.Table) -> npt.NDArray[np.float64]:
        """The same through scikit-learn itself."""
        answers = np.asarray(self.estimator.predict_proba(to_frame(features)), dtype=np.float64)
        return answers[:, self.positive_column]


def to_frame(features: pa.Table) -> pd.DataFrame:
    """The pandas frame that models are trained on: integers with gaps are floats with NaN, categories are strings."""
    plain = pa.schema(
        (field.name, pa.string() if pa.types.is_dictionary(field.type) else field.type) for field in features.schema
    )
    frame: pd.DataFrame = features.cast(plain).to_pandas()
    return frame


def load_model(artefact: Artefact, version: int) -> LoadedModel:
    """Verify and unpickle an artefact. Raises the errors of `model.artefact.load`."""
    estimator = load(artefact)
    metadata = artefact.metadata
    model = LoadedModel(
        version=version,
        estimator=estimator,
        signature=metadata.signature,
        threshold=metadata.threshold,
        positive_column=positive_column(estimator, metadata.positive_class),
        artefact=artefact,
        linear=None,
    )
    return replace(model, linear=_checked_linear(model))


def _checked_linear(model: LoadedModel) -> LinearModel | None:
    """The compiled form, if there is one and it agrees with scikit-learn on rows drawn over the whole signature."""
    try:
        linear = compile_linear(model.estimator, model.signature, model.positive_column)
    except NotLinear as error:
        log.info("scored by scikit-learn", version=model.version, reason=str(error))
        return None
    sample = draw_table(model.signature, _SAMPLE_ROWS)
    try:
        difference = float(np.abs(linear.probabilities(sample) - model.pipeline_probabilities(sample)).max())
    except Exception as error:  # noqa: BLE001 - the pipeline cannot take every row that its signature allows
        log.warning("compiled form not comparable, scored by scikit-learn", version=model.version, reason=repr(error))
        return None
    if not difference < _TOLERANCE:
        log.warning("compiled form differs, scored by scikit-learn", version=model.version, difference=difference)
        return None
    return linear


class ModelStore:
    """The model versions that this process has loaded; the least used leaves when there are too many."""

    def __init__(self, *, most: int = 4) -> None:
        self._most = most
        self._models: OrderedDict[int, LoadedModel] = OrderedDict()

    def get(self, engine: Engine, version: int) -> LoadedModel:
        """The version with that number in the database, loaded when this process first needs it."""
        if version not in self._models:
            self._models[version] = self._read(engine, version)
            if len(self._models) > self._most:
                self._models.popitem(last=False)
        self._models.move_to_end(version)
        return self._models[version]

    def preload_live(self, engine: Engine) -> int | None:
        """Load the live version, if there is one; returns its number. Raises NoLiveModel."""
        with transaction(engine) as connection:
            version = live_version(connection).id
        return self.get(engine, version).version

    @staticmethod
    def _read(engine: Engine, version: int) -> LoadedModel:
        with transaction(engine) as connection:
            record = get_version(connection, version)
            content = read_artefact(connection, version)
        return load_model(Artefact(content, ArtefactMetadata.from_json(record.metadata)), version)
