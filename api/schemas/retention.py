"""The shapes of retention, holds and storage on the wire."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from pydantic import Field, StrictBool

from api.schemas.base import Shape, Time

_PERIOD = Field(max_length=100, examples=["13 months"])


class ModelPeriod(Shape):
    """What holds for one model; `own` is null where the default holds."""

    model: str
    own: str | None
    keep_for: str


class Retention(Shape):
    """How long answers are kept: whole days, weeks, months or years, or "for ever"."""

    keep_for: str
    floor: str
    models: list[ModelPeriod]


class RetentionChange(Shape):
    """A period for all models, or for one; `keep_for` null takes a model's own away. Or a new floor."""

    keep_for: str | None = _PERIOD
    model: str | None = Field(default=None, max_length=100)


class FloorChange(Shape):
    """A new floor, 30 days at least."""

    floor: str = Field(max_length=100, examples=["6 months"])


class RunOrder(Shape):
    """What to do: look, or let go."""

    dry_run: StrictBool = False


class ModelReport(Shape):
    """What goes of one model."""

    model: str
    pages: int
    jobs: int
    answers: int
    bytes: int


class RunReport(Shape):
    """What goes, by model and in sum. `waiting` are answers that are due and go with their partition later.

    `thinned_rows` go out of pages that stay for the sake of held rows; they are not among `answers`.
    """

    dry_run: bool
    partitions: list[str]
    models: list[ModelReport]
    pages: int
    jobs: int
    answers: int
    bytes: int
    waiting: int
    thinned_rows: int
    seconds: float


class RetentionRun(Shape):
    """A run: `queued`, `running`, `done` or `failed`. A dry run has no id and is done at once."""

    id: UUID | None
    status: str
    report: RunReport | None = None
    error: str | None = None
    created_at: Time | None = None
    finished_at: Time | None = None


class NewHold(Shape):
    """Hold one thing: a model, a job, or a client by its key: a number, a text, or an object where it is composite."""

    model: str | None = Field(default=None, max_length=100)
    job_id: UUID | None = None
    client_id: Any = None
    source: str | None = Field(default=None, max_length=100)
    reason: str = Field(min_length=1, max_length=1000)


class Hold(Shape):
    """A hold that stands."""

    id: int
    model: str | None
    job_id: UUID | None
    source: str | None
    client_id: str | None
    reason: str
    actor: str
    created_at: Time


class AddedHold(Hold):
    """A new hold. `answers`: how many stored ones are of the client.

    Null where a model or a job is held, or they could not be counted just now.
    """

    answers: int | None


class HoldList(Shape):
    """All holds that stand, newest first."""

    holds: list[Hold]


class ModelMonth(Shape):
    """What the answers of a model and month take, with their requests and jobs."""

    model: str
    month: date
    answers: int
    bytes: int


class Storage(Shape):
    """What is stored, how it grows, and when the disk is full; null where that is not known."""

    months: list[ModelMonth]
    other_bytes: int
    total_bytes: int
    bytes_per_day: int
    free_bytes: int | None
    days_left: float | None
