"""The shapes that go over the wire, as /docs shows them. At run time bodies are read and written without them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.intake.id_files import MAX_CLIENT_ID
from shared.models.signature import FeatureKind
from shared.status import JobStatus, RowError

_JOB_ID = "01a208a7-76d9-74fb-a6a9-68511ddfcb4b"


class Shape(BaseModel):
    """Base of all: no field but those named."""

    model_config = ConfigDict(extra="forbid")


class PredictBody(Shape):
    """One client."""

    client_id: int = Field(ge=1, le=MAX_CLIENT_ID, examples=[5])


class PredictRawBody(Shape):
    """Features by name, as the live model's signature wants them."""

    features: dict[str, int | float | bool | str | None]


class JobByIds(Shape):
    """A job of these clients, in this order."""

    client_ids: list[int] = Field(min_length=1)


class JobByFilter(Shape):
    """A job of every client whose features equal these; a list means any of its values."""

    where: dict[str, Any] = Field(min_length=1, examples=[{"department": "Sales", "job_level": [1, 2]}])


class JobOfAll(Shape):
    """A job of all clients."""

    all: Literal[True]


class Counts(Shape):
    """The rows of a job."""

    total: int
    succeeded: int
    failed: int
    cancelled: int


class Links(Shape):
    """Where to go on."""

    model_config = ConfigDict(serialize_by_alias=True)

    self_: str = Field(alias="self")
    results: str
    cancel: str


class Result(Shape):
    """An answer. `label` is 1 where the probability reaches the threshold."""

    client_id: int | None
    probability: float = Field(ge=0, le=1)
    label: Literal[0, 1]
    threshold: float
    model_version: int


class RowProblem(Shape):
    """Why there is no answer."""

    code: RowError
    detail: str


class Job(Shape):
    """A job. The last four fields are of a single job only."""

    id: UUID = Field(examples=[_JOB_ID])
    kind: Literal["single", "bulk"]
    status: JobStatus
    request_counts: Counts
    model_version: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancelled_at: datetime | None
    links: Links
    request_id: int = Field(default=0, examples=[4200007])
    client_id: int | None = None
    result: Result | None = None
    error: RowProblem | None = None


class JobPage(Shape):
    """Jobs, newest first; `next` is the cursor of the page after this one."""

    jobs: list[Job]
    next: str | None


class Row(Shape):
    """The answer to one request, or why there is none."""

    request_id: int
    client_id: int | None
    probability: float | None
    label: Literal[0, 1] | None
    threshold: float | None
    model_version: int
    error_code: RowError | None
    error_detail: str | None


class ResultPage(Shape):
    """Rows in the order in which they were asked for; `complete` once no more will come than there are."""

    job_id: UUID
    complete: bool
    rows: list[Row]
    next: str | None


class Trace(Shape):
    """Everything that made one answer; from `worker` on null until there is one."""

    request_id: int
    job_id: UUID
    job_kind: Literal["single", "bulk"]
    client_id: int | None
    model_version: int
    model_name: str
    model_sha256: str
    batch_id: int
    attempts: int
    accepted_at: datetime
    worker: str | None
    client_version: int | None
    probability: float | None
    label: Literal[0, 1] | None
    threshold: float | None
    features_from: Literal["request", "clients", "clients_history"] | None
    features: dict[str, Any] | None
    fence: int | None
    claimed_at: datetime | None
    answered_at: datetime | None
    error: RowProblem | None


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


class Model(Shape):
    """A model version."""

    version: int
    name: str
    sha256: str
    signature: Signature
    threshold: float
    metadata: dict[str, Any]
    created_at: datetime
    promoted_at: datetime | None
    is_live: bool


class ModelList(Shape):
    """All model versions, newest first."""

    models: list[Model]


class Readiness(Shape):
    """Whether jobs can be accepted, and if not, why."""

    status: Literal["ok", "degraded", "unavailable"]
    reasons: list[str]


class QueueHealth(Shape):
    """What waits in one queue."""

    queued_batches: int
    running_batches: int
    waiting_rows: int
    oldest_seconds: float


class Health(Readiness):
    """The same in detail."""

    live_model_version: int | None
    redis: Literal["ok", "away"]
    queues: dict[str, QueueHealth]
    open_waiters: int


class Liveness(Shape):
    """The process answers."""

    status: Literal["ok"]


class ProblemKind(Shape):
    """A kind of problem."""

    type: str
    title: str
    status: int
    retry_after: int | None


class ProblemKinds(Shape):
    """All of them."""

    problems: list[ProblemKind]


class FlawShape(Shape):
    """One thing wrong with a request."""

    pointer: str = Field(examples=["/client_id"])
    code: str
    detail: str


class ProblemShape(Shape):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[FlawShape] = []
