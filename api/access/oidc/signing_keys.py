"""The keys that an identity provider signs with: kept for a while, and asked for anew when it begins to use others."""

from __future__ import annotations

import threading
import time

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.access.oidc.discovery import Discovery
from api.access.oidc.fetch import ProviderAway, fetch_json

_KEEP_SECONDS = 3600.0
_REST_SECONDS = 10.0  # between two questions, whatever key ids callers make up


class SigningKeys:
    """The provider's keys. For threads."""

    def __init__(self, discovery: Discovery, *, allows_http: bool, rest_seconds: float = _REST_SECONDS) -> None:
        self._discovery = discovery
        self._allows_http = allows_http
        self._rest_seconds = rest_seconds
        self._lock = threading.Lock()
        self._found: KeySet | None = None
        self._asked_at: float | None = None

    def keys(self, kid: str | None) -> KeySet:
        """All keys; asked for anew where they are old, or lack the one that is named. Raises ProviderAway.

        While the provider is away the keys that are known go on to count.
        """
        with self._lock:
            if self._is_due(kid):
                self._asked_at = time.monotonic()
                try:
                    self._found = self._ask()
                except ProviderAway:
                    if self._found is None:
                        raise
            if self._found is None:
                raise ProviderAway("its keys are not known yet; try again in a moment")
            return self._found

    def keys_newer_than(self, known: KeySet) -> KeySet | None:
        """Other keys than these, where the provider has any; it is not asked more often than for made-up key ids."""
        with self._lock:
            if self._asked_at is None or time.monotonic() - self._asked_at >= self._rest_seconds:
                self._asked_at = time.monotonic()
                try:
                    self._found = self._ask()
                except ProviderAway:
                    return None
            return None if self._found is None or self._found == known else self._found

    def _is_due(self, kid: str | None) -> bool:
        if self._asked_at is None:
            return True
        age = time.monotonic() - self._asked_at
        if age < self._rest_seconds:
            return False
        return self._found is None or age > _KEEP_SECONDS or (kid is not None and not self._has(kid))

    def _has(self, kid: str) -> bool:
        return any(key.kid == kid for key in self._found or ())

    def _ask(self) -> KeySet:
        said = fetch_json(self._discovery.document().jwks_uri, allows_http=self._allows_http)
        try:
            return KeySet.import_key_set({"keys": [key for key in said.get("keys", []) if key.get("kty") != "oct"]})
        except (JoseError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProviderAway(f"its keys cannot be read: {type(error).__name__}") from None
