"""What graphs in ONNX answer with: classes that are named by the graph itself, and outputs that are no answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, GradientBoostingClassifier, RandomForestClassifier, StackingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from model.errors import ArtefactIncompatible
from model.graphs.onnx_model import OnnxModel
from tests.unit.models.test_models_in_onnx import LABELS, MATRIX, PLAIN, THREE, onnx_of, registered

pytestmark = pytest.mark.filterwarnings("ignore")

NUMBERS = np.where(LABELS, 7, np.where(MATRIX[:, 0] > 40, 1, -3))
ML = helper.make_opsetid("ai.onnx.ml", 3)
CODES = np.arange(60).reshape(-1, 1) % 3


@pytest.mark.parametrize("labels", [NUMBERS, np.char.add("class é ", NUMBERS.astype(str)), LABELS + 5, THREE])
@pytest.mark.parametrize(
    "own",
    [
        LogisticRegression(), RandomForestClassifier(3, random_state=0), DecisionTreeClassifier(max_depth=3),
        GradientBoostingClassifier(n_estimators=3), SVC(probability=True), KNeighborsClassifier(3), GaussianNB(),
        MLPClassifier(max_iter=3), CalibratedClassifierCV(LinearSVC(), cv=2), BaggingClassifier(GaussianNB(), 2),
        StackingClassifier([("a", GaussianNB())], cv=2),
    ],
    ids=lambda own: type(own).__name__,
)  # fmt: skip
def test_a_graph_without_zipmap_tells_its_classes(own: Any, labels: Any) -> None:
    """However its labels come about: they are those of the estimator, in its order."""
    own.fit(MATRIX, labels)
    content = onnx_of(own, [("X", "Float", 3)], zipmap=False)
    assert OnnxModel(content).classes_.tolist() == own.classes_.tolist()


@pytest.mark.parametrize("names", [(1, 2), (5, 0), ("won", "lost")])
def test_classes_are_told_where_no_row_can_be_drawn(names: tuple[Any, Any]) -> None:
    """An encoder that refuses nearly all numbers: the labels 1 and 2 were called 0 and 1."""
    labels = np.where(CODES[:, 0] == 2, names[1], names[0])
    own = make_pipeline(OneHotEncoder(handle_unknown="error", sparse_output=False), LogisticRegression())
    own.fit(CODES, labels)
    assert OnnxModel(onnx_of(own, [("X", "Int64", 1)], zipmap=False)).classes_.tolist() == own.classes_.tolist()


def test_a_class_that_no_drawn_row_has_keeps_its_name() -> None:
    """Of 0, 1 and 7 the last came up in no drawn row: it was called 2."""
    far = MATRIX * np.tile(np.float32([[1e5, 1, 1], [1, 1, 1]]), (len(MATRIX) // 2, 1))
    labels = np.where(far[:, 0] > 1e5, 7, LABELS)
    own = DecisionTreeClassifier(random_state=0).fit(far, labels)
    content = onnx_of(own, [("X", "Float", 3)], zipmap=False)
    assert registered(content, signature=PLAIN).metadata.classes == (0, 1, 7)


@pytest.mark.parametrize("names", [("a", "b", "c"), (2, 9, 5)])
@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0], [2, 0, 1]])
def test_probabilities_in_another_order_than_the_classes_are_refused(order: list[int], names: tuple[Any, ...]) -> None:
    """Two classes of three were exchanged without a word, where the third stood in its place."""
    words = {"classlabels_strings" if isinstance(names[0], str) else "classlabels_ints": names}
    nodes = [
        helper.make_node(
            "LinearClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", multi_class=1,
            coefficients=[1.0, 0, 0, 0, 1, 0, 0, 0, 1], intercepts=[0.0] * 3, post_transform="SOFTMAX", **words,
        ),
        helper.make_node("Constant", [], ["order"], value=helper.make_tensor("o", TensorProto.INT64, [3], order)),
        helper.make_node("Gather", ["scores", "order"], ["probs"], axis=1),
    ]  # fmt: skip
    kind = TensorProto.STRING if isinstance(names[0], str) else TensorProto.INT64
    content = graph(nodes, [("label", kind, [None]), PROBS])
    if order == [0, 1, 2]:
        assert OnnxModel(content).classes_.tolist() == list(names)
        return
    with pytest.raises(ArtefactIncompatible, match="not those of the highest probabilities in this order"):
        OnnxModel(content)


@pytest.mark.parametrize(
    "own",
    [
        SVC(probability=True, kernel="linear", random_state=0),
        make_pipeline(StandardScaler(), SVC(C=5, probability=True, random_state=0)),
    ],
)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_labels_that_go_by_votes_contradict_no_order(own: Any, count: int) -> None:
    """Of an SVC that learned noise, a column is often the highest beside another label."""
    random = np.random.default_rng(count)
    for _ in range(5):
        own.fit(random.normal(size=(200, 3)).astype(np.float32), random.integers(0, count, 200))
        content = onnx_of(own, [("X", "Float", 3)], zipmap=False)
        assert OnnxModel(content).classes_.tolist() == list(range(count))


def test_another_order_is_refused_where_labels_go_by_votes() -> None:
    """Each column of an SVC is the highest beside one label, and it is that of another column."""
    own = SVC(kernel="linear", probability=True).fit(MATRIX, THREE)
    content = onnx.load_from_string(onnx_of(own, [("X", "Float", 3)], zipmap=False))
    nodes, probabilities = content.graph.node, content.graph.output[1].name
    for node in nodes:
        for place, name in enumerate(node.output):
            if name == probabilities:
                node.output[place] = "in_own_order"
    order = helper.make_node(
        "Constant", [], ["order"], value=helper.make_tensor("o", TensorProto.INT64, [3], [1, 2, 0])
    )
    nodes.extend([order, helper.make_node("Gather", ["in_own_order", "order"], [probabilities], axis=1)])
    with pytest.raises(ArtefactIncompatible, match="not those of the highest probabilities in this order"):
        OnnxModel(content.SerializeToString())


def graph(nodes: list[Any], outputs: list[tuple[str, int, list[Any]]], kind: int = TensorProto.FLOAT) -> bytes:
    """A graph of `x`, (rows, 3); W has three columns, U one; `outputs` are names, types and shapes."""
    weights = np.array([[0.1, 0, -0.1], [0, 0.001, 0], [0, -0.1, 0.1]], dtype=np.float32)
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [None, 3])],
        [helper.make_tensor_value_info(*output) for output in outputs],
        [
            helper.make_tensor("W", TensorProto.FLOAT, [3, 3], weights.flatten()),
            helper.make_tensor("U", TensorProto.FLOAT, [3, 1], [1, 2, 3]),
            helper.make_tensor("table", TensorProto.FLOAT, [4, 2], [0.9, 0.1, 0.2, 0.8, 0.5, 0.5, 0.3, 0.7]),
            helper.make_tensor("limit", TensorProto.FLOAT, [], [0.5]),
            helper.make_tensor("high", TensorProto.INT64, [], [9]),
            helper.make_tensor("low", TensorProto.INT64, [], [7]),
            helper.make_tensor("first", TensorProto.INT64, [1], [0]),
            helper.make_tensor("last", TensorProto.INT64, [1], [1]),
        ],
    )
    model: ModelProto = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17), ML], ir_version=8)
    return bytes(model.SerializeToString())


SCORES = [helper.make_node("MatMul", ["x", "W"], ["z"]), helper.make_node("Softmax", ["z"], ["probs"], axis=1)]
PLACE = helper.make_node("ArgMax", ["probs"], ["label"], axis=1, keepdims=0)
PROBS = ("probs", TensorProto.FLOAT, [None, 3])
LABEL = ("label", TensorProto.INT64, [None])


def test_the_place_of_the_highest_probability_is_its_class() -> None:
    """Also where no drawn value is one that the graph takes: its rows of a table of answers."""
    assert OnnxModel(graph([*SCORES, PLACE], [LABEL, PROBS])).classes_.tolist() == [0, 1, 2]
    looked_up = [
        helper.make_node("Gather", ["x", "first"], ["flat"], axis=1),
        helper.make_node("Squeeze", ["flat", "last"], ["places"]),
        helper.make_node("Gather", ["table", "places"], ["probs"]),
        PLACE,
    ]
    outputs = [LABEL, ("probs", TensorProto.FLOAT, [None, 2])]
    assert OnnxModel(graph(looked_up, outputs, TensorProto.INT64)).classes_.tolist() == [0, 1]


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.INT64])
def test_classes_that_nothing_tells_are_refused(kind: int) -> None:
    """A label that hangs on a comparison, and one class alone in the drawn rows: the other may be called anything."""
    rows = "2,000 drawn rows" if kind == TensorProto.FLOAT else "1 drawn row"
    one = helper.make_node("Gather", ["x", "first"], ["cut"], axis=1)
    flat = helper.make_node("Squeeze", ["cut", "last"], ["places"])
    if kind == TensorProto.FLOAT:
        zero = helper.make_node("Sub", ["places", "places"], ["zero"])
        place = helper.make_node("Cast", ["zero"], ["chosen"], to=TensorProto.INT64)
        head = [one, flat, zero, place]
    else:
        head = [one, flat, helper.make_node("Identity", ["places"], ["chosen"])]
    nodes = [
        *head,
        helper.make_node("Gather", ["table", "chosen"], ["probs"]),
        helper.make_node("Gather", ["probs", "last"], ["cut_high"], axis=1),
        helper.make_node("Squeeze", ["cut_high", "last"], ["p"]),
        helper.make_node("Greater", ["p", "limit"], ["is_high"]),
        helper.make_node("Where", ["is_high", "high", "low"], ["label"]),
    ]
    with pytest.raises(ArtefactIncompatible, match=f"1 of its 2 classes came up in {rows}.*with ZipMap"):
        OnnxModel(graph(nodes, [LABEL, ("probs", TensorProto.FLOAT, [None, 2])], kind))


def test_several_columns_of_one_output_are_no_answer() -> None:
    """Of two targets the first was served alone, and of probabilities those of class 0 as a regression."""
    two = LinearRegression().fit(MATRIX, np.c_[MATRIX[:, 0], -MATRIX[:, 0]])
    with pytest.raises(ArtefactIncompatible, match=r"has 2 columns, and a regression .* one model for each"):
        OnnxModel(onnx_of(two, [("X", "Float", 3)]))
    with pytest.raises(ArtefactIncompatible, match=r"probs has 3 columns, which look like probabilities"):
        OnnxModel(graph(SCORES, [PROBS]))
    with pytest.raises(ArtefactIncompatible, match=r"z has 3 columns, and a regression"):
        OnnxModel(graph(SCORES[:1], [("z", TensorProto.FLOAT, [None, 3])]))


def test_labels_alone_are_no_answer() -> None:
    """Numbers of classes were served as a regression."""
    with pytest.raises(ArtefactIncompatible, match=r"output, label, holds labels or whole numbers"):
        OnnxModel(graph([*SCORES, PLACE], [LABEL]))


def test_outputs_that_are_no_label_and_its_probabilities_are_called_so() -> None:
    """It was said of them that they know one class alone."""
    with pytest.raises(ArtefactIncompatible, match=r"probs, of 3 columns, before label, of one: .* Exchange the two"):
        OnnxModel(graph([*SCORES, PLACE], [PROBS, LABEL]))
    pair = [helper.make_node("MatMul", ["x", "U"], ["mean"]), helper.make_node("Abs", ["mean"], ["std"])]
    outputs = [("mean", TensorProto.FLOAT, [None, 1]), ("std", TensorProto.FLOAT, [None, 1])]
    with pytest.raises(ArtefactIncompatible, match=r"2 outputs; mean has 1 column and std 1\. .* a regression has one"):
        OnnxModel(graph(pair, outputs))
    assert not hasattr(OnnxModel(graph(pair, outputs[:1])), "predict_proba")
