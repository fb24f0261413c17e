"""The shapes of workers on the wire."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from api.schemas.base import Shape, Time


class CurrentBatch(Shape):
    """A batch that is being scored. Of a model that your API key may not use no more is told than its number."""

    id: int
    model: str | None = Field(examples=["churn"])
    model_version: int | None
    job_id: UUID | None = Field(description="The bulk job; null where single predictions are scored together.")
    is_own: bool = Field(description="Whether that job is your own: of others you can read nothing more.")


class Worker(Shape):
    """A worker, as it described itself last."""

    name: str = Field(examples=["worker-1@host"])
    processes: int
    queues: list[str]
    models: list[str] | None = Field(
        description="The models that it takes, of those that your API key may use; null: it takes all there are."
    )
    takes_others: bool = Field(description="Whether `models` leaves some out that your API key may not use.")
    requirements: list[str] = Field(description="Of the versions that are registered those needs that it meets.")
    libraries: dict[str, str] = Field(examples=[{"scikit-learn": "1.9.1"}])
    loaded_versions: list[str] = Field(description="Versions that its processes hold.", examples=[["churn:3"]])
    current_batches: list[CurrentBatch] = Field(description="What it has in hand, the oldest batch first.")
    rows_per_second: float | None
    started_at: Time | None
    heartbeat_at: Time | None


class WorkerList(Shape):
    """The living workers, by name."""

    workers: list[Worker]
