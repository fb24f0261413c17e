"""The addresses of PostgreSQL and Redis as people write them: checked before use, and never repeated in an error."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import parse_qsl

_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg2")
_ENCODE = "in user and password write % as %25, @ as %40, / as %2F, : as %3A, ? as %3F and # as %23"
_HOST = re.compile(r"(?:\[[0-9A-Za-z:.%]+\]|[^:\[\]]*)(?::(\d{1,5})?)?")
_AUTHORITY = re.compile(r"[^/?#]*")
_CHECKS = ("none", "optional", "required")

Network = IPv4Network | IPv6Network


def postgres_address(given: str) -> str:
    """`given` with the driver that predictq uses. Raises ValueError; its text holds nothing of `given`."""
    scheme, rest = _split(given)
    if scheme not in _POSTGRES:
        raise ValueError("must start with postgresql://")
    _check_authority(rest)
    return f"postgresql+psycopg2://{rest}"


def redis_address(given: str) -> str:
    """`given`, with certificates checked where it is TLS and does not say. Raises ValueError as above."""
    scheme, rest = _split(given)
    if scheme not in ("redis", "rediss"):
        raise ValueError("must start with redis:// or rediss://; a Unix socket cannot be used")
    end = _check_authority(rest)
    path, _, query = rest[end:].partition("?")
    if re.fullmatch(r"/?\d{0,5}", path) is None:
        raise ValueError("must end in the number of a database, as in redis://host:6379/0")
    options = dict(parse_qsl(query))
    if "db" in options:
        raise ValueError("has `db` among its options; write the number of the database after the host: /2")
    if options.get("ssl_cert_reqs", "required") not in _CHECKS:
        raise ValueError(f"has an ssl_cert_reqs that is none of {', '.join(_CHECKS)}")
    if scheme == "rediss" and "ssl_cert_reqs" not in options:
        # Celery's client checks no certificate unless it is told to.
        return f"rediss://{rest}{'&' if query else '?'}ssl_cert_reqs=required"
    return given


def _split(given: str) -> tuple[str, str]:
    scheme, separator, rest = given.partition("://")
    if not separator or not given.isprintable() or " " in given:
        raise ValueError("is no address: it begins with a scheme and ://, and holds no blanks")
    return scheme.lower(), rest


def _check_authority(rest: str) -> int:
    """Where user, password, host and port end. Raises ValueError where a character in the password divides it."""
    authority = _AUTHORITY.match(rest)
    end = authority.end() if authority else 0
    person, at, host = rest[:end].rpartition("@")
    if "@" in person or (not at and "@" in rest[end:]):
        raise ValueError(f"has a password that must be percent-encoded: {_ENCODE}")
    found = _HOST.fullmatch(host)
    if found is None or (found[1] and not 0 < int(found[1]) < 65536):
        raise ValueError(f"has a port that is no number from 1 to 65535, or a password to be encoded: {_ENCODE}")
    return end


def trusted_networks(given: str) -> tuple[Network, ...]:
    """The networks in a list of addresses, networks and the word `unix`, with commas between. Raises ValueError."""
    words = [word for word in given.replace(",", " ").split() if word != "unix"]
    try:
        return tuple(ip_network(word) for word in words)
    except ValueError as error:
        raise ValueError(f"{error}; write addresses, networks as 10.0.0.0/8, or unix, with commas between") from None
