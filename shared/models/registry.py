"""The model registry: models by name, and every version with its artefact in PostgreSQL.

A worker needs no other store. What makes a version's answers never changes once it is registered.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.errors import (
    ModelRefused,
    ModelRequired,
    ModelUnknown,
    ModelVersionUnknown,
    NoLiveModel,
    VersionRetired,
)
from shared.models.new_version import NewVersion
from shared.models.signature import Signature
from shared.models.task import Task


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered version, without its artefact. `metadata` is what was found out about its file and its training.

    `classes` are the words of the labels: of a binary model the negative, then the positive one; of a regression none.
    """

    id: int
    model: str
    version: int  # counted from 1 for each model
    title: str
    task: Task
    source_id: int | None
    sha256: str  # of the file, as it was handed in
    code_sha256: str | None  # of the code that it brings
    digest: str  # of all that makes its answers
    signature: Signature
    classes: tuple[Any, ...]
    threshold: float | None  # of a binary model
    requirements: str
    file_format: str
    metadata: dict[str, Any]
    state: str
    created_at: datetime
    checked_at: datetime | None
    promoted_at: datetime | None
    retired_at: datetime | None
    is_live: bool

    @property
    def label(self) -> str:
        """The version as people name it: `churn:3`."""
        return f"{self.model}:{self.version}"


_SELECT = """
SELECT v.id, v.model, v.version, v.title, v.task, v.source_id, v.sha256, v.code_sha256, v.digest, v.signature,
       v.classes, v.threshold, v.requirements, v.file_format, v.metadata, v.state, v.created_at, v.checked_at,
       v.promoted_at, v.retired_at, m.live_version_id IS NOT DISTINCT FROM v.id AS is_live
FROM predictq.model_versions v JOIN predictq.models m ON m.name = v.model
"""


def _model(row: Any) -> ModelVersion:
    values = row._asdict()
    return ModelVersion(
        **{
            **values,
            "signature": Signature.from_json(values["signature"]),
            "classes": tuple(values["classes"]),
            "task": Task(values["task"]),
        }
    )


def register_version(connection: Connection, new: NewVersion) -> ModelVersion:
    """Store a version under the next number of its model; the very same one again is the one that is there already.

    It is not live until it is promoted. Its source may be another than that of earlier versions. Raises ModelRefused
    where the model has another task.
    """
    values = {**new.facts(), "artefact": new.artefact, "code": new.code}
    known = connection.execute(_ADD_MODEL, values).one()
    if known.task != new.task.value:
        raise ModelRefused(f"Model {new.model} is of the task {known.task}, this file is a {new.task.value} model.")
    same = connection.execute(_SAME, values).scalar_one_or_none()
    version_id = same or connection.execute(_ADD_VERSION, values).scalar_one()
    connection.execute(_CHECKED, {"id": version_id})
    return get_version(connection, version_id)


def is_registered(connection: Connection, new: NewVersion) -> bool:
    """Whether registering it would make no new version."""
    return connection.execute(_SAME, {"model": new.model, "digest": new.digest}).scalar_one_or_none() is not None


# Held until the end of the transaction: two registrations at once must not draw the same number.
_ADD_MODEL = text("""
INSERT INTO predictq.models AS m (name, task, source_id) VALUES (:model, :task, :source_id)
ON CONFLICT (name) DO UPDATE SET source_id = coalesce(m.source_id, excluded.source_id) RETURNING m.task, m.source_id
""")
_SAME = text("SELECT id FROM predictq.model_versions WHERE model = :model AND digest = :digest AND retired_at IS NULL")
_ADD_VERSION = text("""
INSERT INTO predictq.model_versions (model, version, title, task, source_id, sha256, digest, signature, classes,
                                     threshold, requirements, file_format, metadata, artefact, code, code_sha256)
SELECT :model, coalesce(max(version), 0) + 1, :title, :task, :source_id, :sha256, :digest, :signature, :classes,
       :threshold, :requirements, :file_format, :metadata, :artefact, :code, :code_sha256
FROM predictq.model_versions WHERE model = :model RETURNING id
""").bindparams(
    bindparam("signature", type_=JSONB), bindparam("metadata", type_=JSONB), bindparam("classes", type_=JSONB)
)
_CHECKED = text("""
UPDATE predictq.model_versions SET state = 'checked', checked_at = now() WHERE id = :id AND state = 'registered'
""")


