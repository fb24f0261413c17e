"""Reference rows, drawn and read back. They are drawn and not real: what is kept with a version tells of nobody."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Connection

from worker.models.drawn.suited import Words, draw_for
from worker.models.loaded_model import LoadedModel
from worker.models.references.answers import MOST_ROWS, Reference, make_reference
from worker.models.references.kept import fetch_reference


def draw_reference(model: LoadedModel, words: Words | None = None) -> Reference:
    """Drawn rows with what `model` answers. It takes as long as the model takes: no transaction may wait for it."""
    return make_reference(model, draw_for(model.asking, model.signature, MOST_ROWS, words=words).table)


def read_reference(connection: Connection, version_id: int) -> Reference | None:
    """The reference rows of a version, or None where none are kept."""
    kept = fetch_reference(connection, version_id)
    return None if kept is None else Reference(kept.features, np.array(kept.answers, dtype=np.float64))
