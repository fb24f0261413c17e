"""An errand that opens a model, in a process of its own: what hangs, or ends its process, costs that process alone.

It also keeps the libraries of models out of the process that does errands: they are 200 MB.
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

from worker.errands.failures import ErrandRefused, describe

_OF_MODELS = ("register_model", "check_model")
_SECONDS = 170.0  # to load libraries and a file, and to try the model


def do_apart(kind: str, *, seconds: float = _SECONDS) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The errand `kind` as a function that starts a process for each call. It raises ErrandRefused."""
    refused = "model_refused" if kind in _OF_MODELS else "file_refused"

    def do(arguments: dict[str, Any]) -> dict[str, Any]:
        command = [sys.executable, "-m", "worker.errands.apart", kind]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            output, _ = child.communicate(json.dumps(arguments).encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise ErrandRefused(refused, f"The file was not opened and tried within {seconds:g} s.") from None
        if child.returncode != 0 or not output:
            how = f"signal {-child.returncode}" if child.returncode < 0 else f"exit status {child.returncode}"
            raise ErrandRefused(refused, f"The file ended the process that opened it ({how}).")
        answer: dict[str, Any] = json.loads(output)
        if "code" in answer:
            raise ErrandRefused(answer["code"], answer["detail"])
        result: dict[str, Any] = answer["result"]
        return result

    return do


def main() -> None:
    """The process: arguments on standard input, the result or the failure on standard output."""
    from shared.config import load_settings  # noqa: PLC0415 - the parent imports this module, too
    from shared.postgres.engine import make_engine  # noqa: PLC0415
    from worker.side_process import end_with  # noqa: PLC0415

    end_with(os.getppid(), name="errand")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a model may print: that must not get between
    engine = make_engine(load_settings(), application_name="predictq-errand", pool_size=2)
    try:
        answer: dict[str, Any] = {"result": _handler(sys.argv[1], engine)(json.load(sys.stdin))}
    except Exception as error:  # noqa: BLE001 - told to the caller, who waits
        answer = describe(error)
    with answers:
        answers.write(json.dumps(answer).encode())


def _handler(kind: str, engine: Engine) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What does an errand. Each kind loads the libraries that it needs alone: scikit-learn takes two seconds."""
    if kind in _OF_MODELS:
        from worker.errands.models import ModelErrands  # noqa: PLC0415

        errands = ModelErrands(engine)
        return errands.register if kind == "register_model" else errands.check
    if kind == "write_export":
        from worker.exports.writing import write_export  # noqa: PLC0415

        return partial(write_export, engine)
    from worker.errands.tables import TableErrands  # noqa: PLC0415

    return TableErrands(engine).look


if __name__ == "__main__":
    main()
