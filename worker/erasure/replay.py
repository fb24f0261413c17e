"""A replay: after a restore, who was erased before is found again by the hashes that are kept outside the database.

A hash leads to no page, so the keys of all pages are gone through. Whoever is found becomes an erasure like any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from uuid import UUID

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from uuid_utils.compat import uuid7

from shared.erasure.errors import ErasureBlocked, ErasureInterrupted, NoHashSecret, OtherHashSecret
from shared.erasure.kept_hashes import HashSecret, KeptHashes
from shared.errors import DatabaseBlocked
from shared.retention.statements import insist, upkeep_transaction

_PAGES = 20  # gone through in one transaction

Wanted = Mapping[str, frozenset[str]]  # hashes by source


def replay(engine: Engine, kept: KeptHashes | None, replay_id: UUID) -> bool:
    """Go through all keys, from where an earlier call stopped. True at its end.

    Without the secret that made the hashes the replay fails, and says so. Raises ErasureError, DatabaseUnavailable.
    """
    try:
        while insist(partial(_go_through_pages, engine, kept, replay_id)):
            pass
    except (NoHashSecret, OtherHashSecret) as error:
        with upkeep_transaction(engine) as connection:
            connection.execute(_END, {"id": str(replay_id), "status": "failed", "error": str(error)})
    except DatabaseBlocked:
        raise ErasureBlocked(replay_id) from None
    except SQLAlchemyError as error:
        raise ErasureInterrupted(replay_id, error) from None
    return True


def _go_through_pages(engine: Engine, kept: KeptHashes | None, replay_id: UUID) -> bool:
    """The next pages, in one transaction; False once there are none."""
    if kept is None:
        raise NoHashSecret
    secret = kept.secret()  # anew each time: somebody may have put another one in its place
    with upkeep_transaction(engine) as connection:
        row = connection.execute(_READ, {"id": str(replay_id)}).one_or_none()
        if row is None:
            return False
        wanted = _by_source(row.wanted, secret.fingerprint)
        pages = connection.execute(_KEYS, {"after": row.position, "limit": _PAGES}).all()
        found = {(page.source, key) for page in pages for key in _found(secret, wanted, page.source, page.keys)}
        added = 0  # who came up on earlier pages, too, waits for her erasure already
        for source, key in sorted(found):
            values = {"id": str(uuid7()), "replay_id": str(replay_id), "source": source, "key": key}
            added += connection.execute(_ADD_PERSON, values).rowcount
        last = pages[-1].batch_id if pages else row.position
        connection.execute(_ADVANCE, {"id": str(replay_id), "position": last, "pages": len(pages), "found": added})
        if not pages:
            connection.execute(_END, {"id": str(replay_id), "status": "done", "error": None})
        return bool(pages)


def _by_source(wanted: Iterable[str], fingerprint: str) -> Wanted:
    """Raises OtherHashSecret where a line says that another secret made it."""
    by_source: dict[str, set[str]] = defaultdict(set)
    for line in wanted:
        hashed, _, source = line.partition(" ")
        digest, _, made_with = hashed.partition(":")
        if made_with and made_with != fingerprint:
            raise OtherHashSecret(made_with, fingerprint)
        by_source[source].add(digest)
    return {source: frozenset(digests) for source, digests in by_source.items()}


def _found(secret: HashSecret, wanted: Wanted, source: str, keys: Iterable[str | None]) -> set[str]:
    """The keys whose hash is wanted."""
    digests = wanted.get(source)
    if not digests:
        return set()
    return {key for key in set(keys) if key is not None and secret.hash_of(source, key) in digests}


_READ = text("""
SELECT wanted, position FROM predictq.erasures
WHERE id = :id AND kind = 'replay' AND status IN ('queued', 'running') FOR UPDATE
""")
_KEYS = text("""
SELECT r.batch_id, coalesce(s.name, '') AS source,
       coalesce(CAST(r.keys_int8 AS text[]), CAST(r.keys_uuid AS text[]), r.keys_text) AS keys
FROM predictq.batch_requests r LEFT JOIN predictq.sources s ON s.id = r.source_id
WHERE r.batch_id > :after AND num_nonnulls(r.keys_int8, r.keys_uuid, r.keys_text) > 0
ORDER BY r.batch_id LIMIT :limit
""")
_ADD_PERSON = text("""
INSERT INTO predictq.erasures (id, source_id, client_key, reason, actor)
SELECT :id, s.id, :key, e.reason, e.actor
FROM predictq.erasures e LEFT JOIN predictq.sources s ON s.name = :source
WHERE e.id = :replay_id AND (s.id IS NOT NULL OR :source = '') AND NOT EXISTS (
    SELECT FROM predictq.erasures o
    WHERE o.source_id IS NOT DISTINCT FROM s.id AND o.client_key = :key AND o.status IN ('queued', 'running'))
""")
_ADVANCE = text("""
UPDATE predictq.erasures
SET status = 'running', position = :position, pages = pages + :pages, answers = answers + :found, error = NULL
WHERE id = :id
""")
_END = text("""
UPDATE predictq.erasures
SET status = :status, wanted = NULL, error = :error, step = 'ended', finished_at = clock_timestamp() WHERE id = :id
""")
