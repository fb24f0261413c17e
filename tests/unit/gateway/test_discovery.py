"""What an identity provider says of itself is asked for seldom, also while it is away."""

from __future__ import annotations

from typing import Any

import pytest

from api.access.oidc import discovery
from api.access.oidc.discovery import Discovery
from api.access.oidc.fetch import ProviderAway

ISSUER = "https://issuer.example"
DOCUMENT = {
    "issuer": ISSUER,
    "jwks_uri": f"{ISSUER}/jwks",
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
}


class Provider:
    """A stand-in, and the clock that it is asked by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.asked, self.is_away = 1000.0, 0, False
        monkeypatch.setattr(discovery, "fetch_json", self._fetch)
        monkeypatch.setattr(discovery.time, "monotonic", lambda: self.now)

    def _fetch(self, _url: str, *, allows_http: bool) -> dict[str, Any]:
        assert not allows_http
        self.asked += 1
        if self.is_away:
            raise ProviderAway("it hangs")
        return DOCUMENT


def test_a_provider_that_was_never_there_is_not_asked_at_each_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes within ten seconds is told at once, with the same reason; then it is asked again."""
    provider, found = Provider(monkeypatch), Discovery(ISSUER, allows_http=False)
    provider.is_away = True
    for _ in range(5):
        with pytest.raises(ProviderAway, match="it hangs"):
            found.document()
    assert provider.asked == 1
    provider.is_away, provider.now = False, provider.now + 10
    assert found.document().token_endpoint == f"{ISSUER}/token"


def test_an_old_document_does_while_the_provider_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again ten seconds later, not an hour; a new document is good for an hour."""
    provider, found = Provider(monkeypatch), Discovery(ISSUER, allows_http=False)
    known = found.document()
    provider.is_away, provider.now = True, provider.now + 3600
    assert (found.document(), found.document(), provider.asked) == (known, known, 2)
    provider.is_away, provider.now = False, provider.now + 10
    assert (found.document(), provider.asked) == (known, 3)
    provider.now += 3599
    assert (found.document(), provider.asked) == (known, 3)
