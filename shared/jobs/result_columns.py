"""The columns of results, as tables have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.jobs.result_sql import JobShape
from shared.models.task import Task, class_name

RESULT_COLUMNS = (
    "request_id",
    "client_id",
    "probability",
    "label",
    "threshold",
    "model_version",
    "error_code",
    "error_detail",
    "model",
    "key",
    "value",
)


def result_columns(shape: JobShape) -> tuple[str, ...]:
    """The columns of a job's results as CSV has them.

    Those of all jobs, then the probability of each class, then the parts of a composite key.
    """
    classes = (f"probability_{class_name(item)}" for item in _classes(shape))
    return (*RESULT_COLUMNS, *classes, *map(key_part_column, shape.key_parts))


def key_part_column(name: str) -> str:
    """What the column of a table of results is called that has one part of a composite key."""
    return f"key_{name}"


def _classes(shape: JobShape) -> Sequence[Any]:
    return shape.classes if shape.task is Task.MULTICLASS else ()
