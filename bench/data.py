"""Fresh data for a run: sample clients and a model trained on others of the same kind."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
from sqlalchemy import Engine, text

from model.artefact import Artefact, save
from model.columns import TARGET
from model.dataset import generate
from model.train import train
from shared.models.registry import promote_model, register_model
from shared.postgres.engine import autocommit, transaction
from shared.sources.clients import CLIENTS, append_clients

_TRAINING_ROWS = 2000


def train_model(directory: Path) -> Artefact:
    """A logistic regression, kept in `directory` for the peers too."""
    frame = pd.concat(generate(_TRAINING_ROWS, seed=secrets.randbelow(1 << 30)), ignore_index=True)
    artefact = train(frame, splits=2, source="benchmark").artefact
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
            metadata=metadata.description(),
            classes=metadata.classes,
            artefact=artefact.content,
        )
        return promote_model(connection, model.version).version


def load_clients(engine: Engine, count: int) -> None:
    """Fill `clients` with ids from 1, drawn from a seed that no run before had, and with statistics for the planner."""
    seed = secrets.randbelow(1 << 30)
    append_clients(engine, lambda first: _pieces(count, seed, first))
    with autocommit(engine) as connection:
        connection.execute(text(f"VACUUM ANALYZE {CLIENTS}"))


def _pieces(count: int, seed: int, first: int) -> Iterator[bytes]:
    for frame in generate(count, seed, first):
        buffer = io.BytesIO()
        table = pa.Table.from_pandas(frame.drop(columns=TARGET), preserve_index=False)
        pa_csv.write_csv(table, buffer, pa_csv.WriteOptions(include_header=False))
        yield buffer.getvalue()
