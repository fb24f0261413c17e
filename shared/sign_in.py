"""People at the screens: sessions of browsers, and links that begin one. Only hashes of their tokens are stored.

A token is 32 random bytes, so a plain hash is enough. What has expired is removed whenever something new is added.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlalchemy import Connection, text

from shared.api_keys import ApiKey, find_key_by_id, hash_key
from shared.errors import PredictqError

SESSION_COOKIE = "predictq_session"
SESSION_LIFE = timedelta(hours=12)
LINK_LIFE = timedelta(hours=24)


class LinkUsed(PredictqError):
    """A link that does not sign anybody in: it was followed before, is too old, or its API key was revoked."""

    def __init__(self) -> None:
        super().__init__("This link was used before, or is too old. `predictq open` prints another.")


def begin_session(connection: Connection, api_key_id: int) -> str:
    """A new session of an API key: its token, for the cookie. `connection` must be in a transaction."""
    connection.execute(text("DELETE FROM predictq.sessions WHERE expires_at < now()"))
    return _add(connection, "sessions", api_key_id, SESSION_LIFE)


def find_session(connection: Connection, token: str) -> ApiKey | None:
    """The API key whose session this is; None where it has ended, by itself or with its key."""
    api_key_id = connection.execute(_FIND_SESSION, {"hash": hash_key(token)}).scalar_one_or_none()
    return None if api_key_id is None else find_key_by_id(connection, api_key_id)


def end_session(connection: Connection, token: str) -> None:
    """Sign out. Ending it twice changes nothing."""
    connection.execute(text("DELETE FROM predictq.sessions WHERE token_hash = :hash"), {"hash": hash_key(token)})


def make_link(connection: Connection, api_key_id: int) -> str:
    """The token of a link that signs in once with this API key. `connection` must be in a transaction."""
    connection.execute(text("DELETE FROM predictq.sign_in_links WHERE expires_at < now()"))
    return _add(connection, "sign_in_links", api_key_id, LINK_LIFE)


def follow_link(connection: Connection, token: str) -> str:
    """Use a link up, and begin a session: its token. Raises LinkUsed. `connection` must be in a transaction."""
    api_key_id = connection.execute(_USE_LINK, {"hash": hash_key(token)}).scalar_one_or_none()
    if api_key_id is None or find_key_by_id(connection, api_key_id) is None:
        raise LinkUsed
    return begin_session(connection, api_key_id)


def _add(connection: Connection, table: str, api_key_id: int, life: timedelta) -> str:
    token = secrets.token_urlsafe(32)
    connection.execute(
        text(f"""INSERT INTO predictq.{table} (token_hash, api_key_id, expires_at)
                 VALUES (:hash, :key, now() + CAST(:life AS interval))"""),
        {"hash": hash_key(token), "key": api_key_id, "life": life},
    )
    return token


_FIND_SESSION = text("SELECT api_key_id FROM predictq.sessions WHERE token_hash = :hash AND expires_at > now()")
_USE_LINK = text("""
DELETE FROM predictq.sign_in_links WHERE token_hash = :hash AND expires_at > now() RETURNING api_key_id
""")
