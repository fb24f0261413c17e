"""`predictq retention run --export DIR`: straight on the database, because what is written lies on this machine."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

from cli.connection.database import database
from cli.output.console import remark
from shared.sentences import count_of
from worker.upkeep.duty import database_clock
from worker.upkeep.export import Exporter, run_directory
from worker.upkeep.retention import carry_out

_MOST_NAMED = 10
_POOL = 3  # the lock's connection, the run's, the export's


def export_and_run(parent: Path) -> dict[str, Any]:
    """Write what goes into a directory of its own under `parent`, then let it go. Returns the report.

    Raises RetentionBusy while the upkeep process is at it.
    """
    with database(pool_size=_POOL) as engine:
        clock = database_clock(engine)
        exporter = Exporter(engine, run_directory(parent, clock()))
        report = carry_out(
            engine, clock, actor_kind="command line", actor=getpass.getuser(), before_going=exporter
        ).to_json()
    if exporter.damaged:
        batches = ", ".join(map(str, exporter.damaged[:_MOST_NAMED]))
        remark(f"{count_of(len(exporter.damaged), 'page')} had damaged features, written as null: batches {batches}")
    if exporter.files:
        remark(f"{count_of(len(exporter.files), 'file')} in {exporter.directory}")
    return {**report, "files": [str(path) for path in exporter.files]}
