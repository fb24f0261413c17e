"""Beside the rules of the state machine: its model of jobs and batches, and short cuts in time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Engine, text

from shared.postgres.engine import transaction


@dataclass
class Batch:
    """What the reference model knows of a batch."""

    requests: list[int]
    status: str = "queued"
    fence: int = 0
    lease_runs: bool = False
    cancelled: set[int] = field(default_factory=set)


@dataclass
class Job:
    """What the reference model knows of a job."""

    kind: str
    batches: list[int]
    requests: list[int]
    cancelled: bool = False


class Crash(Exception):
    """A worker that dies after it wrote its outputs and before its commit."""


def end_lease(engine: Engine, batch_id: int) -> None:
    """Let the lease of a running batch be over."""
    with transaction(engine) as connection:
        connection.execute(
            text("""UPDATE prediction_batches SET lease_until = clock_timestamp() - interval '1 s'
                    WHERE id = :id AND status = 'running'"""),
            {"id": batch_id},
        )


def end_pauses(engine: Engine, batch_ids: Iterable[int]) -> None:
    """Let the pause before the next dispatch be over, for each of these."""
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE prediction_batches SET dispatch_after = created_at WHERE id = ANY(:ids)"),
            {"ids": list(batch_ids)},
        )


def close(engine: Engine, batch_id: int) -> None:
    """End a running batch whose requests are all cancelled."""
    with transaction(engine) as connection:
        connection.execute(
            text("""UPDATE prediction_batches SET status = 'finished', lease_until = NULL, finished_at = now()
                    WHERE id = :id AND status = 'running' AND cancelled = request_count"""),
            {"id": batch_id},
        )
