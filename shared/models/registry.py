"""The model registry: every version with its artefact in PostgreSQL, so that a worker needs no other store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from shared.errors import ModelVersionUnknown, NoLiveModel
from shared.models.signature import Signature
from shared.models.task import Task
from shared.models.version_digest import version_digest

DEFAULT_MODEL = "default"  # the one model there is; its versions are what callers know


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered version, without its artefact. `metadata` is what the training wrote about itself."""

    id: int
    version: int
    name: str
    sha256: str
    signature: Signature
    threshold: float
    classes: tuple[Any, ...]
    requirements: str
    digest: str  # of all that makes its answers
    metadata: dict[str, Any]
    created_at: datetime
    promoted_at: datetime | None
    is_live: bool
    task: Task = Task.BINARY
    source_id: int | None = None
    file_format: str = "joblib"


_SELECT = """
SELECT v.id, v.version, v.title AS name, v.sha256, v.signature, v.threshold, v.classes, v.requirements, v.digest,
       v.metadata, v.created_at, v.promoted_at,
       m.live_version_id IS NOT DISTINCT FROM v.id AS is_live
FROM predictq.model_versions v JOIN predictq.models m ON m.name = v.model
"""


def _model(row: Any) -> ModelVersion:
    values = row._asdict()
    read = {"signature": Signature.from_json(values["signature"]), "classes": tuple(values["classes"])}
    return ModelVersion(**{**values, **read})


def register_model(
    connection: Connection,
    *,
    name: str,
    sha256: str,
    signature: Signature,
    threshold: float,
    metadata: dict[str, Any],
    artefact: bytes,
    classes: Sequence[Any] = (0, 1),
) -> ModelVersion:
    """Store a new version; it is not live until it is promoted."""
    connection.execute(_ADD_MODEL, {"model": DEFAULT_MODEL})
    version = connection.execute(
        _ADD_VERSION,
        {
            "model": DEFAULT_MODEL,
            "title": name,
            "sha256": sha256,
            "digest": version_digest(sha256=sha256, signature=signature, classes=classes, threshold=threshold),
            "signature": signature.to_json(),
            "threshold": threshold,
            "classes": list(classes),
            "metadata": metadata,
            "artefact": artefact,
        },
    ).scalar_one()
    return get_model(connection, version)


# Held until the end of the transaction: two registrations at once must not draw the same number.
_ADD_MODEL = text("""
INSERT INTO predictq.models (name, task, source_id, is_default)
VALUES (:model, 'binary', (SELECT id FROM predictq.sources WHERE name = 'clients'), true)
ON CONFLICT (name) DO UPDATE SET name = excluded.name
""")
_ADD_VERSION = text("""
INSERT INTO predictq.model_versions
    (model, version, title, sha256, digest, signature, classes, threshold, metadata, artefact)
SELECT :model, coalesce(max(version), 0) + 1, :title, :sha256, :digest, :signature, :classes, :threshold, :metadata,
       :artefact
FROM predictq.model_versions WHERE model = :model RETURNING version
""").bindparams(
    bindparam("signature", type_=JSONB), bindparam("classes", type_=JSONB), bindparam("metadata", type_=JSONB)
)


def promote_model(connection: Connection, version: int) -> ModelVersion:
    """Make `version` the one that new jobs are pinned to. Accepted jobs keep theirs. Raises ModelVersionUnknown."""
    model = get_model(connection, version)
    connection.execute(
        text("UPDATE predictq.models SET live_version_id = :id WHERE name = :model"),
        {"id": model.id, "model": DEFAULT_MODEL},
    )
    if not model.is_live:
        connection.execute(
            text("UPDATE predictq.model_versions SET promoted_at = now() WHERE id = :id"), {"id": model.id}
        )
    return get_model(connection, version)


def get_model(connection: Connection, version: int) -> ModelVersion:
    """One version. Raises ModelVersionUnknown."""
    row = connection.execute(text(f"{_SELECT} WHERE v.version = :version"), {"version": version}).one_or_none()
    if row is None:
        raise ModelVersionUnknown(version)
    return _model(row)


def get_version(connection: Connection, version_id: int) -> ModelVersion:
    """One version by its number in the database. Raises ModelVersionUnknown."""
    row = connection.execute(text(f"{_SELECT} WHERE v.id = :id"), {"id": version_id}).one_or_none()
    if row is None:
        raise ModelVersionUnknown(version_id)
    return _model(row)


def live_model(connection: Connection) -> ModelVersion:
    """The version that new jobs are pinned to. Raises NoLiveModel."""
    row = connection.execute(text(f"{_SELECT} WHERE m.is_default AND m.live_version_id = v.id")).one_or_none()
    if row is None:
        raise NoLiveModel
    return _model(row)


def list_models(connection: Connection) -> list[ModelVersion]:
    """All versions, newest first."""
    return [_model(row) for row in connection.execute(text(f"{_SELECT} ORDER BY v.id DESC"))]


def read_artefact(connection: Connection, version_id: int) -> bytes:
    """The joblib file of a version, as bytes. Raises ModelVersionUnknown."""
    content = connection.execute(
        text("SELECT artefact FROM predictq.model_versions WHERE id = :id"), {"id": version_id}
    ).scalar_one_or_none()
    if content is None:
        raise ModelVersionUnknown(version_id)
    return bytes(content)
