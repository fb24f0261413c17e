"""Beside the rules of the state machine: its model of jobs, batches and turns, and short cuts in time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Engine, text

from shared.batches.claims import Answers, claim, finish
from shared.postgres.engine import transaction
from shared.status import SCORING_QUEUES, Queue
from tests.integration.jobs.jobs_support import page_of

Request = tuple[int, int]  # batch and row


@dataclass
class Batch:
    """What the reference model knows of a batch."""

    queue: Queue
    owner: str
    version: int
    rows: int
    status: str = "queued"
    fence: int = 0
    lease_runs: bool = False
    cancelled: set[int] = field(default_factory=set)

    @property
    def is_open(self) -> bool:
        return self.status in ("queued", "running")

    @property
    def is_expired(self) -> bool:
        return self.status == "running" and not self.lease_runs

    def is_held_by(self, fence: int) -> bool:
        """Whether a claim with this fence still counts."""
        return self.status == "running" and self.fence == fence


@dataclass
class Job:
    """What the reference model knows of a job."""

    kind: str
    owner: str
    batches: list[int]
    requests: list[Request]
    cancelled: bool = False


class Turns:
    """Who comes next: the owner, then the model version of hers, that was served longest ago."""

    def __init__(self) -> None:
        self._served: dict[object, int] = {}
        self._number = 0

    def next_of(self, waiting: dict[int, Batch]) -> list[int]:
        """The batch to claim next among the queued ones of a queue, by id; empty when there is none."""
        if not waiting:
            return []
        owner, version = min({(batch.owner, batch.version) for batch in waiting.values()}, key=self._order)
        self._number += 1
        self._served |= dict.fromkeys([owner, (owner, version)], self._number)
        return [min(number for number, batch in waiting.items() if (batch.owner, batch.version) == (owner, version))]

    def _order(self, who: tuple[str, int]) -> tuple[int, int, str, int]:
        return self._served.get(who[0], -1), self._served.get(who, -1), *who


def refused_page(page: Answers) -> Answers:
    """The same with an answer too many, which PostgreSQL refuses."""
    return Answers(values=page.values.replace("{", "{0.5,"), threshold=page.threshold)


def end_leases(engine: Engine, batch_ids: Iterable[int]) -> None:
    """Let the leases of running batches be over."""
    with transaction(engine) as connection:
        connection.execute(
            text("""UPDATE predictq.prediction_batches SET lease_until = clock_timestamp() - interval '1 s'
                    WHERE id = ANY(:ids) AND status = 'running'"""),
            {"ids": list(batch_ids)},
        )


def pause(engine: Engine, queue: Queue, *, is_paused: bool) -> None:
    """Hold a queue back, or let it go on."""
    statement = (
        "INSERT INTO predictq.pauses (queue, actor) VALUES (:queue, 'me')"
        if is_paused
        else "DELETE FROM predictq.pauses WHERE queue = :queue"
    )
    with transaction(engine) as connection:
        connection.execute(text(statement), {"queue": queue.value})


def answer_all(engine: Engine, batch_ids: Iterable[int]) -> None:
    """End whatever is open, so that the next example begins with nothing."""
    end_leases(engine, batch_ids)
    for queue in SCORING_QUEUES:
        while held := claim(engine, queue, worker="w", lease_seconds=600):
            finish(engine, [(one, page_of(one)) for one in held])
