"""`python -m worker.uploads KIND`: fetch the file of an upload, and then become the process that opens it.

The order stands on standard input, as JSON. What comes on standard output is told by `worker.uploads.opener`, which
takes this process over, and has neither its environment nor its connection.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from shared.config import load_settings
from shared.database_role import DatabaseRole
from shared.models.registry import get_version
from shared.postgres.engine import autocommit, make_engine
from shared.sources.references import REFERENCES
from shared.sources.source import get_source
from shared.uploaded_files import write_file
from shared.uploads.table_order import TableOrder
from worker.closed.message import write_message
from worker.closed.process import closed_environment
from worker.errands.failures import describe
from worker.side_process import end_with
from worker.temporary_room import named_when_full
from worker.uploads.context import UploadContext
from worker.uploads.kinds import name_by_kind


def main() -> None:
    """Fetch, and hand over. The temporary directory is the parent's, who removes it."""
    end_with(os.getppid(), name="upload")
    asked: dict[str, Any] = json.load(sys.stdin)
    engine = make_engine(load_settings().as_role(DatabaseRole.WORKER), application_name="predictq-upload", pool_size=1)
    directory = Path(tempfile.gettempdir())
    try:
        with autocommit(engine) as connection:
            context = _fetch(connection, asked, directory)
        engine.dispose()
        _become_opener(sys.argv[1], {**asked, "context": context.to_json()}, directory)
    except Exception as error:  # noqa: BLE001 - told to the process that waits
        json.dump(describe(error), sys.stdout)


def _fetch(connection: Connection, asked: dict[str, Any], directory: Path) -> UploadContext:
    """The file, and what its rows are for. Raises UploadUnknown, NoTemporaryRoom."""
    order = TableOrder.from_json(asked["order"])
    version = get_version(connection, asked["version_id"])
    form = REFERENCES if version.source_id is None else get_source(connection, version.source_id).key_form
    path = directory / "upload"
    with named_when_full(), path.open("xb") as file:
        write_file(connection, order.upload_id, asked["owner"], file)
    return UploadContext(name_by_kind(path), order, version.signature if order.has_features else None, form)


def _become_opener(kind: str, asked: dict[str, Any], directory: Path) -> None:
    with named_when_full(), tempfile.TemporaryFile() as message:
        message.write(write_message(asked, ()))
        message.seek(0)
        os.dup2(message.fileno(), 0)
    command = [sys.executable, "-m", "worker.uploads.opener", kind, str(directory)]
    # The stacks and buffers of a thread for each core would count as memory that the file takes.
    environment = closed_environment() | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    os.execve(sys.executable, command, environment)  # noqa: S606 - ourselves, and no shell


if __name__ == "__main__":
    main()
