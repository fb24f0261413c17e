"""The shapes that go over the wire, as /docs shows them.

Model routes read and write by them. The direct routes, which are the busiest ones, do without them at run time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from api.intake.client_ids import MAX_CLIENT_ID
from shared.models.signature import FeatureKind
from shared.status import JobStatus, RowError

# As orjson writes it in the answers that are made without these models.
Time = Annotated[
    datetime,
    PlainSerializer(datetime.isoformat, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Label = bool | int | str
# Named here, not checked: a worker of a newer release may know one more.
RowCode = Annotated[str, WithJsonSchema({"type": "string", "enum": [item.value for item in RowError]})]

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
    """The rows of a job; `total` is null while those of a selection are counted."""

    total: int | None
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
    """An answer. `label` is 1, or what the model calls it, where the probability reaches the threshold."""

    client_id: int | None
    probability: float
    label: Label
    threshold: float
    model_version: int


class RowProblem(Shape):
    """Why there is no answer."""

    code: RowCode
    detail: str


class JobProblem(Shape):
    """Why a single job has no answer (a code of a row), or why a bulk job failed as a whole."""

    code: str
    detail: str


class Job(Shape):
    """A job. `request_id`, `client_id` and `result` are of a single job only.

    `error` is also of a bulk job that failed as a whole, `snapshots` of one whose rows were found in several readings.
    """

    id: UUID = Field(examples=[_JOB_ID])
    kind: Literal["single", "bulk"]
    status: JobStatus
    request_counts: Counts
    model_version: int
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    cancelled_at: Time | None
    links: Links
    request_id: str | None = Field(default=None, examples=["1042-7"])
    client_id: int | None = None
    result: Result | None = None
    error: JobProblem | None = None
    snapshots: int | None = None


class JobPage(Shape):
    """Jobs, newest first; `next` is the cursor of the page after this one."""

    jobs: list[Job]
    next: str | None


class Row(Shape):
    """The answer to one request, or why there is none."""

    request_id: str = Field(examples=["1042-7"])
    client_id: int | None
    probability: float | None
    label: Label | None
    threshold: float | None
    model_version: int
    error_code: RowCode | None
    error_detail: str | None


class ResultPage(Shape):
    """Rows in the order in which they were asked for; `complete` once no more will come than there are."""

    job_id: UUID
    complete: bool
    rows: list[Row]
    next: str | None


class Trace(Shape):
    """Everything that made one answer; from `worker` on null until there is one."""

    request_id: str = Field(examples=["1042-7"])
    job_id: UUID
    job_kind: Literal["single", "bulk"]
    client_id: int | None
    model_version: int
    model_name: str
    model_sha256: str
    version_digest: str
    batch_id: int
    accepted_at: Time
    attempts: int
    worker: str | None
    probability: float | None
    label: Label | None
    threshold: float | None
    features_from: str | None = Field(description="`request`, or the name of the source.")
    features: dict[str, Any] | None = Field(description="By name, exactly as they were scored.")
    fence: int | None
    claimed_at: Time | None
    answered_at: Time | None
    error: RowProblem | None


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


class Model(Shape):
    """A model version."""

    version: int
    name: str
    sha256: str
    signature: Signature
    threshold: float
    metadata: dict[str, Any]
    created_at: Time
    promoted_at: Time | None
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
