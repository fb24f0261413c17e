"""A graph in ONNX as an estimator: asked through onnxruntime, which is an extra (`pip install predictq[onnx]`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from model.errors import ArtefactCorrupt, ArtefactIncompatible

_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}


def is_onnx(content: bytes) -> bool:
    """Whether the bytes begin as a model in ONNX does: the version of its format, then a name or a graph."""
    return len(content) > 4 and content[0] == 0x08 and 1 <= content[1] < 0x40 and content[2] in (0x12, 0x1A, 0x22, 0x3A)


class OnnxModel:
    """Classifier or regression of one graph. One input takes all features as columns, or each feature has its own."""

    def __init__(self, content: bytes) -> None:
        """Raises ArtefactIncompatible where onnxruntime is missing, ArtefactCorrupt where it refuses the graph."""
        try:
            import onnxruntime  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise ArtefactIncompatible(
                "The file is a model in ONNX, and onnxruntime is not installed here. Install predictq[onnx] for the "
                "workers and for this command."
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ArtefactCorrupt(f"onnxruntime refuses the file: {str(error).partition(chr(10))[0][:300]}") from error
        self._inputs = self._session.get_inputs()
        strange = [one.type for one in self._inputs if one.type not in _TYPES]
        if strange:
            raise ArtefactIncompatible(f"The graph takes {strange[0]}, which no feature stands for.")
        self._outputs = [one.name for one in self._session.get_outputs()]
        if len(self._outputs) > 1:
            self.classes_ = self._find_classes()
            self.predict_proba = self._predict_proba

    @property
    def takes_one_matrix(self) -> bool:
        """Whether all features go in as the columns of one matrix."""
        return len(self._inputs) == 1 and (self.n_features_in_ or 2) > 1

    @property
    def n_features_in_(self) -> int | None:
        """How many features it takes, None where the graph leaves it open."""
        if len(self._inputs) > 1:
            return len(self._inputs)
        shape = self._inputs[0].shape
        width = shape[1] if len(shape) > 1 else 1
        return width if isinstance(width, int) else None

    @property
    def input_types(self) -> dict[str, Any]:
        """The numpy type of each input, by its name."""
        return {one.name: _TYPES[one.type] for one in self._inputs}

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[Any]:
        """The labels, or a regression's values, (rows,)."""
        return np.asarray(self._session.run(self._outputs[:1], self._feed(frame))[0]).reshape(len(frame), -1)[:, 0]

    def _predict_proba(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Shape (rows, classes)."""
        found = self._session.run(self._outputs[1:2], self._feed(frame))[0]
        if isinstance(found, list):  # a ZipMap: a dict per row
            return np.array([[row[label] for label in self.classes_] for row in found], dtype=np.float64)
        return np.asarray(found, dtype=np.float64)

    def _feed(self, frame: pd.DataFrame) -> dict[str, Any]:
        if len(self._inputs) == 1 and frame.shape[1] > 1:
            one = self._inputs[0]
            return {one.name: frame.to_numpy().astype(_TYPES[one.type])}
        return {
            one.name: frame.iloc[:, place].to_numpy().astype(_TYPES[one.type]).reshape(-1, 1)
            for place, one in enumerate(self._inputs)
        }

    def _find_classes(self) -> npt.NDArray[Any]:
        width = self.n_features_in_ or 1
        row = pd.DataFrame({str(place): [0.0] for place in range(width)})
        for place, one in enumerate(self._inputs if len(self._inputs) > 1 else []):
            if one.type == "tensor(string)":
                row[str(place)] = pd.Series([""], dtype=object)
        try:
            found = self._session.run(self._outputs[1:2], self._feed(row))[0]
        except Exception as error:
            raise ArtefactIncompatible(f"The graph cannot score a row of zeros: {str(error)[:200]}") from error
        if isinstance(found, list) and found and isinstance(found[0], dict):
            return np.array(list(found[0]))
        if "string" in self._session.get_outputs()[0].type:
            raise ArtefactIncompatible(
                "The graph does not say which class is which. Convert it with ZipMap (skl2onnx does so by itself)."
            )
        return np.arange(np.asarray(found).shape[1])
