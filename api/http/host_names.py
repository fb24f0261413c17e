"""Which names of this host a browser may use: a page under a stranger's name would otherwise be same-origin with ours.

That is DNS rebinding: the stranger's name is led to this address after their page was loaded.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request

from api.http.problems import HOST, Problem
from api.server.services import services_of


def require_host(request: Request) -> None:
    """Raise Problem 421 unless the Host header names one of PREDICTQ_ALLOWED_HOSTS, with whatever port."""
    allowed = services_of(request).settings.host_names
    name = _name_in(request.headers.get("host", ""))
    if "*" not in allowed and name not in allowed:
        detail = f"Nothing for browsers is served as {name[:80]!r}. The operator can add it to PREDICTQ_ALLOWED_HOSTS."
        raise Problem(HOST, detail)


def require_api_host(allowed: frozenset[str], headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise Problem 421 unless the Host header names one of PREDICTQ_API_HOSTS, with whatever port."""
    name = _name_in(next((value.decode("latin-1") for header, value in headers if header == b"host"), ""))
    if name not in allowed:
        raise Problem(HOST, f"The API is not served as {name[:80]!r}. The operator can add it to PREDICTQ_API_HOSTS.")


def _name_in(host: str) -> str:
    before, _, port = host.rpartition(":")
    return (before if port.isdigit() else host).lower().rstrip(".")
