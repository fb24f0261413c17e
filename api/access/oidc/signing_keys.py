"""The keys that an identity provider signs with: kept for a while, and asked for anew when it begins to use others."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from api.access.oidc.discovery import Discovery
from api.access.oidc.fetch import ProviderAway, fetch_json
from shared.logging import get_logger

log = get_logger(__name__)

_KEEP_SECONDS = 3600.0
_LONGEST_SECONDS = 24 * 3600.0  # that keys count of which the provider no longer says anything
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
        self._found_at = time.monotonic()
        self._why_away: str | None = None  # what was wrong when it was asked last; None where it answered

    def known(self, kid: str | None) -> KeySet | None:
        """All keys as they are known; None where `keys` would ask, wait or raise."""
        if self._is_due(kid) or (kid is not None and not self._has(kid)) or self._is_outdated():
            return None
        return self._found

    def keys(self, kid: str | None) -> KeySet:
        """All keys; asked for anew where they are old, or lack the one that is named. Raises ProviderAway.

        While the provider is away the keys that are known go on to count, for a day. While it is slow, nobody waits
        whose key is known.
        """
        if self._is_due(kid) or self._asking.locked():
            self._renew(kid, lambda: self._is_due(kid))
        if self._found is None:
            raise ProviderAway("its keys are not known yet; try again in a moment")
        if self._is_outdated() or (self._why_away is not None and kid is not None and not self._has(kid)):
            # It may have given out this very key meanwhile.
            raise ProviderAway(self._why_away or "its keys have not been looked at for a day")
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
                self._found_at, self._why_away = time.monotonic(), None
        except ProviderAway as error:
            self._why_away = error.why
            if self._found is None:
                raise
            log.warning("identity_provider_keys_not_renewed", reason=error.why)
        finally:
            self._asking.release()

    def _is_outdated(self) -> bool:
        return time.monotonic() - self._found_at > _LONGEST_SECONDS

    def _has_rested(self) -> bool:
        return self._asked_at is None or time.monotonic() - self._asked_at >= self._rest_seconds

    def _is_due(self, kid: str | None) -> bool:
        if self._asked_at is None:
            return True
        if not self._has_rested():
            return False
        age = time.monotonic() - self._asked_at
        is_known = self._found is not None and (kid is None or self._has(kid))
        return not is_known or age > _KEEP_SECONDS or self._is_outdated()

    def _has(self, kid: str) -> bool:
        return any(key.kid == kid for key in self._found or ())

    def _ask(self) -> KeySet:
        said = fetch_json(self._discovery.document().jwks_uri, allows_http=self._allows_http)
        given = said.get("keys")
        if not isinstance(given, list):
            raise ProviderAway("its document of keys has no list of them")
        keys = [key for key in map(_read_key, given) if key is not None]
        if not keys:
            raise ProviderAway("none of its keys can be read")
        return KeySet(keys)


def _read_key(given: Any) -> Key | None:
    """A key to check signatures with; None of a kind or for a use that is not known here (RFC 7517, 5)."""
    if not isinstance(given, dict) or given.get("kty") == "oct":
        return None  # who can check by a shared secret can sign by it
    try:
        return JWKRegistry.import_key(given)
    except (JoseError, AttributeError, KeyError, TypeError, ValueError) as error:
        log.info("identity_provider_key_left_out", reason=type(error).__name__)
        return None
