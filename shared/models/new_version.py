"""A version before it is registered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.models.signature import Signature
from shared.models.task import Task


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
    def digest(self) -> str:
        """SHA-256 in hex over all that makes the answers."""
        code = None if self.code is None else hashlib.sha256(self.code).hexdigest()
        parts = [
            self.sha256,
            code,
            self.signature.to_json(),
            list(self.classes),
            self.threshold,
            self.source_id,
            self.task.value,
            self.requirements,
            self.file_format,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
