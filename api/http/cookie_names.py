"""What a cookie is called: over https by a name that no other host, no subdomain and no page without TLS can set."""

from __future__ import annotations

from starlette.requests import Request

from api.http.root_path import rooted
from shared.access.sign_in import SESSION_COOKIE


def guarded_name(request: Request, name: str) -> str:
    """`name`, with the prefix __Host- where browsers allow it: over https, and for the whole of a host."""
    return f"__Host-{name}" if request.url.scheme == "https" and rooted("/") == "/" else name


def session_token(request: Request) -> str:
    """Of the session that a browser comes with; empty where there is none."""
    return request.cookies.get(guarded_name(request, SESSION_COOKIE), "")
