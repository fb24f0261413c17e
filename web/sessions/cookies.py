"""Cookies of the screens: for this host alone, out of reach of scripts, not sent along from other sites."""

from __future__ import annotations

import secrets
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from api.http.cookie_names import guarded_name, session_token
from api.http.root_path import rooted
from shared.access.sign_in import SESSION_COOKIE, SESSION_LIFE

VISIT = "predictq_visit"  # before anybody is signed in: what the tokens of forms are made from
SIGN_IN = "predictq_sign_in"  # the secret of a sign-in that has begun, and where it leads
LANGUAGE = "predictq_language"
THEME = "predictq_theme"

_YEAR = 365 * 24 * 3600
_SIGN_IN_SECONDS = 900


def visit_of(request: Request) -> str:
    """What names this browser: its session, else its visit, else the one that `Screen` is about to give it."""
    return session_token(request) or request.cookies.get(guarded_name(request, VISIT)) or ""


def new_visit() -> str:
    """A name for a browser that has none."""
    return secrets.token_urlsafe(24)


def keep_session(request: Request, response: Response, token: str) -> None:
    """Sign the browser in."""
    _set(request, response, guarded_name(request, SESSION_COOKIE), token, int(SESSION_LIFE.total_seconds()))


def drop_session(request: Request, response: Response) -> None:
    """Sign the browser out."""
    _set(request, response, guarded_name(request, SESSION_COOKIE), "", 0)


def keep_sign_in(request: Request, response: Response, secret: str, wanted: str) -> None:
    """Remember a sign-in that begins, while somebody is away at the identity provider."""
    _set(request, response, guarded_name(request, SIGN_IN), f"{secret}.{quote(wanted, safe='')}", _SIGN_IN_SECONDS)


def sign_in_of(request: Request) -> tuple[str, str]:
    """The secret of the sign-in that this browser has begun, and where it leads; both empty where there is none."""
    secret, _, wanted = request.cookies.get(guarded_name(request, SIGN_IN), "").partition(".")
    return secret, unquote(wanted)


def drop_sign_in(request: Request, response: Response) -> None:
    """Forget it: it counts once."""
    _set(request, response, guarded_name(request, SIGN_IN), "", 0)


def keep_visit(request: Request, response: Response, visit: str) -> None:
    """Name the browser until it is closed."""
    _set(request, response, guarded_name(request, VISIT), visit, None)


def keep_choice(request: Request, response: Response, name: str, value: str) -> None:
    """Remember how somebody likes the screens, for a year."""
    _set(request, response, name, value, _YEAR)


def _set(request: Request, response: Response, name: str, value: str, seconds: int | None) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=rooted("/"),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
