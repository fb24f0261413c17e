"""Which page a form was sent from."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.routing import Route

from api.http.root_path import rooted
from web.frame.screen import own_path


def page_of_form(request: Request) -> str:
    """The page that the browser says the form stood on, else the one at the form's own address, else the first one.

    Only a page of ours that can be asked for: what a form answers cannot, and other sites are not ours.
    """
    for address in (_referring(request), request.scope["path"]):
        if address and _is_page(request, address.partition("?")[0]):
            return own_path(address)
    return "/"


def _referring(request: Request) -> str:
    """What `Referer` says, without the host and the path that a proxy shows us under; empty where it is not ours."""
    try:
        parts = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return ""
    root = rooted("")
    if parts.netloc != request.url.netloc or not parts.path.startswith(f"{root}/"):
        return ""
    path = parts.path.removeprefix(root)
    return f"{path}?{parts.query}" if parts.query else path


def _is_page(request: Request, path: str) -> bool:
    app = request.app
    routes = [route for route in app.routes if isinstance(route, Route) and "GET" in (route.methods or ())]
    return any(route.path in app.state.screens and route.path_regex.match(unquote(path)) for route in routes)
