"""An answer on its way out of a process: a line of JSON, and then the numbers as they lie in memory.

How many numbers there are follows from what was asked, never from what is said.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from model.answering import Prediction
from shared.models.task import Task

MOST_LINE = 1 << 16
MOST_WORDS = 2000  # letters of what went wrong: a line of JSON holds them, whatever they are


def write_answer(call: int, prediction: Prediction) -> bytes:
    """The bytes of an answer to the call of this number."""
    parts = [json.dumps({"call": call}).encode() + b"\n", np.asarray(prediction.values, "<f8").tobytes()]
    if prediction.labels is not None:
        parts.append(np.asarray(prediction.labels, "<i2").tobytes())
    if prediction.scores is not None:
        parts.append(np.ascontiguousarray(prediction.scores, "<f8").tobytes())
    return b"".join(parts)


def write_words(call: int, what: str, words: str) -> bytes:
    """The bytes that say why there is no answer. `what`: raised, wrong, ended, or refused."""
    return json.dumps({"call": call, "error": what, "words": words[:MOST_WORDS]}).encode() + b"\n"


def read_head(line: bytes, call: int) -> dict[str, Any]:
    """The line of an answer. Raises ValueError unless it is one to this call."""
    head = json.loads(line)
    if not isinstance(head, dict) or head.get("call") != call:
        raise ValueError("an answer to another call")
    return head


def read_numbers(read: Callable[[int], bytes], rows: int, task: Task, classes: int) -> Prediction:
    """The answer to `rows` rows; `read` gives so many bytes. Raises ValueError where a label is no class."""
    values = np.frombuffer(read(8 * rows), "<f8").astype(np.float64)
    if task is not Task.MULTICLASS:
        return Prediction(values)
    labels = np.frombuffer(read(2 * rows), "<i2").astype(np.int16)
    if rows and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError("a label that is no class")
    scores = np.frombuffer(read(8 * rows * classes), "<f8").astype(np.float64).reshape(rows, classes)
    return Prediction(values, labels, scores)
