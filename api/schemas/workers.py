"""The shapes of workers on the wire."""

from __future__ import annotations

from pydantic import Field

from api.schemas.base import Shape, Time


class Worker(Shape):
    """A worker, as it described itself last."""

    name: str = Field(examples=["worker-1@host"])
    processes: int
    queues: list[str]
    models: list[str] | None = Field(description="The models that it takes; null: all.")
    requirements: list[str] = Field(description="Of the versions that are registered those needs that it meets.")
    libraries: dict[str, str] = Field(examples=[{"scikit-learn": "1.9.1"}])
    loaded_versions: list[int] = Field(description="Versions that its processes hold, by their number in the database.")
    current_batches: list[int]
    rows_per_second: float | None
    started_at: Time | None
    heartbeat_at: Time | None


class WorkerList(Shape):
    """The living workers, by name."""

    workers: list[Worker]
