"""Idempotency keys at the gateway: which are in flight here, and which jobs they have led to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from api.access.admission import REFUSALS
from api.server.database_threads import DatabaseThreads
from shared.errors import Erased, IdempotencyKeyInFlight, IdempotencyKeyReused, PredictqError
from shared.jobs.accepting.bulk import BulkJob
from shared.jobs.accepting.singles import Accepted, SingleJob, earlier_job


class Idempotency:
    """Spares PostgreSQL what is known here; that a key makes one job only is PostgreSQL's to guarantee."""

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads
        self._in_flight: set[tuple[str, str]] = set()

    @contextmanager
    def holding(self, owner: str, key: str | None) -> Iterator[None]:
        """Keep a key in flight. Raises IdempotencyKeyInFlight where it is already."""
        if key is None:
            yield
            return
        held = (owner, key)
        if held in self._in_flight:
            raise IdempotencyKeyInFlight
        self._in_flight.add(held)
        try:
            yield
        finally:
            self._in_flight.discard(held)

    async def admit(self, job: SingleJob | BulkJob, check: Callable[[], None]) -> Accepted | None:
        """Let `job` in by `check`, or find the job that it repeats: that was let in before, and takes no more room.

        Looked up only on a refusal, so that it costs nothing where there is room. Raises what `check` does.
        """
        try:
            check()
        except REFUSALS:
            earlier = await self.earlier(job.owner, job.idempotency_key, job.payload_hash)
            if earlier is None:
                raise
            if isinstance(earlier, PredictqError):
                raise earlier from None
            return earlier
        return None

    async def earlier(
        self, owner: str, key: str | None, payload_hash: str | None
    ) -> Accepted | IdempotencyKeyReused | Erased | None:
        """What a key has led to. Raises DatabaseUnavailable."""
        if key is None:
            return None
        return await self._threads.read(lambda connection: earlier_job(connection, owner, key, payload_hash))
