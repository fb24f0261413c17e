"""Reference rows in PostgreSQL. They are drawn and not real: what is kept with a version tells of nobody."""

from __future__ import annotations

import json

import numpy as np
from sqlalchemy import Connection, text

from model.anchors import find_anchors
from worker.models.loaded_model import LoadedModel
from worker.models.reference import MOST_ROWS, Reference, make_reference
from worker.models.sample_rows import draw_table

# One page holds all rows, and one list their answers.
_KEEP = text("""
INSERT INTO predictq.reference_rows (model_version_id, row_number, features, answer)
VALUES (:id, 0, :features, CAST(:answer AS jsonb)) ON CONFLICT DO NOTHING
""")


def draw_reference(model: LoadedModel) -> Reference:
    """Drawn rows with what `model` answers. It takes as long as the model takes: no transaction may wait for it."""
    anchors = find_anchors(model.estimator, model.signature.names)
    return make_reference(model, draw_table(model.signature, MOST_ROWS, anchors=anchors))


def keep_reference(connection: Connection, version_id: int, reference: Reference) -> None:
    """Keep reference rows with a version; one that has some already keeps those."""
    answers = [[None if np.isnan(value) else value for value in row] for row in reference.answers.tolist()]
    values = {"id": version_id, "features": reference.features, "answer": json.dumps(answers)}
    connection.execute(_KEEP, values)


def read_reference(connection: Connection, version_id: int) -> Reference | None:
    """The reference rows of a version, or None where none are kept."""
    row = connection.execute(
        text("SELECT features, answer FROM predictq.reference_rows WHERE model_version_id = :id AND row_number = 0"),
        {"id": version_id},
    ).one_or_none()
    return None if row is None else Reference(bytes(row.features), np.array(row.answer, dtype=np.float64))
