"""Cookies of the screens: for this host alone, out of reach of scripts, not sent along from other sites."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import Response

from api.http.root_path import rooted
from shared.sign_in import SESSION_COOKIE, SESSION_LIFE

SESSION = SESSION_COOKIE
VISIT = "predictq_visit"  # before anybody is signed in: what the tokens of forms are made from
LANGUAGE = "predictq_language"
THEME = "predictq_theme"
ZONE = "predictq_zone"  # the browser's time zone, which only its script knows

_YEAR = 365 * 24 * 3600


def visit_of(request: Request) -> str:
    """What names this browser: its session, else its visit, else the one that `Screen` is about to give it."""
    return request.cookies.get(SESSION) or request.cookies.get(VISIT) or ""


def new_visit() -> str:
    """A name for a browser that has none."""
    return secrets.token_urlsafe(24)


def keep_session(request: Request, response: Response, token: str) -> None:
    """Sign the browser in."""
    _set(request, response, SESSION, token, int(SESSION_LIFE.total_seconds()))


def drop_session(request: Request, response: Response) -> None:
    """Sign the browser out."""
    _set(request, response, SESSION, "", 0)


def keep_visit(request: Request, response: Response, visit: str) -> None:
    """Name the browser until it is closed."""
    _set(request, response, VISIT, visit, None)


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
