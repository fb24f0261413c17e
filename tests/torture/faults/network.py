"""A cut between hosts: the first worker lives in a network of its own, whose one cable is pulled.

Unlike a proxy, nothing acknowledges what is sent: what notices the cut are the kernel's and the clients' time-outs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.torture.faults.base import Fault, Tools
from tests.torture.faults.workers import slow_job
from tests.torture.machinery.netns import Host, obstacle


@contextmanager
def cable_pulled(tools: Tools) -> Iterator[None]:
    """A worker on another host, in the middle of a batch when its cable is pulled for 20 s."""
    cluster = tools.cluster
    with Host() as host:
        worker = cluster.add_worker(host)
        try:
            cluster.wait_ready([worker])
            others = [other for other in cluster.workers if other is not worker]
            for other in others:
                other.stop()  # so that the batch is the remote worker's
            job_id = slow_job(tools)
            tools.holder(job_id)
            host.pull_cable()
            for other in others:
                other.start()
            tools.hold(20)
            yield
            host.plug_cable()
            tools.hold(5)  # what the cut-off worker still tries to commit, it tries now
        finally:  # its host goes, and nobody could start it there again
            worker.close()
            cluster.workers.remove(worker)


FAULTS = [Fault("network cut between hosts 20 s", cable_pulled, mixable=False, obstacle=obstacle)]
