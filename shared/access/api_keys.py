"""API keys: made once, shown once, stored as a SHA-256 hash.

A key is 32 random bytes, so a plain hash is enough: there is no dictionary to try it against.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from shared.access.roles import ALL_ROLES, LONGEST_OWNER, PLAIN_ROLES
from shared.errors import PredictqError
from shared.jobs.accepting.model_choice import is_model_name
from shared.plain_names import refuse_unprintable
from shared.sentences import Sentence

PREFIX = "pq_"
LONGEST_NOTE = 200


class KeyUnknown(PredictqError):
    """No active key has this prefix."""

    def __init__(self, prefix: str) -> None:
        super().__init__(f"There is no active key {prefix[:40]!r}. List them with: predictq keys list")


class KeyRefused(PredictqError):
    """A key cannot be as it was asked for."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key; the key itself is not among what is stored."""

    id: int
    owner: str
    prefix: str  # the first characters, to tell keys apart by
    roles: tuple[str, ...]  # what it may do
    models: tuple[str, ...] | None  # the models that it is for; None: all
    max_waiting_rows: int | None  # the owner's quota; None: the service's default
    note: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None  # to within some minutes
    revoked_at: datetime | None
    rotated_to: int | None  # the id of the key that took its place


_COLUMNS = """id, owner, prefix, roles, models, max_waiting_rows, note, created_at, expires_at, last_used_at,
revoked_at, rotated_to"""
_IS_ACTIVE = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"


def _api_key(row: Any) -> ApiKey:
    values = row._asdict()
    models = None if values["models"] is None else tuple(values["models"])
    return ApiKey(**{**values, "roles": tuple(values["roles"]), "models": models})


def hash_key(key: str) -> str:
    """What is stored of a key: its SHA-256 in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def create_key(
    connection: Connection,
    owner: str,
    *,
    roles: Collection[str] = PLAIN_ROLES,
    is_admin: bool = False,
    models: Sequence[str] | None = None,
    max_waiting_rows: int | None = None,
    expires_at: datetime | None = None,
    note: str | None = None,
) -> tuple[str, ApiKey]:
    """Make a key for `owner`. Returns the key, which cannot be had again, and what is stored of it.

    `is_admin` stands for all roles. Raises KeyRefused.
    """
    wanted = ALL_ROLES if is_admin else _ordered(roles)
    _check(owner, wanted, models, note)
    if expires_at is not None and expires_at <= datetime.now(UTC):
        text = f"The key would be expired at once: {expires_at.isoformat(timespec='seconds')} is past."
        raise KeyRefused(Sentence(text, "key-ended"))
    key = PREFIX + secrets.token_urlsafe(32)
    row = connection.execute(
        _CREATE,
        {
            "owner": owner,
            "prefix": key[: len(PREFIX) + 8],
            "hash": hash_key(key),
            "roles": list(wanted),
            "models": None if models is None else sorted(set(models)),
            "rows": max_waiting_rows,
            "expires_at": expires_at,
            "note": note or None,
        },
    ).one()
    return key, _api_key(row)


def _ordered(roles: Collection[str]) -> tuple[str, ...]:
    unknown = [role for role in roles if role not in ALL_ROLES]
    if unknown or not roles:
        said = f"There is no role {str(unknown[0])[:40]!r}" if unknown else "A key needs a role"
        text = f"{said}; the roles are {', '.join(ALL_ROLES)}."
        raise KeyRefused(Sentence(text, "" if unknown else "key-without-role", roles=list(ALL_ROLES)))
    return tuple(role for role in ALL_ROLES if role in roles)


def _check(owner: str, roles: Collection[str], models: Sequence[str] | None, note: str | None) -> None:
    if not owner.strip():
        raise KeyRefused(Sentence("A key belongs to an owner: give a name.", "key-without-owner"))
    if owner != owner.strip():
        raise KeyRefused(f"An owner's name has no blanks at its ends: {owner.strip()[:100]!r} would be another owner.")
    for what, value, longest in (("An owner's name", owner, LONGEST_OWNER), ("A note", note or "", LONGEST_NOTE)):
        if (flaw := refuse_unprintable(what, value, longest)) is not None:
            raise KeyRefused(flaw)
    if models is not None and not models:
        raise KeyRefused("Name the models that the key is for, or leave them out: then it is for all.")
    if (wrong := next((name for name in models or () if not is_model_name(name)), None)) is not None:
        raise KeyRefused(f"No model can be called {wrong[:100]!r}: give the models of the key by their names.")
    if models is not None and "admin" in roles:
        text = "A key with the role 'admin' is for all models: leave out the models, or the role."
        raise KeyRefused(Sentence(text, "admin-of-some-models"))


def unknown_models(connection: Connection, key: ApiKey) -> list[str]:
    """Those of the key's models that nobody has registered yet: of a misspelt one its caller would hear a 403."""
    found = connection.execute(_UNKNOWN_MODELS, {"names": list(key.models or ())})
    return [str(name) for (name,) in found]


