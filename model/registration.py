"""From an artefact to what the registry stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.models.new_version import NewVersion

if TYPE_CHECKING:
    from model.artefact import Artefact

SAMPLE_MODEL = "default"


def new_version(artefact: Artefact, *, source_id: int | None, model: str = SAMPLE_MODEL) -> NewVersion:
    """An artefact as a version of `model` that reads its features from a source, or takes them with each call."""
    metadata = artefact.metadata
    return NewVersion(
        model=model,
        task=metadata.task,
        source_id=source_id,
        sha256=metadata.sha256,
        signature=metadata.signature,
        classes=list(metadata.classes),
        threshold=metadata.threshold,
        metadata=metadata.description(),
        artefact=artefact.content,
        title=metadata.name,
        requirements=metadata.requirements,
        file_format=metadata.file_format,
    )
