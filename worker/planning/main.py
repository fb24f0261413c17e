"""The planner's entry: connections, signals, and the loop."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from shared.config import Settings, load_settings
from shared.database_role import DatabaseRole
from shared.errors import PredictqError
from shared.logging import configure_logging, get_logger
from shared.messaging.messages import make_redis
from shared.postgres.engine import make_engine
from worker.planning.doorbell import Doorbell
from worker.planning.in_hand import PlansInHand
from worker.planning.key_reader import make_opener
from worker.planning.plan_run import Tools
from worker.planning.planner import Planner
from worker.side_process import end_with

log = get_logger(__name__)

_LANES = 3  # plans at once: a slow source or a large file delays the plans of its owner, and not everybody's


def run(settings: Settings, *, name: str) -> None:
    """Plan until SIGTERM. `name` must be unique among those of one machine."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    tools = Tools(
        engine=make_engine(settings, application_name=name[:63], pool_size=_LANES + 1),
        open_source=make_opener(settings, name, pool_size=_LANES),
        doorbell=Doorbell(make_redis(settings, fails_at_once=True), stopped),
        settings=settings,
        stopped=stopped,
        worker=f"{name}/{os.getpid()}",
    )
    log.info("planner starts", node=name)
    _run_lanes(tools)


def _run_lanes(tools: Tools) -> None:
    """Plan in all lanes. Raises what ended one of them: the others then give back what they have in hand."""
    in_hand = PlansInHand()
    with ThreadPoolExecutor(_LANES, thread_name_prefix="lane") as pool:
        lanes = [pool.submit(Planner(tools, in_hand).run) for _ in range(_LANES)]
        wait(lanes, return_when=FIRST_COMPLETED)
        tools.stopped.set()
    for lane in lanes:
        lane.result()


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m worker.planning`: read the command line and the environment, and run."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.planning", description="Find the rows of jobs by filter, and write them as batches."
    )
    parser.add_argument("--name", default=f"planner-{os.getpid()}", help="unique on this machine")
    parser.add_argument("--parent", type=int, help="end with this process, which started the planner")
    options = parser.parse_args(arguments)
    if options.parent is not None:
        end_with(options.parent, name="planner")
    try:
        settings = load_settings().as_role(DatabaseRole.WORKER)
        configure_logging(settings, service="planner")
        run(settings, name=options.name)
    except PredictqError as error:
        sys.exit(f"planner: {error}")
