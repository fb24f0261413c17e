"""Which workers can open a file that this one cannot, by the libraries that it names. No code of it runs."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine

from model.requirements import missing_here
from shared.models.requirements import lacking
from shared.postgres.engine import autocommit
from shared.watching.workers import living_workers
from worker.errands.failures import LeftToOthers


def leave_to_able(engine: Engine, content: bytes, code: Mapping[str, str]) -> None:
    """Leave a file to workers that have what it needs, if it lacks here and any of them lives.

    Raises:
        LeftToOthers: one does.

    """
    needs = missing_here(content, code)
    if not needs:
        return
    with autocommit(engine) as connection:
        living = living_workers(connection)
    able = [worker.name for worker in living if not lacking(needs, worker.libraries)]
    if able:
        raise LeftToOthers(able)
