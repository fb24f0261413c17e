"""Fresh data for a run: sample clients and a model trained on others of the same kind."""

from __future__ import annotations

import secrets
from pathlib import Path

import pandas as pd
from sqlalchemy import Engine, text

from examples.hr_attrition.dataset import generate
from examples.hr_attrition.load import TABLE, load
from examples.hr_attrition.training import train_sample
from model.artefact import Artefact, save
from shared.models.registry import promote_model, register_model
from shared.postgres.engine import autocommit, transaction

_TRAINING_ROWS = 2000


def train_model(directory: Path) -> Artefact:
    """A logistic regression, kept in `directory` for the peers too."""
    frame = pd.concat(generate(_TRAINING_ROWS, seed=secrets.randbelow(1 << 30)), ignore_index=True)
    artefact = train_sample(frame, splits=2, source="benchmark").artefact
    save(artefact, directory)
    return artefact


def register(engine: Engine, artefact: Artefact) -> int:
    """Make `artefact` the live model; returns its version."""
    metadata = artefact.metadata
    with transaction(engine) as connection:
        model = register_model(
            connection,
            name=metadata.name,
            sha256=metadata.sha256,
            signature=metadata.signature,
            threshold=metadata.threshold,
            metadata=metadata.to_json(),
            artefact=artefact.content,
        )
        return promote_model(connection, model.version).version


def load_clients(engine: Engine, count: int) -> None:
    """Fill `clients` with ids from 1, drawn from a seed that no run before had, and with statistics for the planner."""
    seed = secrets.randbelow(1 << 30)
    load(engine, count, seed, lambda _rows: None)
    with autocommit(engine) as connection:
        connection.execute(text(f"VACUUM ANALYZE {TABLE}"))
