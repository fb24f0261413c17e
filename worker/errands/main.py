"""The entry of the errands: connections, signals, and the loop."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence

from sqlalchemy import Engine

from shared.config import load_settings
from shared.database_role import DatabaseRole
from shared.errors import PredictqError
from shared.logging import configure_logging, get_logger
from shared.postgres.engine import make_engine
from worker.errands.kinds import Handlers, make_handlers, make_slow_handlers
from worker.errands.runner import ErrandRunner
from worker.models.loadable import Loadable
from worker.models.seals import SealGuard
from worker.side_process import end_with

log = get_logger(__name__)


def _run(engine: Engine, handlers: Handlers, worker: str, stopped: threading.Event) -> None:
    """Do what callers wait for, and beside it what takes its time: nobody shall wait for somebody's million rows."""
    slow = ErrandRunner(engine, make_slow_handlers(), worker=worker, stopped=stopped)

    def run_slow() -> None:
        try:
            slow.run()
        finally:  # whatever ended it ends the process, which is started anew
            stopped.set()

    beside = threading.Thread(target=run_slow, name="slow-errands")
    beside.start()
    try:
        ErrandRunner(engine, handlers, worker=worker, stopped=stopped, loadable=Loadable(engine)).run()
    finally:
        stopped.set()
        beside.join()


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m worker.errands`: read the command line and the environment, and run until SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.errands", description="Open sources and models for callers who wait."
    )
    parser.add_argument("--name", default=f"errands-{os.getpid()}", help="unique on this machine")
    parser.add_argument("--parent", type=int, help="end with this process, which started this one")
    options = parser.parse_args(arguments)
    if options.parent is not None:
        end_with(options.parent, name="errands")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        settings = load_settings().as_role(DatabaseRole.WORKER)
        configure_logging(settings, service="errands")
        engine = make_engine(settings, application_name=options.name[:63], pool_size=6)
        log.info("errands start", node=options.name)
        handlers = make_handlers(engine, SealGuard.of(settings.seal_keys))
        _run(engine, handlers, f"{options.name}/{os.getpid()}", stopped)
    except PredictqError as error:
        sys.exit(f"errands: {error}")
