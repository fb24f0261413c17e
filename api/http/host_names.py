"""Which names of this host a browser may use: a page under a stranger's name would otherwise be same-origin with ours.

That is DNS rebinding: the stranger's name is led to this address after their page was loaded.
"""

from __future__ import annotations

from starlette.requests import Request

from api.http.problems import HOST, Problem
from api.server.services import services_of


def require_host(request: Request) -> None:
    """Raise Problem 421 unless the Host header names one of PREDICTQ_ALLOWED_HOSTS, with whatever port."""
    allowed = services_of(request).settings.host_names
    host = request.headers.get("host", "")
    before, _, port = host.rpartition(":")
    name = (before if port.isdigit() else host).lower().rstrip(".")
    if "*" not in allowed and name not in allowed:
        detail = f"Nothing for browsers is served as {name[:80]!r}. The operator can add it to PREDICTQ_ALLOWED_HOSTS."
        raise Problem(HOST, detail)
