"""The shapes of models and their versions."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import Field

from api.http.schemas import Label, Shape, Time
from shared.models.signature import FeatureKind
from shared.models.task import Task

Answer = TypeVar("Answer")


class Feature(Shape):
    """One feature of a model."""

    name: str
    kind: FeatureKind
    nullable: bool
    categories: list[str]
    minimum: float | None
    maximum: float | None


class Signature(Shape):
    """The features in the model's order."""

    features: list[Feature]


class ModelVersion(Shape):
    """A version of a model."""

    model: str
    version: int
    title: str
    task: Task
    source: str | None
    state: Literal["registered", "checked", "retired"]
    is_live: bool
    sha256: str = Field(description="Of the file as it was handed in.")
    digest: str = Field(description="Of all that makes the version's answers.")
    signature: Signature
    classes: list[Label]
    threshold: float | None
    requirements: str
    file_format: str
    metadata: dict[str, Any]
    created_at: Time
    checked_at: Time | None
    promoted_at: Time | None
    retired_at: Time | None


class Model(Shape):
    """A model, as lists show it."""

    name: str
    task: Task
    source: str | None
    description: str
    is_default: bool
    live_version: int | None
    versions: int
    created_at: Time


class ModelList(Shape):
    """All models, by name."""

    models: list[Model]


class ModelWithVersions(Model):
    """A model with all its versions, newest first."""

    all_versions: list[ModelVersion]


class ModelChange(Shape):
    """What can be changed of a model."""

    description: str | None = Field(default=None, max_length=2000)
    is_default: Literal[True] | None = Field(default=None, description="Calls that name no model mean this one.")


class Promotion(Shape):
    """How to promote. `force` makes a version live that would be refused, and says why."""

    force: str | None = Field(default=None, min_length=3, max_length=500)
