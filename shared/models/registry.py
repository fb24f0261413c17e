"""The model registry: every version with its artefact in PostgreSQL, so that a worker needs no other store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from shared.errors import ModelVersionUnknown, NoLiveModel
from shared.models.signature import Signature


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered model, without its artefact. `metadata` is what the training wrote about itself."""

    version: int
    name: str
    sha256: str
    signature: Signature
    threshold: float
    metadata: dict[str, Any]
    created_at: datetime
    promoted_at: datetime | None
    is_live: bool


_COLUMNS = "version, name, sha256, signature, threshold, metadata, created_at, promoted_at, is_live"


def _model(row: Any) -> ModelVersion:
    values = row._asdict()
    return ModelVersion(**{**values, "signature": Signature.from_json(values["signature"])})


def register_model(
    connection: Connection,
    *,
    name: str,
    sha256: str,
    signature: Signature,
    threshold: float,
    metadata: dict[str, Any],
    artefact: bytes,
) -> ModelVersion:
    """Store a new model version; it is not live until it is promoted."""
    statement = text(f"""INSERT INTO model_versions (name, sha256, signature, threshold, metadata, artefact)
        VALUES (:name, :sha256, :signature, :threshold, :metadata, :artefact) RETURNING {_COLUMNS}""")
    row = connection.execute(
        statement.bindparams(bindparam("signature", type_=JSONB), bindparam("metadata", type_=JSONB)),
        {
            "name": name,
            "sha256": sha256,
            "signature": signature.to_json(),
            "threshold": threshold,
            "metadata": metadata,
            "artefact": artefact,
        },
    ).one()
    return _model(row)


def promote_model(connection: Connection, version: int) -> ModelVersion:
    """Make `version` the one that new jobs are pinned to. Accepted jobs keep theirs. Raises ModelVersionUnknown."""
    # Two promotions at once take turns; else the unique index would refuse one of them.
    connection.execute(text("LOCK TABLE model_versions IN SHARE ROW EXCLUSIVE MODE"))
    get_model(connection, version)
    connection.execute(
        text("UPDATE model_versions SET is_live = false WHERE is_live AND version <> :version"),
        {"version": version},
    )
    connection.execute(
        text("UPDATE model_versions SET is_live = true, promoted_at = now() WHERE version = :version AND NOT is_live"),
        {"version": version},
    )
    return get_model(connection, version)


def get_model(connection: Connection, version: int) -> ModelVersion:
    """One model version. Raises ModelVersionUnknown."""
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM model_versions WHERE version = :version"),
        {"version": version},
    ).one_or_none()
    if row is None:
        raise ModelVersionUnknown(version)
    return _model(row)


def live_model(connection: Connection) -> ModelVersion:
    """The model version that new jobs are pinned to. Raises NoLiveModel."""
    row = connection.execute(text(f"SELECT {_COLUMNS} FROM model_versions WHERE is_live")).one_or_none()
    if row is None:
        raise NoLiveModel
    return _model(row)


def list_models(connection: Connection) -> list[ModelVersion]:
    """All model versions, newest first."""
    return [_model(row) for row in connection.execute(text(f"SELECT {_COLUMNS} FROM model_versions ORDER BY 1 DESC"))]


def read_artefact(connection: Connection, version: int) -> bytes:
    """The joblib file of a model version, as bytes. Raises ModelVersionUnknown."""
    content = connection.execute(
        text("SELECT artefact FROM model_versions WHERE version = :version"), {"version": version}
    ).scalar_one_or_none()
    if content is None:
        raise ModelVersionUnknown(version)
    return bytes(content)
