"""Who may see metrics and documents: callers with a key, people signed in, this machine; all where a setting says."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.requests import Request

from api.access.signing_in import caller_of_session
from api.http.cookie_names import session_token
from api.http.host_names import require_host
from api.http.requests import address_of
from api.server.services import services_of

# What proxies, balancers and delivery networks write: one of these names, or one that begins like these.
_OF_PROXIES = {
    "forwarded", "via", "x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "cdn-loop", "x-cluster-client-ip",
    "fastly-client-ip", "x-proxyuser-ip", "x-scheme", "x-appengine-user-ip", "x-remote-ip", "x-remote-addr",
}  # fmt: skip
_BEGINNINGS = ("x-forwarded", "x-original-", "x-envoy-", "x-azure-", "x-amz-cf-", "x-amzn-trace-id", "cf-")


async def require_onlooker(request: Request) -> None:
    """Raise Unauthorised, Problem 421 where a stranger's page in a browser of this machine asks, or 429 for guesses."""
    services = services_of(request)
    header = request.headers.get("authorization")
    if services.settings.metrics_open:
        return
    if header is None and _is_of_this_machine(request):
        require_host(request)
        return
    token, address = session_token(request), address_of(request)
    if header is None and token and await caller_of_session(services, token, address) is not None:
        return
    await services.auth.caller(None if header is None else header.encode("latin-1"), address)


def _is_of_this_machine(request: Request) -> bool:
    """Whether the call comes from here. Not where a proxy says that it brings somebody, trusted or not.

    Whichever of their headers it is: not every proxy writes X-Forwarded-For, and some can be told by a caller, with
    `Connection: X-Forwarded-For`, to take it away again. One that writes none is not to be told from a local
    caller: docs/operations.md says what to do about it.
    """
    if request.client is None or any(name in _OF_PROXIES or name.startswith(_BEGINNINGS) for name in request.headers):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
