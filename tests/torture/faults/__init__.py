"""Every fault, by name."""

from tests.torture.faults import (
    deploys,
    disks,
    gateways,
    links,
    meetings,
    network,
    planning,
    poison,
    postgres,
    redis,
    repeats,
    upkeep,
    volume,
    workers,
)
from tests.torture.faults.base import Fault, Tools

_MODULES = (workers, gateways, redis, postgres, links, network, deploys, poison, meetings, planning, upkeep, repeats)
ALL: dict[str, Fault] = {fault.name: fault for module in _MODULES for fault in module.FAULTS}

# These need a cluster of their own: small disks, a million clients' worth of rows.
APART: dict[str, Fault] = {fault.name: fault for module in (disks, volume) for fault in module.FAULTS}

__all__ = ["ALL", "APART", "Fault", "Tools"]
