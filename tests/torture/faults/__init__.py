"""Every fault, by name."""

from tests.torture.faults import deploys, gateways, links, poison, postgres, redis, workers
from tests.torture.faults.base import Fault, Tools

_MODULES = (workers, gateways, redis, postgres, links, deploys, poison)
ALL: dict[str, Fault] = {fault.name: fault for module in _MODULES for fault in module.FAULTS}

__all__ = ["ALL", "Fault", "Tools"]
