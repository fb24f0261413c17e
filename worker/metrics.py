"""What a worker tells Prometheus. The pool's processes share these through files; see worker.environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess, start_http_server

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)

SCORED_ROWS = Counter("predictq_worker_scored_rows", "Rows that got a probability.", ["queue"])
ROW_ERRORS = Counter("predictq_worker_row_errors", "Rows that got a stated error.", ["code"])
BATCHES = Counter("predictq_worker_batches", "Messages taken from the queue, by what became of them.", ["outcome"])
BATCH_ROWS = Histogram(
    "predictq_worker_batch_rows", "Rows per finished batch.", buckets=(1, 2, 5, 10, 50, 100, 500, 1000, 5000, 10_000)
)
CLAIM_TO_FINISH = Histogram("predictq_worker_claim_to_finish_seconds", "Claim to commit.", ["queue"], buckets=_SECONDS)
WAITED = Histogram("predictq_worker_wait_seconds", "Acceptance to claim.", ["queue"], buckets=_SECONDS)
LOADED_VERSION = Gauge(
    "predictq_worker_model_version", "Model version that last scored a batch.", multiprocess_mode="mostrecent"
)
LOADED_VERSIONS = Gauge(
    "predictq_worker_loaded_versions",
    "Processes that hold a model version, by its number in the database.",
    ["version"],
    multiprocess_mode="livesum",
)
MODEL_LOADS = Counter("predictq_worker_model_loads", "Versions opened, by all processes of the worker together.")
REDISPATCHES = Counter("predictq_worker_sweeper_redispatches", "Messages put back by the sweeper.", ["queue"])
DEAD_LETTERS = Counter("predictq_worker_dead_letters", "Rows given up after the attempt cap, with a stated error.")
FOREIGN_MESSAGES = Counter(
    "predictq_worker_foreign_messages", "Messages in Redis that are not ours, dropped unread.", ["place"]
)
QUEUED = Gauge(
    "predictq_worker_queue_messages",
    "Messages in the broker, as the sweeper saw last.",
    ["queue"],
    multiprocess_mode="mostrecent",
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What all processes of this worker have counted together."""

    rows: float  # answered since the start, errors among them
    loaded_versions: list[int]


def read_figures() -> Figures:
    """The sums over the pool's processes, read off the files that they share."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    rows, loaded = 0.0, []
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name in ("predictq_worker_scored_rows_total", "predictq_worker_row_errors_total"):
                rows += sample.value
            elif sample.name == "predictq_worker_loaded_versions" and sample.value > 0:
                loaded.append(int(sample.labels["version"]))
    return Figures(rows, sorted(loaded))


@contextmanager
def serve_metrics(host: str, port: int) -> Iterator[int]:
    """Serve /metrics for all processes of this worker on `host`:`port` (0: any free one); yields the port."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    server, thread = start_http_server(port, addr=host, registry=registry)
    try:
        yield _port_of(server)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _port_of(server: WSGIServer) -> int:
    return int(server.server_address[1])


def forget_process(pid: int) -> None:
    """A pool process has ended: its live gauges must not be shown any more."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
