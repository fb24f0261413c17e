"""API keys: made once, shown once, stored as a SHA-256 hash.

A key is 32 random bytes, so a plain hash is enough: there is no dictionary to try it against.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from shared.errors import PredictqError

_PREFIX = "pq_"


class KeyUnknown(PredictqError):
    """No key has this prefix or id."""

    def __init__(self, prefix: str) -> None:
        super().__init__(f"There is no active key {prefix}. List them with: predictq keys list")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key; the key itself is not among what is stored."""

    id: int
    owner: str
    prefix: str  # the first characters, to tell keys apart by
    is_admin: bool  # may promote models
    max_waiting_rows: int | None  # the owner's quota; None: the service's default
    created_at: datetime
    revoked_at: datetime | None


_COLUMNS = "id, owner, prefix, is_admin, max_waiting_rows, created_at, revoked_at"


def hash_key(key: str) -> str:
    """What is stored of a key: its SHA-256 in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def create_key(
    connection: Connection, owner: str, *, is_admin: bool = False, max_waiting_rows: int | None = None
) -> tuple[str, ApiKey]:
    """Make a key for `owner`. Returns the key, which cannot be had again, and what is stored of it."""
    key = _PREFIX + secrets.token_urlsafe(32)
    row = connection.execute(
        text(f"""INSERT INTO api_keys (owner, prefix, key_hash, is_admin, max_waiting_rows)
                 VALUES (:owner, :prefix, :hash, :admin, :rows) RETURNING {_COLUMNS}"""),
        {
            "owner": owner,
            "prefix": key[: len(_PREFIX) + 8],
            "hash": hash_key(key),
            "admin": is_admin,
            "rows": max_waiting_rows,
        },
    ).one()
    return key, ApiKey(**row._asdict())


def find_key(connection: Connection, key: str) -> ApiKey | None:
    """The active key with this text, or None."""
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM api_keys WHERE key_hash = :hash AND revoked_at IS NULL"),
        {"hash": hash_key(key)},
    ).one_or_none()
    return ApiKey(**row._asdict()) if row else None


def list_keys(connection: Connection) -> list[ApiKey]:
    """All keys, newest first, revoked ones too."""
    rows = connection.execute(text(f"SELECT {_COLUMNS} FROM api_keys ORDER BY id DESC"))
    return [ApiKey(**row._asdict()) for row in rows]


def revoke_key(connection: Connection, prefix: str) -> ApiKey:
    """Revoke the active key that starts with `prefix`. Raises KeyUnknown."""
    row = connection.execute(
        text(f"""UPDATE api_keys SET revoked_at = now() WHERE prefix = :prefix AND revoked_at IS NULL
                 RETURNING {_COLUMNS}"""),
        {"prefix": prefix},
    ).one_or_none()
    if row is None:
        raise KeyUnknown(prefix)
    return ApiKey(**row._asdict())
