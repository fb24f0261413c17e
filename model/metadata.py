"""What an artefact says about itself: the JSON that travels with its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from model.errors import ArtefactCorrupt
from model.fingerprint import TrainingData
from shared.models.signature import Signature


@dataclass(frozen=True, slots=True)
class ArtefactMetadata:
    """Everything about an artefact but its bytes.

    `sha256` is the digest of the bytes. `metrics` maps a figure's name to its mean and 95 % interval.
    `library_versions` are those it was trained with. `training_data` is None where an estimator was wrapped
    without it.
    """

    name: str
    sha256: str
    signature: Signature
    threshold: float
    positive_class: int | str
    metrics: dict[str, dict[str, float]]
    library_versions: dict[str, str]
    training_data: TrainingData | None
    created_at: datetime

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back to an equal value."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "signature": self.signature.to_json(),
            "threshold": self.threshold,
            "positive_class": self.positive_class,
            "metrics": self.metrics,
            "library_versions": self.library_versions,
            "training_data": asdict(self.training_data) if self.training_data else None,
            "created_at": self.created_at.isoformat(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ArtefactMetadata:
        """Read the form written by `to_json`. Raises ArtefactCorrupt when a field is missing or malformed."""
        try:
            return cls._read(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtefactCorrupt(f"The artefact's metadata is not as the training wrote it: {error!r}") from error

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> ArtefactMetadata:
        training_data = data["training_data"]
        return cls(
            name=data["name"],
            sha256=data["sha256"],
            signature=Signature.from_json(data["signature"]),
            threshold=float(data["threshold"]),
            positive_class=data["positive_class"],
            metrics=data["metrics"],
            library_versions=dict(data["library_versions"]),
            training_data=TrainingData(**training_data) if training_data else None,
            created_at=datetime.fromisoformat(data["created_at"]),
        )
