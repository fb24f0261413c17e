"""What an artefact says about itself: all that makes its answers, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from model.errors import ArtefactCorrupt
from model.fingerprint import TrainingData
from shared.errors import PredictqError
from shared.models.signature import Signature
from shared.models.task import Task
from shared.models.version_digest import version_digest


@dataclass(frozen=True, slots=True)
class ArtefactMetadata:
    """Everything about an artefact but its bytes.

    `sha256` is the digest of the bytes. `classes` are those of the estimator: of a binary model the negative one and
    then the positive one, of a regression none. `threshold` is of a binary model. `metrics` maps a figure's name to its
    mean and 95 % interval. `library_versions` are those that made it, as far as its file says. `training_data` is None
    where an estimator was wrapped without it.
    """

    name: str
    sha256: str
    signature: Signature
    threshold: float | None
    task: Task
    classes: tuple[Any, ...]
    metrics: dict[str, dict[str, float]]
    library_versions: dict[str, str]
    training_data: TrainingData | None
    created_at: datetime
    file_format: str = "joblib"
    source_id: int | None = None
    requirements: str = ""
    code_sha256: str | None = None
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # by name: points x and y
    findings: list[str] = field(default_factory=list)  # what a person should know of it, found when it was registered

    @property
    def positive_class(self) -> Any:
        """The class whose probability a binary model gives; None for other tasks."""
        return self.classes[1] if self.task is Task.BINARY else None

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

    def description(self) -> dict[str, Any]:
        """How the artefact came about, without anything that makes its answers: of that there is one copy elsewhere."""
        return {
            "name": self.name,
            "metrics": self.metrics,
            "curves": self.curves,
            "library_versions": self.library_versions,
            "training_data": asdict(self.training_data) if self.training_data else None,
            "created_at": self.created_at.isoformat(),
            "findings": self.findings,
        }

    def to_json(self) -> dict[str, Any]:
        """The form that travels beside a file: a JSON object that `from_json` reads back to an equal value."""
        return {
            **self.description(),
            "sha256": self.sha256,
            "signature": self.signature.to_json(),
            "threshold": self.threshold,
            "task": self.task.value,
            "classes": list(self.classes),
            "file_format": self.file_format,
            "code_sha256": self.code_sha256,
            "digest": self.digest,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ArtefactMetadata:
        """Read the form written by `to_json`. Raises ArtefactCorrupt when a field is missing, malformed or edited."""
        try:
            found = cls._read(data)
            digest = data["digest"]
        except PredictqError as error:
            raise ArtefactCorrupt(f"The artefact's signature is refused: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtefactCorrupt(f"The artefact's metadata is not as the training wrote it: {error!r}") from error
        if found.digest != digest:
            raise ArtefactCorrupt(
                "The artefact's metadata was edited: its digest is that of another signature, threshold or class. "
                "Register model.joblib by itself, with the threshold and the signature that you want."
            )
        return found

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> ArtefactMetadata:
        training_data = data["training_data"]
        threshold = data["threshold"]
        return cls(
            name=data["name"],
            sha256=data["sha256"],
            signature=Signature.from_json(data["signature"]),
            threshold=None if threshold is None else float(threshold),
            task=Task(data["task"]),
            classes=tuple(data["classes"]),
            metrics=dict(data["metrics"]),
            library_versions=dict(data["library_versions"]),
            training_data=TrainingData(**training_data) if training_data else None,
            created_at=datetime.fromisoformat(data["created_at"]),
            file_format=data["file_format"],
            findings=list(data["findings"]),
            code_sha256=data.get("code_sha256"),
            curves=dict(data.get("curves") or {}),
        )
