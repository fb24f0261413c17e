"""One export: the answers of a job are read as the gateway reads them, written as a file, and stored."""

from __future__ import annotations

from functools import partial
from tempfile import TemporaryFile
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from shared.exports import end_export, write_pieces
from shared.jobs.result_pages import require_all_rows
from shared.jobs.results import copy_results, read_shape, readable
from shared.postgres.engine import autocommit, transaction
from worker.exports.result_files import write_rows
from worker.temporary_room import named_when_full


def write_export(engine: Engine, arguments: dict[str, Any]) -> dict[str, Any]:
    """`write_export`: {export_id, job_id, format} to {rows}.

    Raises ExportRefused, ExportGone, NoTemporaryRoom; JobUnknown and ResultsGone where rows of the job went meanwhile.
    """
    export_id, job_id, kind = UUID(arguments["export_id"]), UUID(arguments["job_id"]), str(arguments["format"])
    # Files without a name: nothing stays where this process is killed.
    with named_when_full(), TemporaryFile(prefix="predictq-export-") as target:
        with TemporaryFile(prefix="predictq-export-") as lines:
            key_columns = None
            with autocommit(engine) as connection:
                extent = readable(connection, job_id)
                if extent is not None:
                    copy_results(connection, job_id, end=extent.end, target=lines, as_json=True)
                    key_columns = read_shape(connection, job_id).key_columns
            lines.seek(0)
            rows = write_rows(lines, target, kind, key_columns=key_columns)
        target.seek(0)
        size = write_pieces(engine, export_id, target)
    is_whole = extent is not None and extent.complete
    end = partial(end_export, size=size, rows=rows, is_whole=is_whole)
    with transaction(engine) as connection:
        if is_whole:
            require_all_rows(connection, job_id, rows)
        end(connection, export_id)
    return {"rows": rows}
