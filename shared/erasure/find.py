"""Where a client's rows are: by the hashes of small pages, by one block of each filter, by the keys where neither is.

Each search is one statement. Sequential scans are off for it: the planner sees few rows, not the megabytes behind them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from shared.erasure.errors import ClientNotFound
from shared.erasure.keys import ClientKey, KeySource
from shared.pages.key_filter import HOLDS_SQL
from shared.pages.key_hash import hash_key, hash_keys

_LAST = 2**63 - 1
_INDEXES_ONLY = "SET LOCAL enable_seqscan = off;"  # in one message with its statement, and so for that alone


class Place(NamedTuple):
    """Where a client stands in a page: row numbers from 0."""

    batch_id: int
    rows: tuple[int, ...]


# Of every page with a filter one block of 64 bytes is read, out of TOAST and without the rest.
_HASHED = text(f"""{_INDEXES_ONLY}
SELECT batch_id FROM predictq.key_hashes
WHERE hash = CAST(:key_hash AS bigint) AND batch_id > :after AND batch_id <= :up_to
UNION
SELECT batch_id FROM predictq.batch_outputs
WHERE key_filter IS NOT NULL AND batch_id > :after AND batch_id <= :up_to AND {HOLDS_SQL}
ORDER BY batch_id
""")


def hashed_pages(connection: Connection, key_hash: int, *, after: int = 0, up_to: int = _LAST) -> list[int]:
    """Answered pages after `after`, up to `up_to`, that may hold the client of this hash; 0.4 % of the others too."""
    values = {"key_hash": key_hash, "after": after, "up_to": up_to}
    return [int(batch_id) for batch_id in connection.execute(_HASHED, values).scalars()]


def key_of_hash(
    connection: Connection,
    source: KeySource,
    key_hash: int,
    secret: bytes,
    *,
    owner: str | None = None,
    models: Collection[str] | None = None,
) -> ClientKey:
    """The client of a source whose key has this hash, out of the newest page that has her. Raises ClientNotFound.

    With `owner` only clients of whom the owner has an answer, of one of `models` where these are given: a hash that
    somebody has seen tells her neither a key nor whether others have asked for it.

    The keys of that page are hashed one by one: 30 ms for one of 10,000 whole numbers, 0.3 s where they are texts.
    """
    keys = hash_keys(secret, source.id)
    values = {"source_id": source.id, "owner": owner, "models": None if models is None else list(models)}
    query = text(_KEYS.format(column=f"keys_{source.storage}"))
    for batch_id in reversed(hashed_pages(connection, key_hash)):
        found = connection.execute(query, {**values, "id": batch_id}).scalar()
        for value in found or ():
            key = value if source.storage == "int8" else str(value)
            if value is not None and hash_key(keys, key) == key_hash:
                return ClientKey(source, key)
    raise ClientNotFound


# A page is of one bulk job, or of single ones of several owners.
_KEYS = """
WITH seen AS (
    SELECT r.job_id, r.job_ids, r.{column} AS keys FROM predictq.batch_requests r
    WHERE r.batch_id = :id AND r.source_id IS NOT DISTINCT FROM CAST(:source_id AS integer)
), allowed AS (
    SELECT j.id FROM predictq.jobs j JOIN predictq.model_versions v ON v.id = j.model_version_id
    WHERE j.id = ANY (SELECT unnest(coalesce(s.job_ids, ARRAY[s.job_id])) FROM seen s)
      AND (CAST(:owner AS text) IS NULL OR j.owner = CAST(:owner AS text))
      AND (CAST(:models AS text[]) IS NULL OR v.model = ANY (CAST(:models AS text[])))
)
SELECT CASE WHEN s.job_id IS NULL
    THEN (SELECT array_agg(s.keys[p.n]) FROM unnest(s.job_ids) WITH ORDINALITY p (id, n) JOIN allowed a ON a.id = p.id)
    ELSE s.keys END
FROM seen s WHERE s.job_id IS NULL OR EXISTS (SELECT FROM allowed a WHERE a.id = s.job_id)
"""
_UNHASHED = f"""{_INDEXES_ONLY}
SELECT r.batch_id FROM (
    SELECT o.batch_id FROM predictq.batch_outputs o
    WHERE o.key_filter IS NULL AND (o.request_count >= 64 OR o."values" IS NULL)
    UNION ALL
    SELECT b.id FROM predictq.prediction_batches b WHERE b.queue <> 'plan'
) p (batch_id) JOIN predictq.batch_requests r ON r.batch_id = p.batch_id
WHERE r.source_id IS NOT DISTINCT FROM CAST(:source_id AS integer) AND p.batch_id > :after AND p.batch_id <= :up_to
    AND array_position(r.{{column}}, CAST(:value AS {{type}})) IS NOT NULL
ORDER BY r.batch_id
"""


def unhashed_pages(connection: Connection, key: ClientKey, *, after: int = 0, up_to: int = _LAST) -> list[int]:
    """Pages with neither hashes nor a filter that hold the client: open batches, and cancelled ones.

    Reads the keys of each, so it takes some 0.3 ms for one of 10,000 rows.
    """
    values = {"source_id": key.source.id, "value": key.value, "after": after, "up_to": up_to}
    query = text(_UNHASHED.format(column=key.column, type=key.sql_type))
    return [int(batch_id) for batch_id in connection.execute(query, values).scalars()]


_ROWS = """
SELECT r.batch_id, array_positions(r.{column}, CAST(:value AS {type})) AS positions
FROM predictq.batch_requests r
WHERE r.batch_id = ANY(CAST(:ids AS bigint[])) AND r.source_id IS NOT DISTINCT FROM CAST(:source_id AS integer)
ORDER BY r.batch_id
"""


def rows_in(connection: Connection, key: ClientKey, batch_ids: Sequence[int]) -> list[Place]:
    """The rows of the client in these pages; pages that do not hold her are left out."""
    if not batch_ids:
        return []
    values = {"source_id": key.source.id, "value": key.value, "ids": list(batch_ids)}
    found = connection.execute(text(_ROWS.format(column=key.column, type=key.sql_type)), values)
    return [Place(batch_id, tuple(n - 1 for n in positions)) for batch_id, positions in found if positions]


def find_client(
    connection: Connection, key: ClientKey, secret: bytes, *, answered_only: bool = False, up_to: int = _LAST
) -> list[Place]:
    """All rows of a client up to the batch `up_to`, by batch.

    With `answered_only` without open and cancelled ones, which is quicker.
    """
    pages = hashed_pages(connection, key.hash(secret), up_to=up_to)
    if not answered_only:
        pages = sorted({*pages, *unhashed_pages(connection, key, up_to=up_to)})
    return rows_in(connection, key, pages)
