"""Sessions of screens as they begin and end, each with its line in the audit log."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.requests import Request

from api.access.caller import Caller, caller_of, member_caller, person_caller
from api.access.oidc.person import Person
from api.http.acts import record
from api.http.cookie_names import session_token
from api.server.services import Services
from shared.access.api_keys import ApiKey
from shared.access.sign_in import (
    SignedInPerson,
    begin_session,
    begin_session_of_person,
    end_session,
    find_session,
    follow_link,
)


async def caller_of_session(services: Services, token: str, address: str) -> Caller | None:
    """Who is signed in by this session; None where it has ended, or where nothing is allowed to them any more.

    Raises Problem 429 where too much has come from this address that signs nobody in; not for a session that was good
    until now. A token that is none counts as such a failure.
    """
    known = services.known_sessions
    if known.has_ended(token):
        return None
    was_good = known.is_good(token)
    if not was_good:
        services.auth.refuse_guessing(address)
    caller = await _look_up(services, token)
    known.note(token, is_good=caller is not None)
    if caller is None and not was_good:
        services.auth.note_failure(address)
    return caller


async def _look_up(services: Services, token: str) -> Caller | None:
    found = await services.quick.read(lambda connection: find_session(connection, token))
    if isinstance(found, ApiKey):
        return caller_of(found)
    if found is None or services.code_flow is None:
        return None
    rights = services.code_flow.rights_of(found.issuer, found.groups)
    return None if rights is None else member_caller(found.subject, rights)


def follow(connection: Connection, request: Request, link: str) -> str:
    """Begin a session by a link that works once. Returns its token; raises LinkUsed."""
    token = follow_link(connection, link)
    if isinstance(key := find_session(connection, token), ApiKey):
        record(connection, request, caller_of(key), "session.sign_in", "a link")
    _end_former(connection, request)
    return token


def begin(connection: Connection, request: Request, key: ApiKey) -> str:
    """Begin a session of this key. Returns its token."""
    record(connection, request, caller_of(key), "session.sign_in", "an API key")
    _end_former(connection, request)
    return begin_session(connection, key.id)


def begin_of_person(connection: Connection, request: Request, person: Person, issuer: str) -> str:
    """Begin a session of somebody for whom an identity provider has vouched. Returns its token."""
    record(connection, request, person_caller(person), "session.sign_in", "the identity provider")
    _end_former(connection, request)
    return begin_session_of_person(connection, SignedInPerson(issuer, person.subject, person.groups))


def end(connection: Connection, request: Request, caller: Caller | None, token: str) -> None:
    """End the session of this token, where there is one: it is `caller`'s."""
    if caller is not None and find_session(connection, token) is not None:
        record(connection, request, caller, "session.sign_out", None)
    end_session(connection, token)


def _end_former(connection: Connection, request: Request) -> None:
    """A browser is one person at a time: what it came with ends, whoever gave it that."""
    end_session(connection, session_token(request))
