"""Reference rows in PostgreSQL, for whoever loads no library of models: a page of features, and a list of answers."""

from __future__ import annotations

import base64
import json
import math
from typing import Any, NamedTuple

from sqlalchemy import Connection, text


class KeptReference(NamedTuple):
    """Rows as a page of features, and the answers to them; null where one is not a number."""

    features: bytes
    answers: list[list[float | None]]


# One page holds all rows, and one list their answers.
_KEEP = text("""
INSERT INTO predictq.reference_rows (model_version_id, row_number, features, answer)
VALUES (:id, 0, :features, CAST(:answer AS jsonb)) ON CONFLICT DO NOTHING
""")
_FETCH = text("SELECT features, answer FROM predictq.reference_rows WHERE model_version_id = :id AND row_number = 0")


def read_reference(features: str, answers: object) -> KeptReference:
    """What a process that ran code of a stranger's says are reference rows. Raises TypeError, ValueError.

    Whether the features are a page is found out where they are read, which is in such a process again.
    """
    if not isinstance(answers, list) or not all(isinstance(row, list) for row in answers):
        raise TypeError("the answers are no list of lists")
    return KeptReference(base64.b64decode(features, validate=True), [list(map(_number, row)) for row in answers])


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise TypeError("an answer is no number")
    return None if value is None or not math.isfinite(value) else float(value)


def keep_reference(connection: Connection, version_id: int, kept: KeptReference) -> None:
    """Keep reference rows with a version; one that has some already keeps those."""
    values: dict[str, Any] = {"id": version_id, "features": kept.features, "answer": json.dumps(kept.answers)}
    connection.execute(_KEEP, values)


def fetch_reference(connection: Connection, version_id: int) -> KeptReference | None:
    """The reference rows of a version, or None where none are kept."""
    row = connection.execute(_FETCH, {"id": version_id}).one_or_none()
    return None if row is None else KeptReference(bytes(row.features), row.answer)
