"""A graph in ONNX as an estimator: asked through onnxruntime, which is an extra (`pip install predictq[onnx]`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from model.errors import ArtefactCorrupt, ArtefactIncompatible
from model.graphs.label_names import label_names
from shared.sentences import count_of

_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}
_NUMBERS = ("tensor(float)", "tensor(double)", "tensor(float16)", "tensor(bfloat16)")  # what a regression answers with
_FEW = 20  # rows on which it is looked up how many columns the one output has
_DRAWN = 2000  # rows on which it is looked up which label belongs to which column of the probabilities
_TIE = 1e-6  # of float32: between two probabilities that are nearer to each other a graph chooses as it likes
_ZIPMAP = "Convert it with ZipMap, which names them (skl2onnx does so unless it is told zipmap=False)."
_NAMED_ALONE = "The graph's one output, {name}, holds probabilities and no label. Keep the label as its first output."
_LABELS_ALONE = (
    "The graph's one output, {name}, holds labels or whole numbers and no probabilities. Of a classifier keep the "
    "probabilities as a second output; of a regression give the value as floating point."
)


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
        outputs = self._session.get_outputs()
        self._outputs = [one.name for one in outputs]
        if len(outputs) > 1:
            self.classes_ = self._find_classes(content)
            self.predict_proba = self._predict_proba
        elif outputs[0].type not in _NUMBERS:
            words = _NAMED_ALONE if outputs[0].type.startswith("seq(map") else _LABELS_ALONE
            raise ArtefactIncompatible(words.format(name=self._outputs[0]))
        else:
            self._look_at_one_output()

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
    def input_names(self) -> list[str]:
        """The names of its inputs, in order."""
        return [one.name for one in self._inputs]

    def type_of(self, feature: str) -> Any:
        """The numpy type in which a feature goes in; None for one that it does not have."""
        if len(self._inputs) == 1:
            return _TYPES[self._inputs[0].type]
        return next((_TYPES[one.type] for one in self._inputs if one.name == feature), None)

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[Any]:
        """The labels, or a regression's values, (rows,). Raises ArtefactIncompatible where a row has several."""
        found = np.asarray(self._session.run(self._outputs[:1], self._feed(frame))[0]).reshape(len(frame), -1)
        if found.shape[1] != 1:
            raise ArtefactIncompatible(_several_columns(self._outputs[0], found))
        return found[:, 0]

    def _predict_proba(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Shape (rows, classes)."""
        found = self._session.run(self._outputs[1:2], self._feed(frame))[0]
        if isinstance(found, list):  # a ZipMap: a dict per row
            return np.array([[row[label] for label in self.classes_] for row in found], dtype=np.float64)
        return np.asarray(found, dtype=np.float64)

    def _feed(self, frame: pd.DataFrame) -> dict[str, Any]:
        if len(self._inputs) == 1 and frame.shape[1] > 1:
            one = self._inputs[0]
            columns = [_as_type(frame.iloc[:, place], one.type) for place in range(frame.shape[1])]
            return {one.name: np.column_stack(columns)}
        return {
            one.name: _as_type(frame.iloc[:, place], one.type).reshape(-1, 1) for place, one in enumerate(self._inputs)
        }

    def _look_at_one_output(self) -> None:
        """Raises ArtefactIncompatible where the one output has several columns; where nothing can be drawn, none."""
        try:
            found = self._session.run(self._outputs, self._feed(self._drawn(_FEW)))[0]
        except Exception:  # noqa: BLE001 - drawn values may be none that the graph takes: `predict` looks as well
            return
        found = np.asarray(found).reshape(_FEW, -1)
        if found.shape[1] != 1:
            raise ArtefactIncompatible(_several_columns(self._outputs[0], found))

    def _find_classes(self, content: bytes) -> npt.NDArray[Any]:
        labels, scores = self._run_on(self._drawn(1))
        if isinstance(scores, list) and scores and isinstance(scores[0], dict):
            return np.array(list(scores[0]))
        count = np.asarray(scores).size
        self._refuse_strange_outputs(np.asarray(labels), count)
        told, is_by_votes = label_names(content, count)
        seen, rows = self._labels_seen(count)
        if told is not None:
            if _contradict(seen, told, is_by_votes=is_by_votes):
                raise ArtefactIncompatible(
                    f"The graph names its classes {', '.join(map(str, told[:20]))}, and its labels are not those of "
                    f"the highest probabilities in this order. Give the probabilities in this order. {_ZIPMAP}"
                )
            return np.array(told)
        if len(seen) == len(set(seen.values())) == count:
            return np.array([seen[place] for place in range(count)])
        raise ArtefactIncompatible(
            "The graph does not say which class each of its probabilities belongs to, and its labels do not tell: "
            f"{len(seen)} of its {count} classes came up in {count_of(rows, 'drawn row')}. {_ZIPMAP}"
        )

    def _run_on(self, frame: pd.DataFrame) -> tuple[Any, Any]:
        """The first two outputs for drawn rows."""
        try:
            first, second = self._session.run(self._outputs[:2], self._feed(frame))
        except Exception as error:
            raise ArtefactIncompatible(f"The graph cannot score a row of zeros: {str(error)[:200]}") from error
        return first, second

    def _refuse_strange_outputs(self, labels: npt.NDArray[Any], count: int) -> None:
        """Raises ArtefactIncompatible where the first two outputs, of one row, are no label and its probabilities."""
        first, second = self._outputs[:2]
        if labels.size > 1 and count == 1:
            raise ArtefactIncompatible(
                f"The graph gives {first}, of {labels.size} columns, before {second}, of one: a classifier gives its "
                "label first and then its probabilities. Exchange the two outputs."
            )
        if labels.size != 1 or count < 2:
            raise ArtefactIncompatible(
                f"The graph has {len(self._outputs)} outputs; {first} has {count_of(labels.size, 'column')} and "
                f"{second} {count}. A classifier gives a label, and then a probability for each of its classes; a "
                "regression has one output of one number. Keep these alone."
            )

    def _labels_seen(self, count: int) -> tuple[dict[int, Any], int]:
        """By column, the label that drawn rows have where it is clearly the highest, and how many rows were drawn.

        A column whose rows have several labels is left out.
        """
        rows = _DRAWN
        try:
            labels, scores = self._run_on(self._drawn(rows))
        except ArtefactIncompatible:  # drawn values may be none that the graph takes, such as a place in a list
            rows = 1
            labels, scores = self._run_on(self._drawn(rows))
        labels, scores = np.asarray(labels).reshape(-1), np.asarray(scores, dtype=np.float64).reshape(rows, count)
        highest = np.sort(scores, axis=1)[:, -2:]
        is_clear = highest[:, -1] - highest[:, 0] > _TIE
        seen: dict[int, set[Any]] = {}
        for place, label in zip(scores.argmax(axis=1)[is_clear].tolist(), labels[is_clear].tolist(), strict=True):
            seen.setdefault(place, set()).add(label)
        return {place: next(iter(found)) for place, found in seen.items() if len(found) == 1}, rows

    def _drawn(self, rows: int) -> pd.DataFrame:
        """A row of zeros, and further ones over many orders of magnitude; the same in every process."""
        random = np.random.default_rng(0)
        width = self.n_features_in_ or 1
        types = [one.type for one in self._inputs] if len(self._inputs) > 1 else [self._inputs[0].type] * width
        columns = {}
        for place, kind in enumerate(types):
            values = random.normal(0.3, 1.0, rows) * 10.0 ** random.integers(-2, 5, rows)
            values[0] = 0.0
            if kind == "tensor(string)":
                columns[str(place)] = pd.Series([""] * rows, dtype=object)
            else:
                is_flag = kind == "tensor(bool)"
                columns[str(place)] = pd.Series(values > 0 if is_flag else np.rint(values) if "int" in kind else values)
        return pd.DataFrame(columns)


def _contradict(seen: dict[int, Any], told: list[Any], *, is_by_votes: bool) -> bool:
    """Whether labels that were seen, by column, say that the columns stand in another order than is told.

    Where labels go by votes, a column that is highest beside another label proves nothing: only where all columns do
    so, or where each column has a label of its own.
    """
    others = [place for place, label in seen.items() if label != told[place]]
    if not is_by_votes or not others:
        return bool(others)
    return len(seen) == len(set(seen.values())) == len(told) or len(seen) == len(others) > 1


def _several_columns(output: str, found: npt.NDArray[Any]) -> str:
    """Why an output of several columns, (rows, columns), is no answer, and what to do."""
    numbers = found.astype(np.float64)
    what = f"The graph's output {output} has {found.shape[1]} columns"
    if np.all((numbers >= 0) & (numbers <= 1)) and np.allclose(numbers.sum(axis=1), 1, atol=1e-4):
        return (
            f"{what}, which look like probabilities of classes that nothing names. Give the graph a first output with "
            "the label (ArgMax of them, or a list of the classes out of which it picks), and keep these as the second."
        )
    return f"{what}, and a regression answers with one number a row. Save one model for each."


def _as_type(column: pd.Series, kind: str) -> npt.NDArray[Any]:
    """The values as a graph's input takes them. Raises ValueError for a value that this type has no word for."""
    wanted = _TYPES[kind]
    values = column.to_numpy()
    if kind in ("tensor(float)", "tensor(double)"):
        return values.astype(wanted)
    if column.isna().any():
        raise ValueError(f"{column.name} is missing, and the graph's input has no word for that")
    if kind == "tensor(string)":
        strange = next((value for value in values.tolist() if not isinstance(value, str)), None)
        if strange is not None:
            raise ValueError(f"{column.name} is {strange!r}, and the graph takes texts: its kind is category")
        return values.astype(object)
    with np.errstate(invalid="ignore"):
        found = values.astype(wanted)
    if not np.array_equal(found.astype(np.float64), values.astype(np.float64)):
        takes = "true and false" if kind == "tensor(bool)" else f"whole numbers of {np.dtype(wanted).name}"
        raise ValueError(f"{column.name} has a value that the graph cannot take: it takes {takes}")
    return found
