"""Who calls, where a proxy stands between: the address that proxies of our own trust say, and never a caller's word."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from shared.addresses import trusted_networks

UNIX = "unix"  # stands for the address of whoever comes over a Unix socket

Address = IPv4Address | IPv6Address
Headers = Iterable[tuple[bytes, bytes]]

_LONGEST_ORIGIN = 64  # characters of what is no address
_LONGEST_CHAIN = 20  # addresses of X-Forwarded-For that are looked at


class TrustedProxies:
    """The peers whose X-Forwarded-For and X-Forwarded-Proto count."""

    def __init__(self, setting: str) -> None:
        """`setting` is that of PREDICTQ_TRUSTED_PROXIES. Raises ValueError where it cannot be read."""
        self._networks = trusted_networks(setting)
        self._trusts_unix = UNIX in setting.replace(",", " ").split()

    def trusts(self, peer: str) -> bool:
        """Whether a peer of this address is one of them."""
        if peer == UNIX:
            return self._trusts_unix
        address = read_address(peer)
        return address is not None and self._is_trusted(address)

    def caller(self, peer: str, headers: Headers) -> str:
        """The caller's address, for a peer that is trusted: the rightmost one of X-Forwarded-For that is none of ours.

        What stands left of it, anybody may have written. A word that is no address ends the search as well.
        """
        given = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
        caller = peer
        for word in reversed(given.split(",")[-_LONGEST_CHAIN:]):
            address = read_address(word)
            if address is None:
                break
            caller = str(address)
            if not self._is_trusted(address):
                break
        return caller

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def scheme(headers: Headers, otherwise: str) -> str:
    """How the caller reached the outermost proxy, by the last X-Forwarded-Proto: http or https."""
    given = [value for name, value in headers if name == b"x-forwarded-proto"]
    said = given[-1].rpartition(b",")[2].strip().lower().decode("latin-1") if given else ""
    return said if said in ("http", "https") else otherwise


def read_address(word: str) -> Address | None:
    """An address as proxies write it, with a port or without, in brackets or not; None for anything else.

    An IPv4 address in the dress of IPv6 is the IPv4 address, so that nobody has two.
    """
    word = word.strip().strip('"')
    if word.startswith("["):
        word = word[1:].partition("]")[0]
    elif word.count(":") == 1:
        word = word.partition(":")[0]
    try:
        address = ip_address(word.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def origin_of(address: str) -> str:
    """Under what an address is counted: an IPv6 address with all of its /64, which one caller has as a rule."""
    found = None if address == UNIX else read_address(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False))
    return address[:_LONGEST_ORIGIN] if found is None else str(found)
