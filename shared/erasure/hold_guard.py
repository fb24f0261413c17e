"""A hold stops an erasure that is under way: it is asked for in each transaction that takes something of the client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import Connection, Engine

from shared.erasure.keys import ClientKey
from shared.erasure.records import refuse_held
from shared.postgres.engine import transaction
from shared.retention.rules.holds import no_hold_can_come, standing_holds


class HoldGuard:
    """Gives the transactions of one erasure, as long as nothing of its client is held."""

    def __init__(self, engine: Engine, erasure_id: UUID, key: ClientKey) -> None:
        self.engine = engine  # for what only reads
        self.erasure_id = erasure_id
        self.key = key
        self._harmless: frozenset[int] = frozenset()  # holds that stand and are on others

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction in which something of her goes. Whoever adds a hold meanwhile waits for its commit.

        Raises ClientHeld where a hold was added before.
        """
        with transaction(self.engine) as connection:  # to look for her may take long, so first without the lock
            self._refuse_held(connection)
        with transaction(self.engine) as connection:
            no_hold_can_come(connection)
            self._refuse_held(connection)
            yield connection

    def _refuse_held(self, connection: Connection) -> None:
        standing = standing_holds(connection)
        if not standing <= self._harmless:
            refuse_held(connection, self.key, erasure_id=self.erasure_id)
            self._harmless |= standing
