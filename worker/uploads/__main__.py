"""`python -m worker.uploads`: the rows of one upload for the planner that started this process.

The order stands on standard input. On standard output comes a line of JSON, `{"rows": …}` or `{"code": …, "detail":
…}`, and after the first of these the rows, as `worker.uploads.lines` writes them.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from shared.config import load_settings
from shared.database_role import DatabaseRole
from shared.errors import UploadUnknown
from shared.postgres.engine import autocommit, make_engine
from shared.uploads.refusals import UploadRefused
from shared.uploads.table_order import TableOrder
from worker.side_process import end_with
from worker.temporary_room import NoTemporaryRoom
from worker.uploads.context import upload_context
from worker.uploads.lines import check_rows, table_rows, write_lines


def main() -> None:
    """Answer, and end. Another failure ends the process with a traceback in the planner's log."""
    end_with(os.getppid(), name="upload")
    asked: dict[str, Any] = json.load(sys.stdin)
    order = TableOrder.from_json(asked["order"])
    engine = make_engine(load_settings().as_role(DatabaseRole.WORKER), application_name="predictq-upload", pool_size=1)
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library may print: that must not get between
    with output:
        try:
            with (
                autocommit(engine) as connection,
                upload_context(connection, order, owner=asked["owner"], version_id=asked["version_id"]) as context,
            ):
                connection.close()  # the file is here, and reading it takes its time
                rows = table_rows(context, tells_values=False)
                skip = int(asked["skip"])
                # What is planned already was checked as a whole then: a file does not change.
                count = skip or check_rows(rows, most=int(asked["most"]))
                output.write(json.dumps({"rows": count}).encode() + b"\n")
                output.flush()
                write_lines(rows, output, skip=skip)
        except UploadRefused as refused:
            output.write(json.dumps({"code": "upload_refused", "detail": str(refused)}).encode() + b"\n")
        except NoTemporaryRoom as full:
            output.write(json.dumps({"code": "planning_failed", "detail": str(full)}).encode() + b"\n")
        except UploadUnknown as unknown:
            output.write(json.dumps({"code": "upload_gone", "detail": str(unknown)}).encode() + b"\n")


if __name__ == "__main__":
    main()