def find_key(connection: Connection, key: str) -> ApiKey | None:
    """The active key with this text, or None."""
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM predictq.api_keys WHERE key_hash = :hash AND {_IS_ACTIVE}"),
        {"hash": hash_key(key)},
    ).one_or_none()
    return _api_key(row) if row else None


def find_key_by_id(connection: Connection, api_key_id: int) -> ApiKey | None:
    """The active key with this id, or None."""
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM predictq.api_keys WHERE id = :id AND {_IS_ACTIVE}"), {"id": api_key_id}
    ).one_or_none()
    return _api_key(row) if row else None


def has_admin_key(connection: Connection) -> bool:
    """Whether there is an active key that may do everything."""
    statement = text(f"SELECT EXISTS (SELECT FROM predictq.api_keys WHERE 'admin' = ANY (roles) AND {_IS_ACTIVE})")
    return bool(connection.execute(statement).scalar_one())


def list_keys(
    connection: Connection, *, limit: int | None = None, before: int | None = None, prefix: str | None = None
) -> list[ApiKey]:
    """The keys, newest first, revoked ones too: all, at most `limit`, those made before the one with the id `before`.

    With `prefix` the one that begins so.
    """
    return [_api_key(row) for row in connection.execute(_LIST, {"limit": limit, "before": before, "prefix": prefix})]


def prefixes_of(connection: Connection, key_ids: Collection[int]) -> dict[int, str]:
    """How these keys begin."""
    return {row.id: row.prefix for row in connection.execute(_PREFIXES, {"ids": sorted(key_ids)})}


def revoke_key(connection: Connection, prefix: str) -> ApiKey:
    """Revoke the active key that starts with `prefix`. Raises KeyUnknown."""
    row = connection.execute(
        text(f"""UPDATE predictq.api_keys SET revoked_at = now() WHERE prefix = :prefix AND {_IS_ACTIVE}
                 RETURNING {_COLUMNS}"""),
        {"prefix": prefix},
    ).one_or_none()
    if row is None:
        raise KeyUnknown(prefix)
    return _api_key(row)


def rotate_key(connection: Connection, prefix: str, *, overlap_seconds: float) -> tuple[str, ApiKey, ApiKey]:
    """Make a key in the place of the active one that starts with `prefix`, which ends `overlap_seconds` from now.

    The new key may do what the old one may, for as long as the old one had been meant to last. Returns the new key,
    what is stored of it, and the old one as it is now. Raises KeyUnknown, also where it was rotated before.
    """
    row = connection.execute(_LOCK_TO_ROTATE, {"prefix": prefix}).one_or_none()
    if row is None:
        raise KeyUnknown(prefix)
    old = _api_key(row)
    key, new = create_key(
        connection,
        old.owner,
        roles=old.roles,
        models=old.models,
        max_waiting_rows=old.max_waiting_rows,
        expires_at=old.expires_at,
        note=old.note,
    )
    ended = connection.execute(_END_ROTATED, {"id": old.id, "to": new.id, "seconds": overlap_seconds}).one()
    return key, new, _api_key(ended)


def note_use(connection: Connection, key_ids: Collection[int]) -> None:
    """Say that these keys were used lately."""
    connection.execute(_NOTE_USE, {"ids": sorted(key_ids)})


_LIST = text(f"""
SELECT {_COLUMNS} FROM predictq.api_keys
WHERE (CAST(:before AS integer) IS NULL OR id < CAST(:before AS integer))
  AND (CAST(:prefix AS text) IS NULL OR prefix = CAST(:prefix AS text))
ORDER BY id DESC LIMIT CAST(:limit AS bigint)
""")
_UNKNOWN_MODELS = text("""
SELECT n FROM unnest(CAST(:names AS text[])) n
WHERE NOT EXISTS (SELECT FROM predictq.models m WHERE m.name = n) ORDER BY n
""")
_PREFIXES = text("SELECT id, prefix FROM predictq.api_keys WHERE id = ANY (CAST(:ids AS integer[]))")
_CREATE = text(f"""
INSERT INTO predictq.api_keys (owner, prefix, key_hash, roles, models, max_waiting_rows, expires_at, note)
VALUES (:owner, :prefix, :hash, :roles, :models, :rows, :expires_at, :note) RETURNING {_COLUMNS}
""")
_LOCK_TO_ROTATE = text(f"""
SELECT {_COLUMNS} FROM predictq.api_keys
WHERE prefix = :prefix AND rotated_to IS NULL AND {_IS_ACTIVE} FOR UPDATE
""")
_END_ROTATED = text(f"""
UPDATE predictq.api_keys
SET rotated_to = :to, expires_at = least(expires_at, now() + make_interval(secs => :seconds))
WHERE id = :id RETURNING {_COLUMNS}
""")
# Locked in the order of ids, as other gateways do it too.
_NOTE_USE = text("""
WITH used AS MATERIALIZED (
    SELECT id FROM predictq.api_keys WHERE id = ANY (CAST(:ids AS integer[])) ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE predictq.api_keys k SET last_used_at = greatest(k.last_used_at, now()) FROM used WHERE k.id = used.id
""")
