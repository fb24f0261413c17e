"""A provider that is slow holds up nobody whose key is known."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from joserfc.jwk import ECKey, KeySet, OctKey

from api.access.oidc import signing_keys
from api.access.oidc.discovery import Discovery
from api.access.oidc.fetch import ProviderAway
from api.access.oidc.signing_keys import SigningKeys


def test_who_has_a_known_key_does_not_wait_for_the_provider() -> None:
    """Somebody has come with a key id that is new, and the provider does not answer; then it does."""
    keys = SigningKeys(cast("Discovery", None), allows_http=True, rest_seconds=0.0)
    old = KeySet([OctKey.import_key("old" * 11, {"kid": "old"})])
    new = KeySet([OctKey.import_key("new" * 11, {"kid": "new"})])
    asked, answers = threading.Event(), threading.Event()
    given = [old, new]

    def ask() -> KeySet:
        if len(given) == 1:
            asked.set()
            assert answers.wait(10)
        return given.pop(0)

    keys._ask = ask  # type: ignore[method-assign]
    assert keys.keys("old") is old
    found: list[KeySet] = []
    slow = threading.Thread(target=lambda: found.append(keys.keys("new")))
    slow.start()
    assert asked.wait(10)
    known: list[KeySet] = []
    quick = threading.Thread(target=lambda: known.append(keys.keys("old")))
    quick.start()
    quick.join(5)
    assert known == [old]
    answers.set()
    slow.join(10)
    assert found == [new]


class Provider:
    """A stand-in for a provider, and for the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.keys, self.is_away = 1000.0, list[Any](), False
        monkeypatch.setattr(signing_keys, "fetch_json", self._fetch)
        monkeypatch.setattr(signing_keys.time, "monotonic", lambda: self.now)
        document = SimpleNamespace(document=lambda: SimpleNamespace(jwks_uri="https://issuer.example/keys"))
        self.asked = SigningKeys(cast("Discovery", document), allows_http=False, rest_seconds=0.0)

    def _fetch(self, _url: str, *, allows_http: bool) -> dict[str, Any]:
        assert not allows_http
        if self.is_away:
            raise ProviderAway("it hangs")
        return {"keys": self.keys}

    def known(self, kid: str) -> list[str | None]:
        self.now += 1
        return [key.kid for key in self.asked.keys(kid)]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    return Provider(monkeypatch)


def public(kid: str) -> dict[str, Any]:
    return dict(ECKey.generate_key("P-256", {"kid": kid, "use": "sig"}, private=False).as_dict(private=False))


STRANGE: list[Any] = [
    {"kty": "EC", "crv": "BP-256", "kid": "s", "x": "AA", "y": "AA"},
    {"kty": "OKP", "crv": "Bls12381G2", "kid": "s", "x": "AA"},
    {"kty": "XY", "kid": "s"},
    {**public("s"), "use": "proof"},
    {**public("s"), "key_ops": "verify"},
    {"kid": "s"},
    "s",
    None,
]


@pytest.mark.parametrize("strange", STRANGE)
def test_a_key_that_is_not_known_here_costs_the_others_nothing(provider: Provider, strange: Any) -> None:
    """RFC 7517, 5: such keys are passed over. Those that the provider took back end with its next answer."""
    provider.keys = [public("a"), strange]
    assert provider.known("a") == ["a"]
    provider.keys = [strange, public("b")]
    assert provider.known("b") == ["b"]


def test_a_key_may_be_new_while_the_provider_is_away(provider: Provider) -> None:
    """Then nobody can say that a token is made up; those of known keys go on, for a day."""
    provider.keys = [public("a")]
    assert provider.known("a") == ["a"]
    provider.is_away = True
    with pytest.raises(ProviderAway, match="hangs"):
        provider.known("b")
    assert provider.known("a") == ["a"]
    provider.now += 23 * 3600
    assert provider.known("a") == ["a"]
    provider.now += 3600
    assert provider.asked.known("a") is None
    with pytest.raises(ProviderAway):
        provider.known("a")
    provider.is_away = False
    assert provider.known("a") == ["a"]


def test_keys_none_of_which_can_be_read_are_a_fault_of_the_provider(provider: Provider) -> None:
    """And not of whoever has come with a token."""
    for keys in ([], ["s"], [{"kty": "oct", "k": "AA", "kid": "a"}]):
        provider.keys = keys
        with pytest.raises(ProviderAway, match="none of its keys"):
            provider.known("a")
