"""API keys: made once, shown once, stored as a SHA-256 hash.

A key is 32 random bytes, so a plain hash is enough: there is no dictionary to try it against.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
    roles: tuple[str, ...]  # what it may do
    max_waiting_rows: int | None  # the owner's quota; None: the service's default
    created_at: datetime
    revoked_at: datetime | None

    @property
    def is_admin(self) -> bool:
        """Whether it may promote models."""
        return "admin" in self.roles


_COLUMNS = "id, owner, prefix, roles, max_waiting_rows, created_at, revoked_at"
PLAIN_ROLES = ("read", "predict", "bulk")
ALL_ROLES = (*PLAIN_ROLES, "features", "operate", "admin")


def _api_key(row: Any) -> ApiKey:
    values = row._asdict()
    return ApiKey(**{**values, "roles": tuple(values["roles"])})


def hash_key(key: str) -> str:
    """What is stored of a key: its SHA-256 in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def create_key(
    connection: Connection, owner: str, *, is_admin: bool = False, max_waiting_rows: int | None = None
) -> tuple[str, ApiKey]:
    """Make a key for `owner`. Returns the key, which cannot be had again, and what is stored of it."""
    key = _PREFIX + secrets.token_urlsafe(32)
    row = connection.execute(
        text(f"""INSERT INTO predictq.api_keys (owner, prefix, key_hash, roles, max_waiting_rows)
                 VALUES (:owner, :prefix, :hash, :roles, :rows) RETURNING {_COLUMNS}"""),
        {
            "owner": owner,
            "prefix": key[: len(_PREFIX) + 8],
            "hash": hash_key(key),
            "roles": list(ALL_ROLES if is_admin else PLAIN_ROLES),
            "rows": max_waiting_rows,
        },
    ).one()
    return key, _api_key(row)


def find_key(connection: Connection, key: str) -> ApiKey | None:
    """The active key with this text, or None."""
    row = connection.execute(
        text(f"""SELECT {_COLUMNS} FROM predictq.api_keys WHERE key_hash = :hash AND revoked_at IS NULL
                 AND (expires_at IS NULL OR expires_at > now())"""),
        {"hash": hash_key(key)},
    ).one_or_none()
    return _api_key(row) if row else None


def list_keys(connection: Connection) -> list[ApiKey]:
    """All keys, newest first, revoked ones too."""
    rows = connection.execute(text(f"SELECT {_COLUMNS} FROM predictq.api_keys ORDER BY id DESC"))
    return [_api_key(row) for row in rows]


def revoke_key(connection: Connection, prefix: str) -> ApiKey:
    """Revoke the active key that starts with `prefix`. Raises KeyUnknown."""
    row = connection.execute(
        text(f"""UPDATE predictq.api_keys SET revoked_at = now() WHERE prefix = :prefix AND revoked_at IS NULL
                 RETURNING {_COLUMNS}"""),
        {"prefix": prefix},
    ).one_or_none()
    if row is None:
        raise KeyUnknown(prefix)
    return _api_key(row)
