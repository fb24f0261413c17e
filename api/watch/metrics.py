"""What the gateway tells Prometheus. Counting costs a dictionary look-up; the text is made when it is asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.batches.row_accounting import RowAccount
from shared.batches.sweep import Backlog

_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


_AGE_SECONDS = 1.0  # that what was written may have


class State(Protocol):
    """What is read from the running collaborators at each scrape."""

    def backlog(self) -> list[Backlog]:
        """The last sample of what waits."""

    def row_account(self) -> RowAccount | None:
        """What became of all accepted rows, as last read."""

    def open_waiters(self) -> int:
        """Calls that wait for a job now."""

    def open_streams(self) -> int:
        """Streams of events that are open now."""

    def published(self) -> int:
        """Batches published since the start."""

    def publish_failures(self) -> int:
        """Batches left to the sweeper since the start."""

    def is_subscribed(self) -> bool:
        """Whether notices come in."""

    def failures(self) -> Mapping[str, int]:
        """How often each background task has failed and was started again."""

    def open_connections(self) -> int:
        """Connections of callers."""

    def refusals(self) -> Mapping[str, int]:
        """Connections and requests refused at the wire, by reason."""

    def limit_refusals(self) -> Mapping[str, int]:
        """Calls refused because a limit was reached, by the name of its setting."""

    def failed_keys(self) -> int:
        """Calls with a key, session or link that is none."""

    def stalled_seconds(self) -> float:
        """For how long rows have waited while none was answered; 0 while work goes on."""

    def duties(self) -> Iterable[tuple[str, float, bool]]:
        """Of each duty of the upkeep: its name, for how many seconds it has not run, whether it is as it should be."""


class Metrics:
    """The gateway's counters, in a registry of their own."""

    def __init__(self, state: State) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_StateCollector(state))
        self._jobs = Counter("predictq_jobs_accepted", "Jobs accepted.", ["kind"], registry=self.registry)
        self._rows = Counter("predictq_rows_accepted", "Rows accepted.", ["kind"], registry=self.registry)
        self._requests = Histogram(
            "predictq_http_request_seconds",
            "Calls by route and status, with the time until the answer was sent.",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._rendering: asyncio.Future[bytes] | None = None
        self._rendered_at = 0.0
        self._children: dict[tuple[str, str, int], Histogram] = {}
        self._single_jobs = self._jobs.labels("single")
        self._single_rows = self._rows.labels("single")

    def accepted_single(self) -> None:
        """Count a single job."""
        self._single_jobs.inc()
        self._single_rows.inc()

    def accepted_bulk(self, rows: int) -> None:
        """Count a bulk job."""
        self._jobs.labels("bulk").inc()
        self._rows.labels("bulk").inc(rows)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a call."""
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(method, route, str(status))
        child.observe(seconds)

    def render(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)

    async def rendered(self) -> bytes:
        """The same, written in a thread, and at most once a second however many ask."""
        if self._rendering is None or (self._rendering.done() and time.monotonic() > self._rendered_at + _AGE_SECONDS):
            self._rendered_at = time.monotonic()
            self._rendering = asyncio.ensure_future(asyncio.to_thread(self.render))
        return await asyncio.shield(self._rendering)


class _StateCollector(Collector):
    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        state = self._state
        batches = GaugeMetricFamily("predictq_batches", "Batches without an answer.", labels=["queue", "state"])
        rows = GaugeMetricFamily("predictq_waiting_rows", "Rows without an answer.", labels=["queue"])
        oldest = GaugeMetricFamily("predictq_oldest_waiting_seconds", "Age of the oldest one queued.", labels=["queue"])
        for item in state.backlog():
            batches.add_metric([item.queue, "queued"], item.queued_batches)
            batches.add_metric([item.queue, "running"], item.running_batches)
            rows.add_metric([item.queue], item.waiting_rows)
            oldest.add_metric([item.queue], item.oldest_seconds)
        yield from (batches, rows, oldest)
        yield from _row_account(state.row_account())
        yield from _duties(state.duties())
        yield GaugeMetricFamily("predictq_open_waiters", "Calls that wait for a job.", state.open_waiters())
        yield GaugeMetricFamily("predictq_open_streams", "Streams of events that are open.", state.open_streams())
        yield GaugeMetricFamily(
            "predictq_stalled_seconds", "Seconds for which rows wait and none was answered.", state.stalled_seconds()
        )
        yield _counts(
            "predictq_background_failures",
            "Background tasks that failed and were started again.",
            "task",
            state.failures(),
        )
        yield GaugeMetricFamily("predictq_connections", "Open connections of callers.", state.open_connections())
        yield _counts(
            "predictq_wire_refusals", "Connections and requests that were refused or cut.", "reason", state.refusals()
        )
        yield _counts(
            "predictq_limit_refusals",
            "Calls that were refused because a limit was reached.",
            "reason",
            state.limit_refusals(),
        )
        yield CounterMetricFamily(
            "predictq_failed_keys", "Calls with a key, session or link that is none.", state.failed_keys()
        )
        yield GaugeMetricFamily("predictq_notices_subscribed", "1 while notices come in.", int(state.is_subscribed()))
        yield CounterMetricFamily("predictq_published", "Batches published.", state.published())
        yield CounterMetricFamily(
            "predictq_publish_failures", "Batches not published, left to the sweeper.", state.publish_failures()
        )


def _row_account(row_account: RowAccount | None) -> Iterator[Metric]:
    """Gauges of the row accounting; none until it has been read."""
    if row_account is None:
        return
    rows = GaugeMetricFamily("predictq_accounting_rows", "Rows since the beginning, by state.", labels=["state"])
    for state, count in asdict(row_account).items():
        rows.add_metric([state], count)
    yield rows
    yield GaugeMetricFamily(
        "predictq_accounting_imbalance", "Accepted rows that nobody accounts for: 0.", row_account.imbalance
    )


def _duties(duties: Iterable[tuple[str, float, bool]]) -> Iterator[Metric]:
    """Gauges of the upkeep; no samples before it ran for the first time."""
    age = GaugeMetricFamily("predictq_duty_age_seconds", "Since a duty of the upkeep last ran.", labels=["duty"])
    well = GaugeMetricFamily("predictq_duty_ok", "1 while the duty neither fails nor is late.", labels=["duty"])
    for name, seconds, is_well in duties:
        age.add_metric([name], seconds)
        well.add_metric([name], int(is_well))
    yield from (age, well)


def _counts(name: str, words: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    """A counter with one label."""
    family = CounterMetricFamily(name, words, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
