"""Which program of ours works under which role of PostgreSQL. What each role may is a table: sql/rights.sql."""

from __future__ import annotations

from enum import StrEnum


class DatabaseRole(StrEnum):
    """The roles of the services. The fourth one, the owner, is who migrates: no service runs as it."""

    GATEWAY = "gateway"
    WORKER = "worker"
    UPKEEP = "upkeep"

    @property
    def default_name(self) -> str:
        """What it is called in PostgreSQL where its address does not say."""
        return f"predictq_{self.value}"

    @property
    def variable(self) -> str:
        """The environment variable with its address."""
        return f"PREDICTQ_{self.name}_DATABASE_URL"
