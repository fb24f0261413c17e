"""An errand about tables, in a process of its own: what hangs, or ends its process, costs that process alone.

It also keeps the libraries of tables out of the process that does errands. Models are opened in `worker.closed`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Engine

from worker.child_directory import child_directory
from worker.closed.process import end_group
from worker.errands.failures import ErrandRefused, describe

_SECONDS = 170.0  # to load libraries and a file
# What is late, and what ended the process.
_OF_ROWS = ("The rows were not read", "Reading the rows ended the process that read them")
_OF_FILES = ("The file was not opened and read", "The file ended the process that opened it")
_COMMANDS = {
    "write_export": ("worker.errands.apart", "write_export"),
    "read_rows": ("worker.errands.apart", "read_rows"),
    "look_at_upload": ("worker.uploads", "look"),
}


def do_apart(kind: str, *, seconds: float = _SECONDS) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The errand `kind` as a function that starts a process for each call. It raises ErrandRefused."""

    def do(arguments: dict[str, Any]) -> dict[str, Any]:
        late, what = _OF_ROWS if kind == "read_rows" else _OF_FILES
        with child_directory() as environment:
            child = subprocess.Popen(
                [sys.executable, "-m", *_COMMANDS[kind]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
            try:
                output, _ = child.communicate(json.dumps(arguments).encode(), timeout=seconds)
            except subprocess.TimeoutExpired:
                raise ErrandRefused("file_refused", f"{late} within {seconds:g} s.") from None
            finally:
                end_group(child)
        status = child.returncode
        if status != 0 or not output:
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            raise ErrandRefused("file_refused", f"{what} ({how}).")
        answer: dict[str, Any] = json.loads(output)
        if "code" in answer:
            raise ErrandRefused(answer["code"], answer["detail"])
        result: dict[str, Any] = answer["result"]
        return result

    return do


def main() -> None:
    """The process: arguments on standard input, the result or the failure on standard output."""
    from shared.config import load_settings  # noqa: PLC0415 - the parent imports this module, too
    from shared.database_role import DatabaseRole  # noqa: PLC0415
    from shared.postgres.engine import make_engine  # noqa: PLC0415
    from worker.side_process import end_with  # noqa: PLC0415

    end_with(os.getppid(), name="errand")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library may print: that must not get between
    settings = load_settings().as_role(DatabaseRole.WORKER)
    engine = make_engine(settings, application_name="predictq-errand", pool_size=2)
    try:
        answer: dict[str, Any] = {"result": _handler(sys.argv[1], engine)(json.load(sys.stdin))}
    except Exception as error:  # noqa: BLE001 - told to the caller, who waits
        answer = describe(error)
    with answers:
        answers.write(json.dumps(answer).encode())


def _handler(kind: str, engine: Engine) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What does an errand. Each kind loads the libraries that it needs alone."""
    if kind == "write_export":
        from worker.exports.writing import write_export  # noqa: PLC0415

        return partial(write_export, engine)
    from worker.exports.source_rows import write_source_rows  # noqa: PLC0415

    return partial(write_source_rows, engine)


if __name__ == "__main__":
    main()
