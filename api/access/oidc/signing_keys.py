"""The keys that an identity provider signs with: kept for a while, and asked for anew when it begins to use others."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.access.oidc.discovery import Discovery
from api.access.oidc.fetch import ProviderAway, fetch_json

_KEEP_SECONDS = 3600.0
_WAIT_SECONDS = 2.0  # for what another thread asks
_REST_SECONDS = 10.0  # between two questions, whatever key ids callers make up


class SigningKeys:
    """The provider's keys. For threads."""

    def __init__(self, discovery: Discovery, *, allows_http: bool, rest_seconds: float = _REST_SECONDS) -> None:
        self._discovery = discovery
        self._allows_http = allows_http
        self._rest_seconds = rest_seconds
        self._asking = threading.Lock()  # held by the one thread that asks the provider
        self._found: KeySet | None = None
        self._asked_at: float | None = None

    def known(self, kid: str | None) -> KeySet | None:
        """All keys as they are known; None where `keys` would ask or wait."""
        return None if self._is_due(kid) or (kid is not None and not self._has(kid)) else self._found

    def keys(self, kid: str | None) -> KeySet:
        """All keys; asked for anew where they are old, or lack the one that is named. Raises ProviderAway.

        While the provider is away the keys that are known go on to count. While it is slow, nobody waits whose key is
        known.
        """
        if self._is_due(kid) or self._asking.locked():
            self._renew(kid, lambda: self._is_due(kid))
        if self._found is None:
            raise ProviderAway("its keys are not known yet; try again in a moment")
        return self._found

    def keys_newer_than(self, known: KeySet) -> KeySet | None:
        """Other keys than these, where the provider has any; it is not asked more often than for made-up key ids."""
        with contextlib.suppress(ProviderAway):
            self._renew(None, self._has_rested)
        return None if self._found is None or self._found == known else self._found

    def _renew(self, kid: str | None, is_due: Callable[[], bool]) -> None:
        """Ask, or wait for another thread that does where its answer is needed. Raises ProviderAway."""
        is_needed = self._found is None or (kid is not None and not self._has(kid))
        if not self._asking.acquire(timeout=_WAIT_SECONDS if is_needed else 0):
            return
        try:
            if is_due():  # nobody has asked meanwhile
                self._asked_at = time.monotonic()
                self._found = self._ask()
        except ProviderAway:
            if self._found is None:
                raise
        finally:
            self._asking.release()

    def _has_rested(self) -> bool:
        return self._asked_at is None or time.monotonic() - self._asked_at >= self._rest_seconds

    def _is_due(self, kid: str | None) -> bool:
        if self._asked_at is None:
            return True
        if not self._has_rested():
            return False
        age = time.monotonic() - self._asked_at
        return self._found is None or age > _KEEP_SECONDS or (kid is not None and not self._has(kid))

    def _has(self, kid: str) -> bool:
        return any(key.kid == kid for key in self._found or ())

    def _ask(self) -> KeySet:
        said = fetch_json(self._discovery.document().jwks_uri, allows_http=self._allows_http)
        try:
            return KeySet.import_key_set({"keys": [key for key in said.get("keys", []) if key.get("kty") != "oct"]})
        except (JoseError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProviderAway(f"its keys cannot be read: {type(error).__name__}") from None
