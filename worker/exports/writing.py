"""One export: the answers of a job are read as the gateway reads them, written as a file, and stored."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from shared.exports import end_export, write_pieces
from shared.jobs.results import copy_results, readable
from shared.postgres.engine import autocommit, transaction
from worker.exports.result_files import write_rows


def write_export(engine: Engine, arguments: dict[str, Any]) -> dict[str, Any]:
    """`write_export`: {export_id, job_id, format} to {rows}. Raises ExportRefused, ExportGone."""
    export_id, job_id, kind = UUID(arguments["export_id"]), UUID(arguments["job_id"]), str(arguments["format"])
    with TemporaryDirectory(prefix="predictq-export-") as directory:
        lines, target = Path(directory) / "rows", Path(directory) / "file"
        with autocommit(engine) as connection, lines.open("wb") as file:
            extent = readable(connection, job_id)
            if extent is not None:
                copy_results(connection, job_id, end=extent.end, target=file, as_json=True)
        with lines.open("rb") as file:
            rows = write_rows(file, target, kind)
        lines.unlink()
        with target.open("rb") as file:
            size = write_pieces(engine, export_id, file)
    end = partial(end_export, size=size, rows=rows, is_whole=extent is not None and extent.complete)
    with transaction(engine) as connection:
        end(connection, export_id)
    return {"rows": rows}
