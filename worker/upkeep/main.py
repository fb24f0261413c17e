"""The upkeep process: one at work at a time, any number in waiting."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from shared.config import Settings, load_settings
from shared.database_role import DatabaseRole
from shared.errors import DatabaseUnavailable, PredictqError
from shared.logging import configure_logging, get_logger
from shared.postgres.engine import make_engine
from shared.postgres.outages import reason
from shared.postgres.turns import Turn, try_turn
from shared.settings.unknown import warn_of_unknown_variables
from worker.upkeep.duties import long_duties, prompt_duties
from worker.upkeep.duty import database_clock
from worker.upkeep.rounds import Rounds

log = get_logger(__name__)

_ADVICE = "predictq doctor says what is missing; predictq migrate makes tables and rights"
_PAUSE_SECONDS = 1.0  # between two looks at what is due
_WAIT_SECONDS = 2.0  # between two attempts to become the one at work
# What one run may take before somebody should look: to export what goes may take an hour. The others wait meanwhile.
_LONG_SECONDS = 7200.0
_POOL = 6  # the lock's connection, a run's lock, and what the duties of two threads need


def run(settings: Settings, stopped: threading.Event) -> None:
    """Do the duties until `stopped`. A database that is away is waited for."""
    engine = make_engine(settings, application_name=f"upkeep@{socket.gethostname()}"[:63], pool_size=_POOL)
    log.info("upkeep starts")
    try:
        while not stopped.is_set():
            try:
                with try_turn(engine, Turn.UPKEEP) as turn:
                    if turn is not None:
                        _work(settings, engine, turn, stopped)
            except DatabaseUnavailable as error:
                log.warning("upkeep waits", reason=str(error))
            except ProgrammingError as error:  # a table or a right is gone: it may be back without us
                log.warning("upkeep waits", reason=reason(error), advice=_ADVICE)
            stopped.wait(_WAIT_SECONDS)
    finally:
        engine.dispose()


def _work(settings: Settings, engine: Engine, turn: Connection, stopped: threading.Event) -> None:
    log.info("upkeep is at work")
    rounds = Rounds(engine, long_duties(settings), database_clock(engine), patience_seconds=_LONG_SECONDS)
    with _prompt_duties_beside(engine):
        while not stopped.is_set():
            turn.execute(text("SELECT 1"))  # without this connection another process may be at work
            rounds.run_due(stopped.is_set)
            stopped.wait(_PAUSE_SECONDS)


@contextmanager
def _prompt_duties_beside(engine: Engine) -> Iterator[None]:
    """While the block runs, a thread does what is due every second, however long an erasure or a retention takes."""
    rounds = Rounds(engine, prompt_duties(), database_clock(engine))
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(_PAUSE_SECONDS):
            try:
                rounds.run_due(ended.is_set)
            except (PredictqError, ProgrammingError) as error:
                words = str(error) if isinstance(error, PredictqError) else reason(error)
                log.warning("prompt duties wait", reason=words)
            except Exception:
                # A thread that ends silently would end all deadlines: say it, and go on.
                log.exception("prompt duties failed")

    thread = threading.Thread(target=work, name="prompt-duties")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m worker.upkeep`: run until SIGTERM or SIGINT."""
    argparse.ArgumentParser(
        prog="python -m worker.upkeep", description="Make partitions, carry out retention, delete what has expired."
    ).parse_args(arguments)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        settings = load_settings().as_role(DatabaseRole.UPKEEP)
        configure_logging(settings, service="upkeep")
        warn_of_unknown_variables(os.environ)
        run(settings, stopped)
    except PredictqError as error:
        sys.exit(f"upkeep: {error}")
