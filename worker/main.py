"""The worker's entry: load the live model, fork the pool, sweep, and serve metrics until told to stop."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import socket
import sys
import warnings
from collections.abc import Sequence

from celery import Celery, signals
from celery.exceptions import SecurityWarning
from redis.exceptions import RedisError
from sqlalchemy import Engine

from shared.config import Settings, load_settings
from shared.database_role import DatabaseRole
from shared.errors import DatabaseUnavailable, NoLiveModel, PredictqError
from shared.logging import configure_logging, get_logger
from shared.messaging.celery_app import Channel, make_celery, on_dropped
from shared.messaging.messages import make_redis
from shared.messaging.own_keys import mend_keys
from shared.messaging.screening import FLOWERS, PING
from shared.postgres.engine import make_engine
from shared.settings.unknown import warn_of_unknown_variables
from shared.status import SCORING_QUEUES, Queue
from shared.told_errors import words_of
from worker import metrics
from worker.celery.consumer import PromptConsumer
from worker.celery.foreign_messages import ForeignMessages
from worker.celery.pool_process import ProcessSlot
from worker.celery.queue_order import QueueOrder
from worker.celery.tasks import register_tasks
from worker.models.loadable import Loadable
from worker.models.model_store import ModelStore
from worker.models.seals import SealGuard
from worker.presence import Presence
from worker.side_process import SideProcess
from worker.upkeep.sweeper import Sweeper

log = get_logger(__name__)

_SOONER = 0.9


def run(
    settings: Settings, *, concurrency: int, queues: Sequence[Queue], name: str, takes: Sequence[str] | None = None
) -> int:
    """Run a worker of `concurrency` pool processes until SIGTERM; returns the exit status.

    `takes` are the names of the models whose work it does; None: of all.

    On SIGTERM no new batch is taken and those in hand are finished. Any number of workers may run on any number
    of machines; `name` must be unique among those of one machine.
    """
    node = f"{name}@{socket.gethostname()}"
    app = make_celery(settings)
    with contextlib.suppress(RedisError), make_redis(settings, fails_at_once=True) as redis:
        mend_keys(redis)
    Channel.allowed_calls = FLOWERS if settings.flower else PING
    engine = make_engine(settings, application_name=node[:63])
    # Before the watchdog ends this process: a version's own process is ended instead.
    call_seconds = _SOONER * settings.batch_timeout_seconds
    models = ModelStore(
        most_bytes=settings.model_memory_bytes, seals=SealGuard.of(settings.seal_keys), seconds=call_seconds
    )
    _preload(models, engine, seconds=settings.batch_timeout_seconds)
    slot = ProcessSlot(settings, models, node=node, takes=takes)
    register_tasks(app, slot)
    redis = make_redis(settings)
    loadable = Loadable(engine, takes)
    presence = Presence(engine, redis, node=node, processes=concurrency, queues=queues, loadable=loadable)
    sweeper = Sweeper(
        engine,
        redis,
        loadable,
        sweep_seconds=settings.sweep_seconds,
        grace_seconds=settings.dispatch_grace_seconds,
        patience_seconds=settings.patience_seconds,
    )
    beside = [
        SideProcess("worker.planning", node, label="planner"),
        SideProcess("worker.errands", node, label="errands"),
    ]
    _connect_signals(slot, engine, [sweeper, presence])
    gc.freeze()  # the model's objects stay out of collections, so their pages stay shared with the pool
    with metrics.serve_metrics(settings.worker_metrics_host, settings.worker_metrics_port) as port:
        log.info("worker starts", node=node, concurrency=concurrency, queues=list(queues), metrics_port=port)
        for process in beside:
            process.start()
        status = _consume(app, node, concurrency, queues)
    for process in beside:
        process.stop()
    sweeper.stop()
    presence.stop()
    return status


def _preload(models: ModelStore, engine: Engine, *, seconds: float) -> None:
    """Load the live model before the fork. Without one, the worker still starts: another may be promoted any time."""
    try:
        version = models.preload_live(engine, seconds=seconds)
        log.info("model loaded" if version is not None else "the live model is loaded when asked for", version=version)
    except NoLiveModel as error:
        log.warning("no model loaded yet", reason=str(error))
    except DatabaseUnavailable:
        raise  # the start says so, and whoever started the worker tries again
    except Exception as error:  # noqa: BLE001 - whatever the live version does: its rows get their stated errors
        log.warning("the live model cannot be loaded", reason=words_of(error))
    # Before the fork: a connection must not have two owners.
    engine.dispose()


def _connect_signals(slot: ProcessSlot, engine: Engine, threads: Sequence[Sweeper | Presence]) -> None:
    """Celery's hooks. It keeps weak references to receivers, so these are asked to be kept."""

    def prepare(**_: object) -> None:
        engine.dispose(close=False)  # the parent's connections are the parent's to close
        slot.prepare()

    def forget(pid: int, **_: object) -> None:
        slot.end()
        metrics.forget_process(pid)

    def ready(**_: object) -> None:
        for thread in threads:
            thread.start()

    signals.worker_process_init.connect(prepare, weak=False)
    signals.worker_process_shutdown.connect(forget, weak=False)
    signals.worker_ready.connect(ready, weak=False)


def _consume(app: Celery, node: str, concurrency: int, queues: Sequence[Queue]) -> int:
    # Celery warns root because messages might hold pickles: ours are JSON, nothing in them is run.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    QueueOrder.processes = concurrency
    on_dropped(ForeignMessages())
    app.conf.broker_transport_options["queue_order_strategy"] = f"{QueueOrder.__module__}:{QueueOrder.__name__}"
    worker = app.Worker(
        hostname=node,
        concurrency=concurrency,
        queues=[queue.value for queue in queues],
        pool="prefork",
        consumer_cls=PromptConsumer,
        optimization="fair",
        quiet=True,  # no banner: the logs are for machines
        without_gossip=True,  # workers need not know of each other: PostgreSQL referees
        without_mingle=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m worker`: read the command line and the environment, and run."""
    parser = argparse.ArgumentParser(prog="python -m worker", description="Score what waits in the queues.")
    parser.add_argument("--concurrency", type=int, default=os.cpu_count() or 1, help="pool processes")
    parser.add_argument("--queues", default="interactive,bulk", help="what to take, the first first")
    parser.add_argument("--models", help="take the work of these models alone, as churn,fraud; default: of all")
    parser.add_argument("--name", default=f"worker-{os.getpid()}", help="unique on this machine")
    options = parser.parse_args(arguments)
    try:
        queues = [Queue(name.strip()) for name in options.queues.split(",")]
    except ValueError:
        queues = []
    if not queues or not set(queues) <= set(SCORING_QUEUES):
        parser.error(f"--queues: choose from {', '.join(SCORING_QUEUES)}")
    if options.concurrency < 1:
        parser.error("--concurrency: at least 1")
    try:
        settings = load_settings().as_role(DatabaseRole.WORKER)
        configure_logging(settings, service="worker")
        warn_of_unknown_variables(os.environ)
        takes = None if options.models is None else [name.strip() for name in options.models.split(",")]
        status = run(settings, concurrency=options.concurrency, queues=queues, name=options.name, takes=takes)
    except PredictqError as error:
        sys.exit(f"worker: {error}")
    sys.exit(status)
