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
from model.registration import new_version
from shared.models.registry import promote_version, register_version
from shared.postgres.engine import autocommit, transaction
from shared.sources.source import read_source
from tests.sample import create_clients_table

_TRAINING_ROWS = 2000


def train_model(directory: Path) -> Artefact:
    """A logistic regression, kept in `directory` for the peers too."""
    frame = pd.concat(generate(_TRAINING_ROWS, seed=secrets.randbelow(1 << 30)), ignore_index=True)
    artefact = train_sample(frame, splits=2, source="benchmark").artefact
    save(artefact, directory)
    return artefact


def register(engine: Engine, artefact: Artefact) -> int:
    """Make `artefact` the live model; returns its number in the database."""
    with transaction(engine) as connection:
        source = read_source(connection, "clients")
        version = register_version(connection, new_version(artefact, source_id=source.id))
        return promote_version(connection, version.id).id


def load_clients(engine: Engine, count: int) -> None:
    """Fill `clients` with ids from 1, drawn from a seed that no run before had, and with statistics for the planner."""
    seed = secrets.randbelow(1 << 30)
    with transaction(engine) as connection:
        create_clients_table(connection)
    load(engine, count, seed, lambda _rows: None)
    with autocommit(engine) as connection:
        connection.execute(text(f"VACUUM ANALYZE {TABLE}"))
