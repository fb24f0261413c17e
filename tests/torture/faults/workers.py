"""Faults of workers: killed, frozen, told to go, with a wrong clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psutil

from tests.torture import population
from tests.torture.callers import Ask
from tests.torture.faults.base import Fault, Missed, NotEnded, Tools
from tests.torture.machinery.cluster import Cluster, wait_for
from tests.torture.machinery.services import Service


def slow_job(tools: Tools) -> str:
    """One batch that takes seconds to score."""
    return tools.submit(Ask("bulk", [tools.rng.choice(population.SLOW), *tools.rng.choices(population.ORDINARY, k=50)]))


def worker_of(tools: Tools, pid: int) -> Service:
    """The worker that this pool process belongs to. Raises Missed when it has gone."""
    for worker in tools.cluster.workers:
        if pid in [process.pid for process in worker.processes()]:
            return worker
    raise Missed(f"no worker has the process {pid} any more")


@contextmanager
def pool_child_killed(tools: Tools) -> Iterator[None]:
    """SIGKILL a pool process in the middle of a batch; the worker replaces it."""
    pid, _ = tools.holder(slow_job(tools))
    psutil.Process(pid).kill()
    yield


@contextmanager
def worker_killed(tools: Tools) -> Iterator[None]:
    """SIGKILL a whole worker in the middle of a batch."""
    pid, _ = tools.holder(slow_job(tools))
    worker = worker_of(tools, pid)
    worker.kill()
    yield
    tools.cluster.heal()


@contextmanager
def all_workers_killed(tools: Tools) -> Iterator[None]:
    """SIGKILL every worker, and with them every sweeper."""
    for worker in tools.cluster.workers:
        worker.kill()
    tools.hold(3)
    yield
    tools.cluster.heal()


@contextmanager
def zombie(tools: Tools) -> Iterator[None]:
    """SIGSTOP a pool process for longer than its lease; wake it while another scores the same batch.

    Meanwhile its clients change: answers that name the second claim must be of what was read after that. The watchdog
    has more patience than usual, else it would end the sleeper before it can do any harm.
    """
    with workers_with(tools.cluster, {"PREDICTQ_BATCH_TIMEOUT_SECONDS": "60"}), tools.crowd.paused():
        wait_idle(tools)
        clients = [tools.rng.choice(population.SLOW), *tools.rng.sample(population.ORDINARY, 50)]
        job_id = tools.submit(Ask("bulk", clients))
        pid, fence = tools.holder(job_id)
        process = psutil.Process(pid)
        tools.hold(1)  # until it has read its rows and is inside the model
        with tools.cluster.freezer.frozen([process]):
            _change_before_the_next_claim(tools, job_id, fence, clients)
            try:
                wait_for(lambda: tools.holder(job_id)[1] > fence, 30, "a second claim")
            except TimeoutError as error:
                raise Missed(str(error)) from None
        tools.notes.append("claimed by another while the first slept")
        wait_idle(tools)
    yield


def _change_before_the_next_claim(tools: Tools, job_id: str, fence: int, clients: list[int]) -> None:
    tools.crowd.hand.change(clients, population.income(9_345), over_time=True)
    tools.hold(0.1)  # more than two clocks may differ by
    changed = time.time()
    query = "SELECT id, fence FROM predictq.prediction_batches WHERE job_id = %s"
    batch, now = tools.cluster.query(query, [job_id])[0]
    if now != fence:
        raise Missed("the lease ran out before the clients had changed")
    tools.ledger.write("claim", batch=batch, fence=fence + 1, not_before=changed)


def wait_idle(tools: Tools) -> None:
    """Wait until no work is open."""
    try:
        wait_for(lambda: not tools.cluster.query(_OPEN), 40, "the end of all work")
    except TimeoutError as error:
        raise Missed(str(error)) from None


_OPEN = "SELECT 1 FROM predictq.prediction_batches LIMIT 1"


@contextmanager
def worker_frozen(tools: Tools) -> Iterator[None]:
    """SIGSTOP a whole worker with all its processes for longer than the lease."""
    pid, _ = tools.holder(slow_job(tools))
    worker = worker_of(tools, pid)
    with tools.cluster.freezer.frozen(worker.processes()):
        tools.hold(12)
        yield


@contextmanager
def pop_window(tools: Tools) -> Iterator[None]:
    """Stop the only consumer, publish, kill it: the message may be popped, but nobody has it."""
    for worker in tools.cluster.workers[1:]:
        worker.kill()
    only = tools.cluster.workers[0]
    with tools.cluster.freezer.frozen(only.processes()):
        for _ in range(3):
            tools.submit(Ask("single", [tools.rng.choice(population.ORDINARY)]))
        only.kill()
    yield
    tools.cluster.heal()


@contextmanager
def deploy(tools: Tools) -> Iterator[None]:
    """SIGTERM in the middle of a batch: it is finished, not done again by the worker that comes after."""
    job_id = slow_job(tools)
    pid, fence = tools.holder(job_id)
    worker = worker_of(tools, pid)
    worker.terminate()
    try:
        wait_for(lambda: not worker.is_running, 30, "the end of the worker")
    except TimeoutError as error:
        raise AssertionError(f"SIGTERM did not end the worker: {error}") from None
    rows = tools.cluster.query("SELECT fence FROM predictq.batch_outputs WHERE job_id = %s", [job_id])
    if rows != [(fence,)]:
        raise AssertionError(f"SIGTERM in the middle of a batch: {rows}, expected it finished under fence {fence}")
    tools.notes.append("the batch in hand was finished, none redone")
    yield
    tools.cluster.heal()


@contextmanager
def killed_before_claim(tools: Tools) -> Iterator[None]:
    """No sweeper runs. SIGKILL a pool process that has taken the last message there is, its claim on the way."""
    cluster = tools.cluster
    # The first sweep comes 60 s after the start.
    with workers_with(cluster, {"PREDICTQ_SWEEP_SECONDS": "60"}), tools.crowd.paused():
        wait_idle(tools)
        traps = [w.postgres.set_trap(_CLAIM, on_reply=False, action=_killer(w)) for w in cluster.workers]
        job_id = tools.submit(Ask("single", [tools.rng.choice(population.ORDINARY)]))
        wait_for(lambda: any(trap.sprung.is_set() for trap in traps), 30, "a claim")
        for trap in traps:
            trap.left = 0
        try:
            seconds = wait_for(lambda: not cluster.query(_OPEN), 30, "the end of every batch")
        except TimeoutError:
            raise NotEnded(f"no message for the batch of {job_id} after 30 s") from None
    cluster.wait_ready(cluster.workers)
    tools.notes.append(f"answered by another {seconds:.0f} s after the kill, without any sweep")
    yield


_CLAIM = b"FROM predictq.claim("


def _killer(worker: Service) -> Callable[[], None]:
    return lambda: _kill(worker.pool())


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.kill()


@contextmanager
def workers_with(cluster: Cluster, settings: Mapping[str, str]) -> Iterator[None]:
    """Every worker with other settings for the length of the block."""
    usual = [worker.environment for worker in cluster.workers]
    try:
        for worker in cluster.workers:
            worker.stop()
            worker.environment = {**worker.environment, **settings}
        cluster.heal()
        cluster.wait_ready(cluster.workers)
        yield
    finally:
        for worker, environment in zip(cluster.workers, usual, strict=True):
            worker.stop()
            worker.environment = environment
        cluster.heal()


@contextmanager
def wrong_clock(tools: Tools) -> Iterator[None]:
    """One worker's clock is an hour ahead, the other's an hour behind."""
    for worker, offset in zip(tools.cluster.workers, (3600.0, -3600.0), strict=False):
        worker.kill()
        worker.clock_offset = offset
        worker.start()
    tools.cluster.wait_ready(tools.cluster.workers)
    tools.hold(4)
    yield
    for worker in tools.cluster.workers:
        worker.kill()
        worker.clock_offset = 0.0
    tools.cluster.heal()


FAULTS = [
    Fault("pool process SIGKILL in mid-batch", pool_child_killed),
    Fault("worker SIGKILL in mid-batch", worker_killed),
    Fault("all workers (and sweepers) SIGKILL", all_workers_killed),
    Fault("SIGSTOP past the lease, SIGCONT: a zombie", zombie, mixable=False),
    Fault("whole worker frozen 12 s", worker_frozen),
    Fault("stop the consumer, publish, kill it", pop_window),
    Fault("SIGTERM in mid-batch (deploy)", deploy, mixable=False),
    Fault("workers' clocks an hour off", wrong_clock),
    Fault("pool process SIGKILL before its claim, no sweeper", killed_before_claim, mixable=False),
]
