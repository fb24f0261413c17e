"""From an artefact to what the registry stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.models.new_version import NewVersion
from shared.models.task import Task

if TYPE_CHECKING:
    from model.artefact import Artefact

SAMPLE_MODEL = "default"


def new_version(artefact: Artefact, *, source_id: int | None, model: str = SAMPLE_MODEL) -> NewVersion:
    """A binary model's artefact as a version of `model` that reads its features from a source."""
    metadata = artefact.metadata
    return NewVersion(
        model=model,
        task=Task.BINARY,
        source_id=source_id,
        sha256=metadata.sha256,
        signature=metadata.signature,
        classes=[0, 1],
        threshold=metadata.threshold,
        metadata=metadata.to_json(),
        artefact=artefact.content,
        title=metadata.name,
    )
