"""`python -m worker.uploads.opener KIND DIRECTORY`: closed in, open the file of an upload that lies in a directory.

Libraries that read tables have run code out of files before. This process has no network, no secrets, and nothing to
read but its libraries and that file. `look` prints `{"result": …}`, what `worker.uploads.look` tells. `rows` prints a
line `{"rows": …}` and then the rows, as `worker.uploads.lines` writes them. Both print `{"code": …, "detail": …}` in
place of it where the file is refused, also for the memory that it takes: ten kilobytes of Parquet can hold gigabytes.
"""

from __future__ import annotations

import json
import mimetypes
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import IO, Any

from worker.closed.__main__ import close_in
from worker.closed.message import read_message

MOST_MEMORY_BYTES = 768 * 2**20  # of this process, in all; its libraries take 130 MB
_TOO_MUCH = f"the file takes more than {MOST_MEMORY_BYTES >> 20} MB of memory to read: cut it, or save it as CSV"


def main() -> None:
    """Answer, and end."""
    close_in(Path(sys.argv[2]), *map(Path, mimetypes.knownfiles))  # which openpyxl reads when it is loaded
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library may print: that must not get between
    try:
        with output:
            _answer(sys.argv[1], output)
    except Exception as error:  # noqa: BLE001 - without its text, which may have a value of the file, to the log
        frames = "".join(traceback.format_tb(error.__traceback__))
        sys.exit(f"{frames}{type(error).__name__}")


def _answer(kind: str, output: IO[bytes]) -> None:
    # The libraries of tables, now that this process is closed in.
    from shared.uploads.refusals import UploadRefused  # noqa: PLC0415
    from worker.uploads.context import UploadContext  # noqa: PLC0415
    from worker.uploads.lines import check_rows, table_rows, write_lines  # noqa: PLC0415
    from worker.uploads.look import look  # noqa: PLC0415

    asked: dict[str, Any] = read_message(sys.stdin.buffer)[0]
    context = UploadContext.from_json(asked["context"])
    if kind == "look":
        try:
            answer: dict[str, Any] = {"result": look(context)}
        except MemoryError:
            answer = {"code": "file_refused", "detail": _TOO_MUCH}
        output.write(json.dumps(answer).encode())
        return
    skip = int(asked["skip"])
    try:
        rows = table_rows(context, tells_values=False)
        # What is planned already was checked as a whole then: a file does not change.
        count = skip or check_rows(rows, most=int(asked["most"]))
    except (UploadRefused, MemoryError) as refused:
        detail = str(refused) if isinstance(refused, UploadRefused) else _TOO_MUCH
        output.write(json.dumps({"code": "upload_refused", "detail": detail}).encode() + b"\n")
        return
    output.write(json.dumps({"rows": count}).encode() + b"\n")
    output.flush()
    write_lines(rows, output, skip=skip)


if __name__ == "__main__":
    main()
