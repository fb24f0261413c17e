"""Full disks: PostgreSQL or Redis on a small memory file system of its own, filled up and freed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.torture.faults.base import Fault, Tools

_PIECE = b"\0" * (1 << 20)


def _filled(place: Callable[[Tools], Path | None]) -> Callable[[Tools], AbstractContextManager[None]]:
    @contextmanager
    def run(tools: Tools) -> Iterator[None]:
        directory = place(tools)
        if directory is None:
            raise RuntimeError("this cluster has no small disk")
        ballast = directory / "ballast"
        with ballast.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(_PIECE)
                except OSError:
                    break
        tools.hold(6)
        yield
        ballast.unlink()
        tools.cluster.heal()  # a server that ended for want of space comes back, as under a supervisor

    return run


FAULTS = [
    Fault("PostgreSQL's disk full 6 s", _filled(lambda tools: tools.cluster.plan.postgres_disk), mixable=False),
    Fault("Redis's disk full 6 s", _filled(lambda tools: tools.cluster.plan.redis_disk), mixable=False),
]
