"""The models by name, as lists show them and as the gateway asks for them every second."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from shared.errors import ModelUnknown
from shared.models.registry import require_model
from shared.models.task import Task


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """A model, and which of its versions is live."""

    name: str
    is_default: bool
    live_version_id: int | None


def read_models_in_use(connection: Connection) -> list[ModelInUse]:
    """All models, and what is live of them: few columns, for whoever asks every second."""
    rows = connection.execute(text("SELECT name, is_default, live_version_id FROM predictq.models"))
    return [ModelInUse(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model as lists show it."""

    name: str
    task: Task
    source: str | None
    description: str
    is_default: bool
    live_version: int | None
    versions: int
    created_at: datetime


def list_models(connection: Connection, name: str | None = None) -> list[ModelSummary]:
    """The models by name, all of them or one. Raises ModelUnknown."""
    rows = connection.execute(_MODELS, {"name": name}).all()
    if name is not None and not rows:
        raise ModelUnknown(name)
    return [ModelSummary(**{**row._asdict(), "task": Task(row.task)}) for row in rows]


_MODELS = text("""
SELECT m.name, m.task, s.name AS source, m.description, m.is_default, v.version AS live_version,
       (SELECT count(*) FROM predictq.model_versions a WHERE a.model = m.name) AS versions, m.created_at
FROM predictq.models m
LEFT JOIN predictq.model_versions v ON v.id = m.live_version_id
LEFT JOIN predictq.sources s ON s.id = coalesce(v.source_id, m.source_id)
WHERE CAST(:name AS text) IS NULL OR m.name = :name
ORDER BY m.name
""")


def describe_model(connection: Connection, name: str, description: str) -> None:
    """Set what people read about a model. Raises ModelUnknown."""
    require_model(connection, name)
    connection.execute(
        text("UPDATE predictq.models SET description = :text WHERE name = :name"), {"name": name, "text": description}
    )