def promote_version(
    connection: Connection, version_id: int, *, actor: str | None = None, reason: str | None = None
) -> ModelVersion:
    """Make a version the one that new jobs of its model are pinned to. Accepted jobs keep theirs.

    The first model that is promoted becomes the default. Raises ModelVersionUnknown, and VersionRetired.
    """
    # Locked before anything is asked: promotions and retirements take turns, and only one model becomes the first.
    connection.execute(_LOCK_MODELS)
    found = get_version(connection, version_id)
    if found.retired_at is not None:
        raise VersionRetired(found.label)
    values = {"id": found.id, "model": found.model}
    connection.execute(_MAKE_LIVE, values)
    if not found.is_live:
        connection.execute(text("UPDATE predictq.model_versions SET promoted_at = now() WHERE id = :id"), values)
        connection.execute(
            text("""INSERT INTO predictq.promotions (model, model_version_id, actor, reason)
                    VALUES (:model, :id, :actor, :reason)"""),
            {**values, "actor": actor, "reason": reason},
        )
    return get_version(connection, version_id)


_LOCK_MODELS = text("SELECT FROM predictq.models ORDER BY name FOR UPDATE")
_MAKE_LIVE = text("""
UPDATE predictq.models SET live_version_id = :id,
       is_default = is_default OR NOT EXISTS (SELECT FROM predictq.models d WHERE d.is_default)
WHERE name = :model
""")


def withdraw_model(connection: Connection, model: str) -> ModelVersion:
    """Take the live version of a model out of service: new jobs of the model are refused, accepted ones are answered.

    Returns what was live. It stays the default model, if it was that: calls that name none must not get another's
    answers. Raises ModelUnknown, and NoLiveModel.
    """
    connection.execute(_LOCK_MODELS)
    found = live_version(connection, model)
    connection.execute(text("UPDATE predictq.models SET live_version_id = NULL WHERE name = :name"), {"name": model})
    return found


def set_default(connection: Connection, model: str) -> None:
    """Make `model` the one that calls mean which name none. Raises ModelUnknown."""
    require_model(connection, model)
    connection.execute(
        text("UPDATE predictq.models SET is_default = false WHERE is_default AND name <> :name"), {"name": model}
    )
    connection.execute(text("UPDATE predictq.models SET is_default = true WHERE name = :name"), {"name": model})


def retire_version(connection: Connection, version_id: int) -> ModelVersion:
    """Free the bytes of a version that is not live and has no open work; what it answered stays readable.

    Raises ModelVersionUnknown, and ModelRefused where it is live or still has work.
    """
    connection.execute(_LOCK_MODELS)
    found = get_version(connection, version_id)
    if found.is_live:
        raise ModelRefused(f"{found.label} is live. Promote another version first, or withdraw the model.")
    is_busy = connection.execute(
        text("SELECT 1 FROM predictq.prediction_batches WHERE model_version_id = :id LIMIT 1"), {"id": version_id}
    ).first()
    if is_busy:
        raise ModelRefused(f"Jobs of {found.label} are still open. Wait for their end, or cancel them.")
    connection.execute(_RETIRE, {"id": version_id})
    return get_version(connection, version_id)


_RETIRE = text("""
UPDATE predictq.model_versions SET state = 'retired', retired_at = now(), artefact = NULL, code = NULL
WHERE id = :id AND retired_at IS NULL
""")


def require_model(connection: Connection, name: str) -> None:
    """Raise ModelUnknown where there is no model of this name."""
    if connection.execute(text("SELECT 1 FROM predictq.models WHERE name = :name"), {"name": name}).first() is None:
        raise ModelUnknown(name)


