"""Watching a cluster while it is tortured: the row accounting must always add up, and nothing may grow for ever."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
import psycopg2

from tests.torture.checking.violation import Violation
from tests.torture.machinery.cluster import Cluster
from tests.torture.machinery.services import Service

_ROWS = """
SELECT (SELECT coalesce(sum(request_count), 0) FROM predictq.jobs)
           + (SELECT coalesce(sum(planned_rows), 0) FROM predictq.prediction_batches WHERE queue = 'plan'),
       (SELECT coalesce(sum(request_count), 0) FROM predictq.batch_requests),
       coalesce(sum(o.succeeded), 0), coalesce(sum(o.failed), 0),
       coalesce(sum(o.cancelled), 0) + (
           SELECT coalesce(sum(cardinality(cancelled_rows)), 0) FROM predictq.prediction_batches),
       (SELECT coalesce(sum(request_count - coalesce(cardinality(cancelled_rows), 0)), 0)
        FROM predictq.prediction_batches)
FROM predictq.batch_outputs o
"""


class RowAccountingWatch:
    """Asks every second, in one snapshot, whether accepted = succeeded + failed + cancelled + in flight.

    It asks PostgreSQL, and each gateway for what that makes of it.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="row-accounting-watch", daemon=True)
        self.violations: list[Violation] = []
        self.moments = 0
        self.told = 0  # times that a gateway told its row accounting

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after a last look."""
        self._stop.set()
        self._thread.join(10)
        self._look()

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            with suppress(psycopg2.Error):  # PostgreSQL is away: there is no such moment
                self._look()
            for gateway in self._cluster.gateways:
                with suppress(OSError):  # nor does a gateway tell that is away
                    self._ask(gateway)

    def _look(self) -> None:
        accepted, requests, succeeded, failed, cancelled, open_rows = map(int, self._cluster.query(_ROWS)[0])
        self.moments += 1
        if not accepted == requests == succeeded + failed + cancelled + open_rows:
            account = f"{accepted} accepted, {requests} requests, {succeeded} + {failed} + {cancelled} + {open_rows}"
            self.violations.append(Violation("accepted = succeeded + failed + cancelled + in flight", account))

    def _ask(self, gateway: Service) -> None:
        found = _IMBALANCE.search(gateway.read("metrics"))
        if found is None:
            return  # it has not read them yet
        self.told += 1
        if float(found[1]) != 0:
            words = f"{gateway.name} tells of an imbalance of {found[1]} rows"
            self.violations.append(Violation("accepted = succeeded + failed + cancelled + in flight", words))


_IMBALANCE = re.compile(r"^predictq_accounting_imbalance (\S+)$", re.MULTILINE)


@dataclass
class Use:
    """What the cluster uses at one calm moment."""

    names: dict[int, str] = field(default_factory=dict)
    files: dict[int, int] = field(default_factory=dict)  # by process id, as are the next two
    threads: dict[int, int] = field(default_factory=dict)
    resident: dict[int, float] = field(default_factory=dict)  # MB
    sessions: int = 0  # of PostgreSQL
    redis_megabytes: float = 0.0

    @classmethod
    def of(cls, cluster: Cluster) -> Use:
        """Measure now."""
        use = cls()
        for service in cluster.services():
            for process in service.processes():
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # only root may look at one that has ended
                    use.names[process.pid] = " ".join(process.cmdline()[:6])
                    use.files[process.pid] = process.num_fds()
                    use.threads[process.pid] = process.num_threads()
                    use.resident[process.pid] = process.memory_info().rss / 1e6
        use.sessions = int(cluster.query("SELECT count(*) FROM pg_stat_activity WHERE application_name <> ''")[0][0])
        with cluster.redis_client() as client:
            use.redis_megabytes = client.info("memory")["used_memory"] / 1e6
        return use


def use_at_rest(cluster: Cluster, *, seconds: float = 60.0) -> Use:
    """What the cluster uses once no process still starts: one that imports its libraries grows by itself."""
    use, deadline = Use.of(cluster), time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(1)
        before, use = use, Use.of(cluster)
        if before.resident.keys() == use.resident.keys() and all(
            use.resident[pid] < before.resident[pid] + 3 for pid in use.resident
        ):
            break
    return use


def check_growth(uses: list[Use], kills: int) -> Iterator[Violation]:
    """What grew from the first calm moment to the last. `kills`: each may leave a message marked as taken."""
    if len(uses) < 2:
        return
    first, last = uses[0], uses[-1]
    for pid in first.files.keys() & last.files.keys():
        if last.files[pid] > first.files[pid] + 15:
            yield Violation("nothing grows", f"open files of {pid}: {first.files[pid]} → {last.files[pid]}")
        if last.threads[pid] > first.threads[pid] + 8:
            yield Violation("nothing grows", f"threads of {pid}: {first.threads[pid]} → {last.threads[pid]}")
        if last.resident[pid] > first.resident[pid] * 1.3 + 40:
            yield Violation(
                "nothing grows",
                f"MB of {pid} ({last.names[pid]}): {first.resident[pid]:.0f} → {last.resident[pid]:.0f}",
            )
    if last.sessions > first.sessions + 15:
        yield Violation("nothing grows", f"PostgreSQL sessions: {first.sessions} → {last.sessions}")
    if last.redis_megabytes > first.redis_megabytes + 10:
        yield Violation("nothing grows", f"Redis MB: {first.redis_megabytes:.1f} → {last.redis_megabytes:.1f}")
