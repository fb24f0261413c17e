"""The classes of a graph without ZipMap, read off the nodes that make its labels."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from model.graphs.protobuf import first_number, first_text, messages, texts, whole_numbers

# Numbers of fields, of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT = 1, 5, 12
_OUTPUT_NAME = 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_TENSOR, _ATTRIBUTE_INTS, _ATTRIBUTE_STRINGS = 1, 5, 8, 9
_TENSOR_TYPE, _TENSOR_INT32, _TENSOR_STRING, _TENSOR_INT64, _TENSOR_NAME, _TENSOR_RAW = 2, 5, 6, 7, 8, 9
_RAW_TYPES = {6: "i", 7: "q"}  # int32 and int64, as struct writes them

_SAME = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")  # change no label
_BY_VOTES = "SVMClassifier"  # its label is the class with most votes, which need not be the most probable one
_CLASSIFIERS = ("LinearClassifier", _BY_VOTES, "TreeEnsembleClassifier")
_PICKS = ("ArrayFeatureExtractor", "Gather")
_MOST_STEPS = 20

Labels = list[Any]  # of int or str, in the order of the columns of probabilities


@dataclass(frozen=True, slots=True)
class _Node:
    kind: str
    inputs: list[str]
    message: memoryview


def label_names(content: bytes, count: int) -> tuple[Labels | None, bool]:
    """The class of each of `count` columns of probabilities, of the graph in `content`; None where it does not tell.

    Told are the labels of a classifier's node, a list of constants out of which the place of the highest probability
    picks, and that place itself. The first output has to be the label. Also returns whether the label goes by votes,
    and may be another than that of the highest probability.
    """
    try:
        graph = _Graph(next(messages(memoryview(content), _MODEL_GRAPH)))
        found = graph.labels(count)
    except (ValueError, StopIteration, struct.error):
        return None, False
    is_told = found is not None and len(found) == count == len(set(found))
    return (found if is_told else None), graph.is_by_votes


class _Graph:
    def __init__(self, message: memoryview) -> None:
        """What its nodes make and what its constants hold, by name."""
        self._made: dict[str, _Node] = {}
        self._tensors = {first_text(one, _TENSOR_NAME): one for one in messages(message, _GRAPH_INITIALIZER)}
        for one in messages(message, _GRAPH_NODE):
            node = _Node(first_text(one, _NODE_TYPE), texts(one, _NODE_INPUT), one)
            made = texts(one, _NODE_OUTPUT)
            if made:  # of a classifier's node the first output is the label
                self._made[made[0]] = node
        self._label = first_text(next(messages(message, _GRAPH_OUTPUT)), _OUTPUT_NAME)
        self.is_by_votes = False  # once `labels` has found the node that makes them

    def labels(self, count: int) -> Labels | None:
        """From the first output backwards to what names the classes, through what changes or only recodes a label."""
        recoded: list[_Node] = []
        name = self._label
        for _ in range(_MOST_STEPS):
            node = self._made.get(name)
            if node is None or not node.inputs:
                return None
            if node.kind not in _SAME and node.kind != "LabelEncoder":
                self.is_by_votes = node.kind == _BY_VOTES
                found = self._named(node, count)
                for encoder in reversed(recoded):
                    found = _recode(encoder, found)
                return found
            if node.kind == "LabelEncoder":
                recoded.append(node)
            name = node.inputs[0]
        return None

    def _named(self, node: _Node, count: int) -> Labels | None:
        if node.kind in _CLASSIFIERS:
            return (
                _strings(node, "classlabels_strings")
                or _ints(node, "classlabels_ints")
                or _ints(node, "classlabels_int64s")
            )
        if node.kind == "ArgMax":
            return list(range(count))
        if node.kind in _PICKS and len(node.inputs) == 2 and self._is_place(node.inputs[1]):
            return self._constants(node.inputs[0])
        return None

    def _is_place(self, name: str) -> bool:
        """Whether this is the place of the highest of several numbers."""
        for _ in range(_MOST_STEPS):
            node = self._made.get(name)
            if node is None or node.kind not in _SAME or not node.inputs:
                return node is not None and node.kind == "ArgMax"
            name = node.inputs[0]
        return False

    def _constants(self, name: str) -> Labels | None:
        node = self._made.get(name)
        tensor = self._tensors.get(name)
        if tensor is None and node is not None and node.kind == "Constant":
            value = _attribute(node, "value")
            tensor = None if value is None else next(messages(value, _ATTRIBUTE_TENSOR), None)
        return None if tensor is None else _values(tensor)


def _values(tensor: memoryview) -> Labels | None:
    plain = (
        texts(tensor, _TENSOR_STRING) or whole_numbers(tensor, _TENSOR_INT64) or whole_numbers(tensor, _TENSOR_INT32)
    )
    if plain:
        return plain
    letter = _RAW_TYPES.get(first_number(tensor, _TENSOR_TYPE))
    raw = next(messages(tensor, _TENSOR_RAW), None)
    if letter is None or raw is None:
        return None
    return list(struct.unpack(f"<{len(raw) // struct.calcsize(letter)}{letter}", raw))


def _recode(encoder: _Node, labels: Labels | None) -> Labels | None:
    keys = _strings(encoder, "keys_strings") or _ints(encoder, "keys_int64s")
    values = _strings(encoder, "values_strings") or _ints(encoder, "values_int64s")
    if labels is None or len(keys) != len(values):
        return None
    words = dict(zip(keys, values, strict=True))
    return [words[label] for label in labels] if all(label in words for label in labels) else None


def _attribute(node: _Node, name: str) -> memoryview | None:
    for one in messages(node.message, _NODE_ATTRIBUTE):
        # A name stands first as a rule: of an attribute with millions of numbers no more is read.
        if first_text(one, _ATTRIBUTE_NAME) == name:
            return one
    return None


def _strings(node: _Node, name: str) -> Labels:
    found = _attribute(node, name)
    return [] if found is None else list(texts(found, _ATTRIBUTE_STRINGS))


def _ints(node: _Node, name: str) -> Labels:
    found = _attribute(node, name)
    return [] if found is None else list(whole_numbers(found, _ATTRIBUTE_INTS))
