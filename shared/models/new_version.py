"""A version before it is registered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.models.signature import Signature
from shared.models.task import Task
from shared.models.version_digest import version_digest


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What to register. `source_id` None: features come with each call."""

    model: str
    task: Task
    source_id: int | None
    sha256: str
    signature: Signature
    classes: Sequence[Any]
    threshold: float | None
    metadata: dict[str, Any]
    artefact: bytes
    title: str = ""
    requirements: str = ""
    file_format: str = "joblib"
    code: bytes | None = None

    @property
    def code_sha256(self) -> str | None:
        """The digest of the code that it brings, or None."""
        return None if self.code is None else hashlib.sha256(self.code).hexdigest()

    @property
    def digest(self) -> str:
        """SHA-256 in hex over all that makes the answers."""
        return version_digest(
            sha256=self.sha256,
            signature=self.signature,
            task=self.task,
            classes=self.classes,
            threshold=self.threshold,
            source_id=self.source_id,
            requirements=self.requirements,
            file_format=self.file_format,
            code_sha256=self.code_sha256,
        )

    def facts(self) -> dict[str, Any]:
        """All that is stored of it but bytes, by column, as JSON."""
        return {
            "model": self.model,
            "task": self.task.value,
            "source_id": self.source_id,
            "title": self.title or self.model,
            "sha256": self.sha256,
            "digest": self.digest,
            "signature": self.signature.to_json(),
            "classes": list(self.classes),
            "threshold": self.threshold,
            "requirements": self.requirements,
            "file_format": self.file_format,
            "metadata": self.metadata,
            "code_sha256": self.code_sha256,
        }
