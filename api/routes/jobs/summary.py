"""What a bulk job has come to so far: how its answers spread, its errors by code, who worked on it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api.access.dependencies import CurrentServices, JobId, ReadCaller
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.problems import INVALID, Problem
from api.schemas.base import Shape, Time
from shared.jobs.records import read_job
from shared.models.task import Task

router = APIRouter(tags=["jobs"], route_class=ModelRoute, responses=PROBLEMS)


class AnswerBin(Shape):
    """Answers from `low` to below `high`."""

    low: float
    high: float
    count: int


class LabelCount(Shape):
    """Answers with one label."""

    label: bool | int | float | str | None
    count: int


class AnswerSpread(Shape):
    """How answers spread: in bins of the probability or the value, or by label where there are more than two."""

    task: Task
    answers: int = Field(description="That were looked at.")
    is_whole: bool = Field(description="Whether these are all answers so far; else those of pages all over the job.")
    bins: list[AnswerBin]
    labels: list[LabelCount]
    threshold: float | None
    above: int | None = Field(description="Of the answers looked at those at or above the threshold.")


class ErrorRow(Shape):
    """A row with an error."""

    request_id: str
    detail: str


class RowErrors(Shape):
    """The rows with one code."""

    code: str
    count: int
    samples: list[ErrorRow]


class UnknownCategories(Shape):
    """Values of one feature that the model's encoder does not know and ignores."""

    feature: str
    count: int


class BatchPart(Shape):
    """Batches that follow each other. `failed` ones have a row with an error, and are done, too."""

    done: int
    failed: int
    running: int
    waiting: int
    rows: int = Field(description="Rows of the batches that are done.")
    failed_rows: int = Field(description="Those of them that have an error.")
    first_batch: int = Field(description="The number of the first batch; it begins the ids of its predictions.")
    last_batch: int
    first_at: Time | None = Field(description="When the first of them was begun; null where none was.")
    last_at: Time | None = Field(description="When the last of those that are done ended.")
    workers: list[str] = Field(description="The processes that did them or have them now, three at most.")
    worker_count: int


class WorkerPart(Shape):
    """What one process of a worker did of the job."""

    worker: str
    batches: int
    rows: int
    seconds: float
    first_at: Time
    last_at: Time


class JobSummary(Shape):
    """A bulk job, summed up."""

    job_id: UUID
    spread: AnswerSpread
    errors: list[RowErrors]
    errors_are_whole: bool = Field(description="Whether all rows with an error are counted.")
    unknown_categories: list[UnknownCategories] = Field(
        description="Of rows that were scored all the same, as of no category that is known. 50 features at most."
    )
    batches: int
    tried_again: int
    strip: list[BatchPart] = Field(description="All batches in order, in 80 parts at most.")
    workers: list[WorkerPart]
    rows_per_second: float | None = Field(
        description="Of workers: in the last ten seconds; of a job that has ended, over the time in which they had "
        "batches of it. `null` where that cannot be said, as of one that no worker scored a row of."
    )
    brought_features: bool = Field(description="Whether its rows came with their features: no source can be mended.")
    seconds_left: float | None
    at: datetime


@router.get("/v1/jobs/{job_id}/summary", summary="A bulk job, summed up")
async def summary(services: CurrentServices, caller: ReadCaller, job_id: JobId) -> JobSummary:
    """How its answers spread, its errors by code with rows to look at, its batches, and who worked on it.

    It may be two seconds old.
    """
    job = await services.quick.read(
        lambda connection: read_job(connection, job_id, caller.owner, models=caller.models), owner=caller.owner
    )
    if job.kind == "single":
        raise Problem(INVALID, "A single job is its own summary: read the job.")
    found = await services.summaries.read(services.lists, caller.owner, job)
    values: dict[str, Any] = {
        "job_id": job.job_id,
        "at": found.at,
        "seconds_left": found.seconds_left(job.rows_left if not job.status.is_terminal else None),
    }
    return JobSummary.model_validate({**found.as_dict(), **values})
