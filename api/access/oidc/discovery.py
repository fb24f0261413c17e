"""What an identity provider says of itself (OpenID Connect Discovery)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from api.access.oidc.fetch import ProviderAway, fetch_json

_KEEP_SECONDS = 3600.0
_REST_SECONDS = 10.0  # after a failure: a provider that hangs takes the time of few


@dataclass(frozen=True, slots=True)
class ProviderDocument:
    """Its addresses, and how it wants to be asked. The code flow of a sign-in uses all but the first."""

    jwks_uri: str
    authorization_endpoint: str
    token_endpoint: str
    takes_basic: bool = True  # the client's secret in a header, which is the standard's default; else in the form


class Discovery:
    """The provider's document, asked for at the first use and once an hour. For threads."""

    def __init__(self, issuer: str, *, allows_http: bool) -> None:
        self._issuer = issuer
        self._allows_http = allows_http
        self._found: ProviderDocument | None = None
        self._until = 0.0
        self._why_away = ""

    def document(self) -> ProviderDocument:
        """What it said last. Raises ProviderAway where it has never said anything: at once, for a while after that."""
        if time.monotonic() >= self._until:
            self._renew()
        if self._found is None:
            raise ProviderAway(self._why_away)
        return self._found

    def _renew(self) -> None:
        if self._found is not None:
            self._until = time.monotonic() + _REST_SECONDS  # meanwhile what is known does for the others
        try:
            found = self._ask()
        except ProviderAway as error:
            self._why_away = error.why
            self._until = time.monotonic() + _REST_SECONDS
        else:
            self._found, self._until = found, time.monotonic() + _KEEP_SECONDS

    def _ask(self) -> ProviderDocument:
        url = f"{self._issuer}/.well-known/openid-configuration"
        said = fetch_json(url, allows_http=self._allows_http)
        if str(said.get("issuer", "")).rstrip("/") != self._issuer:
            raise ProviderAway(f"{url} names another issuer")
        return ProviderDocument(
            _address(said, "jwks_uri"),
            _address(said, "authorization_endpoint"),
            _address(said, "token_endpoint"),
            _takes_basic(said.get("token_endpoint_auth_methods_supported")),
        )


def _address(said: dict[str, Any], name: str) -> str:
    found = said.get(name)
    if not isinstance(found, str):
        raise ProviderAway(f"its document has no {name}")
    return found


def _takes_basic(methods: Any) -> bool:
    return not isinstance(methods, list) or "client_secret_basic" in methods or "client_secret_post" not in methods
