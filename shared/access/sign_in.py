"""People at the screens: sessions of browsers, and links that begin one. Only hashes of their tokens are stored.

A token is 32 random bytes, so a plain hash is enough. What has expired is removed whenever something new is added.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from shared.access.api_keys import ApiKey, find_key_by_id, hash_key
from shared.errors import PredictqError

SESSION_COOKIE = "predictq_session"
SESSION_LIFE = timedelta(hours=12)
LINK_LIFE = timedelta(hours=24)


class LinkUsed(PredictqError):
    """A link that does not sign anybody in: it was followed before, is too old, or its API key was revoked."""

    def __init__(self) -> None:
        super().__init__("This link was used before, or is too old. `predictq open` prints another.")


@dataclass(frozen=True, slots=True)
class SignedInPerson:
    """Somebody who signed in by an identity provider: who that is to it, and in which groups of the setting."""

    issuer: str
    subject: str
    groups: tuple[str, ...]


def begin_session(connection: Connection, api_key_id: int) -> str:
    """A new session of an API key: its token, for the cookie. `connection` must be in a transaction."""
    return _begin(connection, {"api_key_id": api_key_id})


def begin_session_of_person(connection: Connection, person: SignedInPerson) -> str:
    """A new session of somebody who signed in by an identity provider: its token, as above."""
    return _begin(connection, {"issuer": person.issuer, "subject": person.subject, "groups": list(person.groups)})


def find_session(connection: Connection, token: str) -> ApiKey | SignedInPerson | None:
    """Whose session this is; None where it has ended, by itself or with its API key."""
    found = connection.execute(_FIND_SESSION, {"hash": hash_key(token)}).one_or_none()
    if found is None:
        return None
    if found.api_key_id is None:
        return SignedInPerson(found.issuer, found.subject, tuple(found.groups))
    return find_key_by_id(connection, found.api_key_id)


def end_session(connection: Connection, token: str) -> None:
    """Sign out. Ending it twice changes nothing."""
    connection.execute(text("DELETE FROM predictq.sessions WHERE token_hash = :hash"), {"hash": hash_key(token)})


def make_link(connection: Connection, api_key_id: int) -> str:
    """The token of a link that signs in once with this API key. `connection` must be in a transaction."""
    connection.execute(text("DELETE FROM predictq.sign_in_links WHERE expires_at < now()"))
    return _add(connection, "sign_in_links", {"api_key_id": api_key_id}, LINK_LIFE)


def find_link(connection: Connection, token: str) -> ApiKey | None:
    """Whom a link would sign in, which stays good; None where it signs nobody in."""
    api_key_id = connection.execute(_FIND_LINK, {"hash": hash_key(token)}).scalar_one_or_none()
    return None if api_key_id is None else find_key_by_id(connection, api_key_id)


def follow_link(connection: Connection, token: str) -> str:
    """Use a link up, and begin a session: its token. Raises LinkUsed. `connection` must be in a transaction."""
    api_key_id = connection.execute(_USE_LINK, {"hash": hash_key(token)}).scalar_one_or_none()
    if api_key_id is None or find_key_by_id(connection, api_key_id) is None:
        raise LinkUsed
    return begin_session(connection, api_key_id)


def _begin(connection: Connection, whose: Mapping[str, Any]) -> str:
    connection.execute(text("DELETE FROM predictq.sessions WHERE expires_at < now()"))
    return _add(connection, "sessions", whose, SESSION_LIFE)


def _add(connection: Connection, table: str, whose: Mapping[str, Any], life: timedelta) -> str:
    token = secrets.token_urlsafe(32)
    names, values = ", ".join(whose), ", ".join(f":{name}" for name in whose)
    connection.execute(
        text(f"""INSERT INTO predictq.{table} (token_hash, expires_at, {names})
                 VALUES (:hash, now() + CAST(:life AS interval), {values})"""),
        {"hash": hash_key(token), "life": life, **whose},
    )
    return token


_FIND_SESSION = text("""
SELECT api_key_id, issuer, subject, groups FROM predictq.sessions WHERE token_hash = :hash AND expires_at > now()
""")
_FIND_LINK = text("""
SELECT api_key_id FROM predictq.sign_in_links WHERE token_hash = :hash AND expires_at > now()
""")
_USE_LINK = text("""
DELETE FROM predictq.sign_in_links WHERE token_hash = :hash AND expires_at > now() RETURNING api_key_id
""")
