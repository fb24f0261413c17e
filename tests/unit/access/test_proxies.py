"""Behind proxies the caller is who a trusted proxy says, and nobody can say it for herself."""

from __future__ import annotations

import pytest

from api.server.wire.proxies import TrustedProxies, scheme
from shared.config import SettingsRefused, load_settings

PROXIES = TrustedProxies("10.0.0.0/8, 192.0.2.7 unix, fd00::/8")


@pytest.mark.parametrize(
    ("forwarded", "caller"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        (["1.1.1.1, 203.0.113.9, 10.0.0.2, 192.0.2.7"], "203.0.113.9"),
        (["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9:4711"], "203.0.113.9"),
        (['"[2001:db8::1]:4711"'], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["::ffff:10.0.0.3"], "10.0.0.3"),
        (["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (["203.0.113.9, unknown"], "10.0.0.1"),
        (["203.0.113.9, <script>, 10.0.0.2"], "10.0.0.2"),
        ([""], "10.0.0.1"),
        ([], "10.0.0.1"),
        (["203.0.113.9" + ", 10.0.0.2" * 10_000], "10.0.0.2"),
    ],
)
def test_the_caller_is_the_rightmost_address_that_is_no_proxy(forwarded: list[str], caller: str) -> None:
    """What stands left of it anybody may have written; what cannot be read is believed in nothing."""
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    assert PROXIES.caller("10.0.0.1", headers) == caller


@pytest.mark.parametrize("peer", ["10.1.2.3", "192.0.2.7", "unix", "fd00::1", "::ffff:10.0.0.1"])
def test_what_the_setting_names_is_trusted(peer: str) -> None:
    """Addresses, networks, and the peers of a Unix socket."""
    assert PROXIES.trusts(peer)


@pytest.mark.parametrize("peer", ["11.0.0.1", "192.0.2.8", "fe80::1", "", "somebody"])
def test_nobody_else_is(peer: str) -> None:
    """By default nobody at all."""
    assert not PROXIES.trusts(peer)
    assert not TrustedProxies("").trusts("10.1.2.3")
    assert not TrustedProxies("").trusts("unix")


def test_the_scheme_is_the_last_one_named() -> None:
    """And what is neither http nor https changes nothing."""
    assert scheme([(b"x-forwarded-proto", b"http, https")], "http") == "https"
    assert scheme([(b"x-forwarded-proto", b"gopher")], "http") == "http"
    assert scheme([], "https") == "https"


@pytest.mark.parametrize("given", ["10.0.0.0/33", "proxy.example", "10.0.0.1/8"])
def test_a_setting_that_cannot_be_read_stops_the_start(given: str) -> None:
    """And the error says what it may be: a name or a network with bits of a host is no network."""
    with pytest.raises(SettingsRefused, match=r"PREDICTQ_TRUSTED_PROXIES: .*write addresses, networks"):
        load_settings(database_url="postgresql://x/y", redis_url="redis://x", trusted_proxies=given)
