"""Reference rows, drawn and read back. They are drawn and not real: what is kept with a version tells of nobody."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Connection

from model.signature.anchors import find_anchors
from worker.models.loaded_model import LoadedModel
from worker.models.references.answers import MOST_ROWS, Reference, make_reference
from worker.models.references.kept import fetch_reference
from worker.models.sample_rows import draw_table


def draw_reference(model: LoadedModel) -> Reference:
    """Drawn rows with what `model` answers. It takes as long as the model takes: no transaction may wait for it."""
    anchors = find_anchors(model.estimator, model.signature.names)
    return make_reference(model, draw_table(model.signature, MOST_ROWS, anchors=anchors))


def read_reference(connection: Connection, version_id: int) -> Reference | None:
    """The reference rows of a version, or None where none are kept."""
    kept = fetch_reference(connection, version_id)
    return None if kept is None else Reference(kept.features, np.array(kept.answers, dtype=np.float64))