def get_version(connection: Connection, version_id: int) -> ModelVersion:
    """One version by its number in the database. Raises ModelVersionUnknown."""
    row = connection.execute(text(f"{_SELECT} WHERE v.id = :id"), {"id": version_id}).one_or_none()
    if row is None:
        raise ModelVersionUnknown(str(version_id))
    return _model(row)


def find_version(connection: Connection, model: str, version: int) -> ModelVersion:
    """A version as people name it. Raises ModelUnknown, and ModelVersionUnknown."""
    row = connection.execute(
        text(f"{_SELECT} WHERE v.model = :model AND v.version = :version"), {"model": model, "version": version}
    ).one_or_none()
    if row is None:
        require_model(connection, model)
        raise ModelVersionUnknown(f"{model}:{version}")
    return _model(row)


def newest_checked(connection: Connection, model: str) -> ModelVersion:
    """The newest version of `model` that was checked. Raises ModelUnknown, and ModelVersionUnknown."""
    row = connection.execute(
        text(f"{_SELECT} WHERE v.model = :model AND v.state = 'checked' ORDER BY v.version DESC LIMIT 1"),
        {"model": model},
    ).one_or_none()
    if row is None:
        require_model(connection, model)
        raise ModelVersionUnknown(f"{model} (none that was checked)")
    return _model(row)


def live_version(connection: Connection, model: str | None = None) -> ModelVersion:
    """The version that new jobs of a model are pinned to; without a name that of the default model.

    Raises ModelUnknown, ModelRequired where no model is the default, and NoLiveModel.
    """
    condition = "m.is_default" if model is None else "m.name = :model"
    row = connection.execute(
        text(f"{_SELECT} WHERE {condition} AND m.live_version_id = v.id"), {} if model is None else {"model": model}
    ).one_or_none()
    if row is not None:
        return _model(row)
    if model is not None:
        require_model(connection, model)
        raise NoLiveModel(model)
    default = connection.execute(_DEFAULT).one()
    if default.is_any_live and default.name is None:
        raise ModelRequired
    raise NoLiveModel(default.name if default.is_any_live else None)


_DEFAULT = text("""
SELECT (SELECT name FROM predictq.models WHERE is_default) AS name,
       EXISTS (SELECT FROM predictq.models WHERE live_version_id IS NOT NULL) AS is_any_live
""")


def live_versions(connection: Connection) -> list[ModelVersion]:
    """The live version of each model that has one, by name."""
    rows = connection.execute(text(f"{_SELECT} WHERE m.live_version_id = v.id ORDER BY v.model"))
    return [_model(row) for row in rows]


def list_versions(connection: Connection, model: str | None = None) -> list[ModelVersion]:
    """All versions, of one model or of all, newest first. Raises ModelUnknown."""
    if model is None:
        return [_model(row) for row in connection.execute(text(f"{_SELECT} ORDER BY v.id DESC"))]
    require_model(connection, model)
    rows = connection.execute(text(f"{_SELECT} WHERE v.model = :model ORDER BY v.version DESC"), {"model": model})
    return [_model(row) for row in rows]


def read_artefact(connection: Connection, version_id: int) -> bytes:
    """The file of a version, as bytes. Raises ModelVersionUnknown, also where it was retired."""
    content = connection.execute(
        text("SELECT artefact FROM predictq.model_versions WHERE id = :id"), {"id": version_id}
    ).scalar_one_or_none()
    if content is None:
        raise ModelVersionUnknown(str(version_id))
    return bytes(content)


def read_code(connection: Connection, version_id: int) -> bytes | None:
    """The pack of the code that a version brings; None where it brings none."""
    code = connection.execute(
        text("SELECT code FROM predictq.model_versions WHERE id = :id"), {"id": version_id}
    ).scalar_one_or_none()
    return None if code is None else bytes(code)
