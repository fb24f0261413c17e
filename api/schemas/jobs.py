"""The shapes that go over the wire, as /docs shows them.

Model routes read and write by them. The direct routes, which are the busiest ones, do without them at run time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, WithJsonSchema

from api.schemas.base import Label, ModelName, Shape, Time, Told
from shared.models.task import Task
from shared.status import JobStatus, RowError

ClientId = int | str | dict[str, Any]  # as the caller wrote it; an object of columns for a composite key
# Named here, not checked: a worker of a newer release may know one more.
RowCode = Annotated[str, WithJsonSchema({"type": "string", "enum": [item.value for item in RowError]})]

_JOB_ID = "01a208a7-76d9-74fb-a6a9-68511ddfcb4b"


class PredictBody(Shape):
    """One client of the model's source."""

    client_id: ClientId = Field(examples=[5, "P-00000017", {"country": "FR", "no": 17}])
    model: ModelName


class PredictRawBody(Shape):
    """Features by name, as the model's signature wants them; `client_id` is a reference that comes back."""

    features: dict[str, int | float | bool | str | None] = Field(
        description="A category that the model was trained on as a number, such as a year, is a number or its text."
    )
    client_id: ClientId | None = None
    model: ModelName


class NewJob(Shape):
    """What all jobs may say of themselves."""

    model: ModelName
    name: Annotated[str | None, Field(default=None, max_length=200, description="What you call the job.")]
    deadline: Annotated[
        datetime | None, Field(default=None, description="What is not answered by then ends in `deadline_passed`.")
    ]


class JobByIds(NewJob):
    """A job of these clients, in this order."""

    client_ids: list[ClientId] = Field(min_length=1)


class JobByFilter(NewJob):
    """A job of every client whose columns are as given: a value, a list, null, or a range of gte, gt, lt, lte."""

    where: dict[str, Any] = Field(min_length=1, examples=[{"tariff": "basic", "tenure": {"gte": 30, "lt": 40}}])


class JobOfAll(NewJob):
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
    """An answer, by the model's task.

    A binary model gives `probability`, `label` and `threshold`: the label is the positive class where the probability
    reaches the threshold. A multiclass model gives `label`, its `probability`, and `probabilities` by class. A
    regression gives `value`.
    """

    client_id: ClientId | None
    key: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    label: Label | None = None
    threshold: float | None = None
    value: float | None = None
    model: str
    model_version: int
    unknown_categories: list[str] | None = Field(
        default=None, description="The features of which the model did not learn this value, and scored it as none."
    )


class RowProblem(Shape):
    """Why there is no answer."""

    code: RowCode
    detail: str


class JobProblem(Shape):
    """Why a single job has no answer (a code of a row), or why a bulk job failed as a whole."""

    code: str
    detail: str


class Asked(Shape):
    """What a bulk job was asked for, and by which owner."""

    model_config = ConfigDict(serialize_by_alias=True)

    by: str
    for_: Literal["filter", "all", "list", "upload", "repeat", "retry"] = Field(alias="for")
    where: dict[str, Any] | None = Field(default=None, description="The filter, unless it has more than 2,000 bytes.")
    job: UUID | None = Field(default=None, description="Which job is repeated, or whose failed rows are retried.")


class Job(Shape):
    """A job. `request_id`, `client_id` and `result` are of a single job only.

    `error` is also of a bulk job that failed as a whole, `snapshots` of one whose rows were found in several readings.
    """

    id: UUID = Field(examples=[_JOB_ID])
    kind: Literal["single", "bulk"]
    status: JobStatus
    request_counts: Counts
    model: str
    model_version: int
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    cancelled_at: Time | None
    links: Links
    cancelled_by: str | None = Field(default=None, description="Who: the owner of the key, or the `sub` of a person.")
    name: str | None = None
    deadline: Time | None = None
    asked: Asked | None = Field(default=None, description="Of a bulk job; not in the answer to the call that made it.")
    request_id: str | None = Field(default=None, examples=["1042-7"])
    client_id: ClientId | None = None
    key: str | None = Field(default=None, description="The canonical key where it differs from `client_id`.")
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
    client_id: ClientId | None
    probability: float | None
    label: Label | None
    threshold: float | None
    model_version: int
    error_code: RowCode | None
    error_detail: str | None
    model: str
    key: str | None = Field(description="The canonical key where it differs from `client_id`.")
    value: float | None
    probabilities: dict[str, float] | None = None


class ResultPage(Shape):
    """Rows in the order in which they were asked for; `complete` once no more will come than there are."""

    job_id: UUID
    complete: bool
    rows: list[Row]
    next: str | None


class Trace(Shape):
    """Everything that made one answer; from `worker` on null where there is none."""

    request_id: str = Field(examples=["1042-7"])
    job_id: UUID
    job_kind: Literal["single", "bulk"]
    client_id: ClientId | None
    key: str | None
    model: str
    model_version: int
    task: Task
    model_sha256: str
    code_sha256: str | None = Field(description="Of the code that the version brings.")
    version_digest: str
    batch_id: int
    state: Literal["open", "answered", "cancelled"] = Field(description="A stated error is an answer, too.")
    accepted_at: Time
    attempts: int
    worker: str | None
    probability: float | None
    probabilities: dict[str, float] | None
    label: Label | None
    threshold: float | None
    value: float | None
    features_from: str | None = Field(description="`request`, or the name of the source.")
    features: dict[str, Any] | None = Field(description="By name, exactly as they were scored.")
    unknown_categories: list[str] | None = Field(
        description="The features of which the model did not learn this value, and scored it as none it knows. "
        "Null where there is no answer, and where an earlier release did not note it of each row."
    )
    features_left_out: bool = Field(description="Whether they are null because the key lacks the role `features`.")
    fence: int | None
    claimed_at: Time | None
    answered_at: Time | None
    error: RowProblem | None


class UploadedFile(Shape):
    """A file that is kept for a worker to open."""

    id: UUID
    size: int = Field(description="Bytes.")
    sha256: str


class ExportAsked(Shape):
    """A file of answers that a worker writes; `links.self` gives it when it is there."""

    id: UUID
    job_id: UUID
    format: str
    links: dict[str, str]


class ProblemKind(Shape):
    """A kind of problem."""

    type: str
    title: str
    status: int
    retry_after: int | None


class ProblemKinds(Shape):
    """All of them."""

    problems: list[ProblemKind]


class FlawShape(Told):
    """One thing wrong with a request."""

    pointer: str = Field(examples=["/client_id"])
    code: str


class ProblemShape(Told):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    instance: str
    request_id: str
    errors: list[FlawShape] = Field([])
