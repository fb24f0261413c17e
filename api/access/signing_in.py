"""Sessions of screens as they begin and end, each with its line in the audit log."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.requests import Request

from api.access.auth import caller_of
from api.http.acts import record
from shared.api_keys import ApiKey
from shared.sign_in import begin_session, end_session, find_session, follow_link


def follow(connection: Connection, request: Request, link: str) -> str:
    """Begin a session by a link that works once. Returns its token; raises LinkUsed."""
    token = follow_link(connection, link)
    if (key := find_session(connection, token)) is not None:
        record(connection, request, caller_of(key), "session.sign_in", "a link")
    return token


def begin(connection: Connection, request: Request, key: ApiKey) -> str:
    """Begin a session of this key. Returns its token."""
    record(connection, request, caller_of(key), "session.sign_in", "an API key")
    return begin_session(connection, key.id)


def end(connection: Connection, request: Request, token: str) -> None:
    """End the session of this token, where there is one."""
    if (key := find_session(connection, token)) is not None:
        record(connection, request, caller_of(key), "session.sign_out", None)
    end_session(connection, token)
