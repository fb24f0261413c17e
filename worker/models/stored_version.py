"""A version as PostgreSQL holds it, put together for loading: the one place where registry and artefact meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from model.artefact import Artefact, check_digests
from model.errors import ArtefactCorrupt
from model.metadata import ArtefactMetadata
from shared.models.registry import ModelVersion, get_version, read_artefact, read_code
from worker.models.loaded_model import LoadedModel
from worker.models.references.answers import Reference, is_another_patch, load_proven
from worker.models.references.rows import read_reference
from worker.models.seals import NO_SEALS, SealGuard


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version that nobody has opened yet. `digest` was stored at registration, over all that makes its answers."""

    version_id: int
    artefact: Artefact
    digest: str
    reference: Reference | None = None  # of a version that another patch release made

    def load(self) -> LoadedModel:
        """The version opened. Raises ArtefactError."""
        return load_proven(self.artefact, self.version_id, digest=self.digest, reference=self.reference)

    def checked(self) -> Artefact:
        """The artefact once its digests are found right. Raises ArtefactCorrupt."""
        check_digests(self.artefact, self.digest)
        return self.artefact


def read_version(connection: Connection, version_id: int, seals: SealGuard = NO_SEALS) -> StoredVersion:
    """A version by its number in the database. Raises ModelVersionUnknown, ArtefactCorrupt, SealRefused."""
    record = get_version(connection, version_id)
    seals.check_version(connection, record)
    code = read_code(connection, version_id) if record.code_sha256 is not None else None
    artefact = Artefact(read_artefact(connection, version_id), metadata_of(record), code)
    reference = read_reference(connection, version_id) if is_another_patch(artefact) else None
    return StoredVersion(version_id, artefact, record.digest, reference)


def metadata_of(record: ModelVersion) -> ArtefactMetadata:
    """What the registry holds of a version, as its artefact says it. Raises ArtefactCorrupt."""
    described: dict[str, Any] = record.metadata
    try:
        return ArtefactMetadata(
            name=str(described.get("name", "")),
            sha256=record.sha256,
            signature=record.signature,
            threshold=record.threshold,
            task=record.task,
            classes=record.classes,
            metrics=dict(described.get("metrics") or {}),
            library_versions=dict(described.get("library_versions") or {}),
            training_data=None,
            created_at=record.created_at,
            source_id=record.source_id,
            requirements=record.requirements,
            file_format=record.file_format,
            code_sha256=record.code_sha256,
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise ArtefactCorrupt(f"The version's record is not as registration wrote it: {error!r}") from error
