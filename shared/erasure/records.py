"""Erasures as records: asking for one, how it stands, and where it goes on. What is read here never has the key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

from shared.erasure.client_holds import refuse_held
from shared.erasure.errors import ClientKeyRefused, ErasureUnknown
from shared.erasure.kept_hashes import KeptLine
from shared.erasure.keys import ClientKey
from shared.erasure.naming import names_client


@dataclass(frozen=True, slots=True)
class ErasureRecord:
    """An erasure, or a replay of earlier ones, as it stands."""

    id: UUID
    kind: str  # person, replay
    source: str | None
    status: str  # queued, running, done, failed
    step: str
    pages: int  # gone through with something to erase; of a replay, gone through
    answers: int  # rows erased; of a replay, persons found
    reason: str
    actor: str
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    compacted_at: datetime | None


_SELECT = """
SELECT e.id, e.kind, s.name, e.status, e.step, e.pages, e.answers, e.reason, e.actor, e.error, e.created_at,
       e.finished_at, e.compacted_at
FROM predictq.erasures e LEFT JOIN predictq.sources s ON s.id = e.source_id
"""


def read_erasure(connection: Connection, erasure_id: UUID) -> ErasureRecord:
    """One erasure. Raises ErasureUnknown."""
    row = connection.execute(text(f"{_SELECT} WHERE e.id = :id"), {"id": str(erasure_id)}).one_or_none()
    if row is None:
        raise ErasureUnknown(erasure_id)
    return ErasureRecord(*row)


def list_erasures(connection: Connection, *, limit: int = 100) -> list[ErasureRecord]:
    """The newest erasures, newest first."""
    return [
        ErasureRecord(*row)
        for row in connection.execute(text(f"{_SELECT} ORDER BY e.id DESC LIMIT :limit"), {"limit": limit})
    ]


def request_erasure(connection: Connection, key: ClientKey, *, reason: str, actor: str) -> ErasureRecord:
    """Ask for the erasure of one client; the upkeep process does it. Asked twice, the first one that is open answers.

    `connection` must be in a transaction. Raises ClientHeld, and ClientKeyRefused where the reason, which stays, names
    the client.
    """
    if names_client(reason, key):
        raise ClientKeyRefused("must not stand in the reason: the reason is kept")
    refuse_held(connection, key)
    values = {"source_id": key.source.id, "key": key.text}
    connection.execute(_ONE_AT_A_TIME)
    open_one = connection.execute(_OPEN, values).scalar_one_or_none()
    if open_one is None:
        open_one = uuid7()
        connection.execute(_INSERT, {**values, "id": str(open_one), "reason": reason, "actor": actor})
    return read_erasure(connection, open_one)


_ONE_AT_A_TIME = text("LOCK TABLE predictq.erasures IN SHARE ROW EXCLUSIVE MODE")
_OPEN = text("""
SELECT id FROM predictq.erasures
WHERE status IN ('queued', 'running') AND client_key = :key
    AND source_id IS NOT DISTINCT FROM CAST(:source_id AS integer) LIMIT 1
""")
_INSERT = text("""
INSERT INTO predictq.erasures (id, source_id, client_key, reason, actor) VALUES (:id, :source_id, :key, :reason, :actor)
""")


def request_replay(connection: Connection, wanted: Sequence[KeptLine], *, reason: str, actor: str) -> ErasureRecord:
    """Ask for the erasure of everybody whose hash, kept outside the database, is among `wanted`."""
    replay_id = uuid7()
    connection.execute(
        _INSERT_REPLAY,
        {"id": str(replay_id), "wanted": list(map(_wanted_text, wanted)), "reason": reason, "actor": actor},
    )  # fmt: skip
    return read_erasure(connection, replay_id)


def _wanted_text(line: KeptLine) -> str:
    made_with = "" if line.secret is None else f":{line.secret}"
    return f"{line.hash}{made_with} {line.source}"


_INSERT_REPLAY = text("""
INSERT INTO predictq.erasures (id, kind, step, wanted, reason, actor)
VALUES (:id, 'replay', 'pages', CAST(:wanted AS text[]), :reason, :actor)
""")
