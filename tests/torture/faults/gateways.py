"""Faults of gateways: killed at the three moments that matter, and replies lost on the way back to callers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.torture.faults.base import Fault, Missed, Tools
from tests.torture.machinery.proxy import Trap

ACCEPT = b"EXECUTE predictq_accept_"  # the one statement that accepts single jobs, and commits them
_PUBLISH = b"LPUSH"


@contextmanager
def killed_before_commit(tools: Tools) -> Iterator[None]:
    """SIGKILL when the gateway has sent its accepting statement, which never arrives."""
    gateway = tools.rng.choice(tools.cluster.gateways)
    trap = gateway.postgres.set_trap(ACCEPT, on_reply=False, action=gateway.kill)
    _await(trap)
    yield
    tools.cluster.heal()


@contextmanager
def killed_after_commit(tools: Tools) -> Iterator[None]:
    """SIGKILL when PostgreSQL has committed, and before the gateway hears of it."""
    gateway = tools.rng.choice(tools.cluster.gateways)
    trap = gateway.postgres.set_trap(ACCEPT, on_reply=True, action=gateway.kill)
    _await(trap)
    yield
    tools.cluster.heal()


@contextmanager
def killed_after_publish(tools: Tools) -> Iterator[None]:
    """SIGKILL when Redis has the message, about when the caller has its 202."""
    gateway = tools.rng.choice(tools.cluster.gateways)
    trap = gateway.redis.set_trap(_PUBLISH, on_reply=True, action=gateway.kill)
    _await(trap)
    yield
    tools.cluster.heal()


@contextmanager
def all_killed(tools: Tools) -> Iterator[None]:
    """SIGKILL every gateway at once."""
    for gateway in tools.cluster.gateways:
        gateway.kill()
    tools.hold(2)
    yield
    tools.cluster.heal()


def _await(trap: Trap) -> None:
    if not trap.sprung.wait(30):
        trap.left = 0
        raise Missed("no call came by to spring the trap")


FAULTS = [
    Fault("gateway SIGKILL before its commit", killed_before_commit),
    Fault("gateway SIGKILL after its commit", killed_after_commit),
    Fault("gateway SIGKILL after its publish", killed_after_publish),
    Fault("all gateways SIGKILL", all_killed, cuts_callers=True),
]
