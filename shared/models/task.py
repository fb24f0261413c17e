"""What a model answers."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any


class Task(StrEnum):
    """The kind of a model's answers."""

    BINARY = "binary"  # the probability of the positive class, and a label by a threshold
    MULTICLASS = "multiclass"  # a label of three or more, with the probability of each
    REGRESSION = "regression"  # a number


def class_name(label: Any) -> str:
    """A class as text: itself, or as JSON writes it where it is no text."""
    return label if isinstance(label, str) else json.dumps(label)
