"""Shapes of what is told about the gateway's health."""

from __future__ import annotations

from typing import Literal

from api.schemas.base import Shape


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


class BackgroundHealth(Shape):
    """Something that runs beside the calls. `failures` are since the start; each was followed by a new start."""

    well: bool
    failures: int


class Health(Readiness):
    """The same in detail, without names of models, sources and owners: no key is needed to read this."""

    redis: Literal["ok", "away", "full", "refuses", "read_only"]
    queues: dict[str, QueueHealth]
    open_waiters: int
    background: dict[str, BackgroundHealth]


class Liveness(Shape):
    """The process answers."""

    status: Literal["ok"]
