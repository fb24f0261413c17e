"""Faults of the model: rows on which it raises, kills its process, hangs or answers NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.torture import population
from tests.torture.callers import Ask
from tests.torture.faults.base import Fault, Tools


def _poison(client: int) -> Callable[[Tools], AbstractContextManager[None]]:
    @contextmanager
    def run(tools: Tools) -> Iterator[None]:
        neighbours = tools.rng.choices(population.ORDINARY, k=7)
        job_id = tools.submit(Ask("bulk", [*neighbours[:4], client, *neighbours[4:]]))

        def verify() -> None:
            tools.wait_status(job_id, "succeeded", seconds=120)
            query = "SELECT max(attempts) FROM predictq.batch_outputs WHERE job_id = %s"
            attempts = tools.cluster.query(query, [job_id])[0][0]
            tools.notes.append(f"attempts: {attempts}")
            if attempts > 3:
                raise AssertionError(f"{attempts} attempts for a poison row, at most 3 are promised")

        tools.verifications.append(verify)
        yield

    return run


FAULTS = [
    Fault("a row makes the model raise", _poison(population.RAISES)),
    Fault("a row kills the model's process", _poison(population.KILLS)),
    Fault("a row makes the model hang (time-out 4 s)", _poison(population.HANGS), mixable=False),
    Fault("a row makes the model answer NaN", _poison(population.NAN)),
]
