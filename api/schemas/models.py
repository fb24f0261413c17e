"""The shapes of models and their versions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import Field

from api.schemas.base import Label, Shape, Time
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
    dtype: str
    missing: str
    column_type: str | None
    title: str | None
    unit: str | None
    description: str | None


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
    code_sha256: str | None = Field(description="Of the code that it brings.")
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
    promoted_by: str | None = Field(description="Who made it live last.")
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


class LiveSignature(Shape):
    """What predictions by features are held against."""

    model: str
    version: int
    task: Task
    signature: Signature
    classes: list[Label]
    threshold: float | None


class ModelList(Shape):
    """All models, by name."""

    models: list[Model]


class PromotionRecord(Shape):
    """That a version went live."""

    version: int
    at: Time
    actor: str | None
    reason: str | None


class ModelWithVersions(Model):
    """A model with all its versions and the last 50 promotions, each newest first."""

    all_versions: list[ModelVersion]
    promotions: list[PromotionRecord]


class ModelChange(Shape):
    """What can be changed of a model."""

    description: str | None = Field(default=None, max_length=2000)
    is_default: Literal[True] | None = Field(default=None, description="Calls that name no model mean this one.")


class Promotion(Shape):
    """How to promote. `force` makes a version live that would be refused, and says why; `reason` is for the record."""

    force: str | None = Field(default=None, min_length=3, max_length=500)
    reason: str | None = Field(default=None, max_length=500)


class Withdrawal(Shape):
    """Why a model is taken out of service."""

    reason: str = Field(min_length=3, max_length=500)


class Figure(Shape):
    """A figure of a model with its 95 % interval, as its training found it."""

    mean: float
    low: float
    high: float


class Curve(Shape):
    """Points to draw."""

    x: list[float] = Field(max_length=200)
    y: list[float] = Field(max_length=200)


Short = Annotated[str, Field(min_length=1, max_length=100)]


class NewVersion(Shape):
    """What to register: a file that was sent to /v1/uploads, and what cannot be found out of it."""

    upload_id: UUID
    file_name: str = Field(default="", max_length=200)
    code_upload_id: UUID | None = Field(
        default=None, description="The modules that it brings: what `predictq models register --code` packs. They run."
    )
    source: str | None = Field(default=None, description="Where its features are; null: they come with each call.")
    positive: str | None = Field(default=None, description="The class whose probability is given, of two.")
    threshold: float | None = Field(default=None, ge=0, le=1)
    signature: dict[str, Any] | None = Field(default=None, description="Corrects what is found out.")
    description: str | None = Field(default=None, max_length=2000)
    allow: list[str] = Field(default=[], description="Types of a skops file that are trusted.")
    force: str | None = Field(default=None, min_length=3, max_length=500)
    formats: list[Literal["joblib", "skops", "onnx"]] = Field(
        default=["joblib", "skops", "onnx"], min_length=1, description="What it may be; else it is not opened."
    )
    metrics: dict[Short, Figure] = Field(
        default={}, max_length=50, description="What its training found; shown as given."
    )
    curves: dict[Short, Curve] = Field(
        default={}, max_length=10, description="`calibration`, `precision_recall` with `threshold`, `predicted`."
    )
    seal: dict[str, Any] | None = Field(default=None, description="Of the file: what `predictq seals create` wrote.")


class Registered(Shape):
    """A version, and what was found on the way."""

    version: ModelVersion
    findings: list[str]


class Check(Shape):
    """How many rows of the source to score."""

    rows: int = Field(default=1000, ge=1, le=10_000)
