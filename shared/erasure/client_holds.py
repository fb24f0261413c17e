"""Holds on a client. One that names no source stands for her in all: its key is as somebody wrote it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from shared.erasure.errors import ClientHeld, ClientKeyRefused
from shared.erasure.find import find_client
from shared.erasure.keys import NO_SOURCE, ClientKey, KeySource, client_key, list_key_sources, read_source, stored_key
from shared.installation import read_installation
from shared.retention.rules.holds import no_hold_can_come, standing_holds
from shared.retention.statements import insist, upkeep_transaction

T = TypeVar("T")


def holds_on(connection: Connection, key: ClientKey) -> list[Any]:
    """The open holds on this client, oldest first: id, reason, actor, created_at."""
    rows = connection.execute(_HOLDS, {"source_id": key.source.id}).all()
    return [
        row for row in rows if (row.client_key if row.source_id else _canonical(key.source, row.client_key)) == key.text
    ]


def spellings(connection: Connection, written: str) -> set[str]:
    """How the pages of any source may have the key that somebody wrote for all sources."""
    return {written, *(_canonical(source, written) for source in _all_sources(connection))}


def count_held_answers(connection: Connection, written: str, source: str | None) -> int:
    """The stored answers of a client: of one source by her canonical key, or of all where none is named."""
    secret = read_installation(connection).hash_secret
    if source is not None:
        keys = [stored_key(read_source(connection, source), written)]
    else:
        keys = [key for key in map(partial(_own_key, written=written), _all_sources(connection)) if key is not None]
    places = (place for key in keys for place in find_client(connection, key, secret, answered_only=True))
    return sum(len(place.rows) for place in places)


def _all_sources(connection: Connection) -> list[KeySource]:
    return [*list_key_sources(connection), NO_SOURCE]


def _own_key(source: KeySource, written: str) -> ClientKey | None:
    """The key as this source has it; None where it cannot have such a key."""
    try:
        return client_key(source, written)
    except ClientKeyRefused:
        return None


def _canonical(source: KeySource, written: str) -> str:
    """The key as the source's pages have it; as it is written where the source cannot have such a key."""
    key = _own_key(source, written)
    return written if key is None else key.text


_HOLDS = text("""
SELECT id, reason, actor, created_at, source_id, client_key FROM predictq.holds
WHERE released_at IS NULL AND client_key IS NOT NULL AND (source_id IS NULL OR source_id = :source_id) ORDER BY id
""")


def refuse_held(connection: Connection, key: ClientKey, *, erasure_id: UUID | None = None) -> None:
    """Raise ClientHeld where a hold stands on the client, on a job of hers or on a model that has answered for her.

    Of an erasure that is under way, jobs that it has been through are hers, too, though they no longer have her key.
    """
    held = holds_on(connection, key)
    if held:
        raise ClientHeld(held[0].id, "client")
    if connection.execute(_OTHER_HOLDS).first() is None:
        return
    places = find_client(connection, key, read_installation(connection).hash_secret)
    values = {
        "batch_ids": [place.batch_id for place in places for _ in place.rows],
        "rows": [row for place in places for row in place.rows],
    }
    row = connection.execute(_HELD_PAGE, values).first()
    if row is None and erasure_id is not None:
        row = connection.execute(_HELD_JOB, {"id": str(erasure_id)}).first()
    if row is not None:
        raise ClientHeld(row.id, row.kind)


_OTHER_HOLDS = text("SELECT FROM predictq.holds WHERE released_at IS NULL AND client_key IS NULL LIMIT 1")
_HELD = """
SELECT h.id, CASE WHEN h.model IS NULL THEN 'job' ELSE 'model' END AS kind
FROM {her_jobs} JOIN predictq.model_versions v ON v.id = j.model_version_id
JOIN predictq.holds h ON h.released_at IS NULL AND (h.job_id = j.id OR h.model = v.model)
ORDER BY h.id LIMIT 1
"""
_HELD_PAGE = text(
    _HELD.format(
        her_jobs="""unnest(CAST(:batch_ids AS bigint[]), CAST(:rows AS integer[])) AS p (batch_id, row)
JOIN predictq.batch_requests r ON r.batch_id = p.batch_id
JOIN predictq.jobs j ON j.id = coalesce(r.job_id, r.job_ids[p.row + 1])"""
    )
)
_HELD_JOB = text(
    _HELD.format(
        her_jobs="(SELECT job_id FROM predictq.erasure_jobs WHERE erasure_id = CAST(:id AS uuid)) e "
        "JOIN predictq.jobs j ON j.id = e.job_id"
    )
)


class HoldGuard:
    """Gives the transactions of one erasure, as long as nothing of its client is held: a hold stops it between two."""

    def __init__(self, engine: Engine, erasure_id: UUID, key: ClientKey) -> None:
        self.engine = engine  # for what only reads
        self.erasure_id = erasure_id
        self.key = key
        self._harmless: frozenset[int] = frozenset()  # holds that stand and are on others

    def do(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in a transaction of `transaction`, again and again while a lock is not to be had.

        Raises ClientHeld, and DatabaseBlocked where somebody keeps the lock for long.
        """

        def attempt() -> T:
            with self.transaction() as connection:
                return work(connection)

        return insist(attempt)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction in which something of her goes. Whoever adds a hold meanwhile waits for its commit.

        It waits briefly for each lock: behind one that it waits for, new holds would wait, too. Raises ClientHeld where
        a hold was added before, and DatabaseBlocked.
        """
        with upkeep_transaction(self.engine) as connection:  # to look for her may take long, so first without the lock
            self._refuse_held(connection)
        with upkeep_transaction(self.engine) as connection:
            no_hold_can_come(connection)
            self._refuse_held(connection)
            yield connection

    def _refuse_held(self, connection: Connection) -> None:
        standing = standing_holds(connection)
        if not standing <= self._harmless:
            refuse_held(connection, self.key, erasure_id=self.erasure_id)
            self._harmless |= standing
