"""Heads of requests: what ASGI is told of them, and what in them two readers would understand in two ways."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from api.server.wire.reasons import Reason
from api.server.wire.refusals import Refusal

Header = tuple[bytes, bytes]
Fields = dict[bytes, bytes]

# Of these a second one would be overlooked by one reader and believed by another.
_ONCE = frozenset(
    b"host authorization cookie origin idempotency-key x-request-id expect transfer-encoding content-length "
    b"content-type content-encoding".split()
)
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{0,5})?")
_UPGRADE = re.compile(rb"(?i)\r\nupgrade[ \t]*:")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]*)(.*)")
_STRAY = re.compile(rb"(?<!\r)\n|\0")
_TLS = 0x16  # first byte of a TLS handshake


def check_fields(headers: list[Header]) -> Fields:
    """The headers by name. Raises Refusal where one stands twice that may stand once."""
    fields = dict(headers)
    if len(fields) != len(headers):
        seen = set()
        for name, _ in headers:
            if name in seen and name in _ONCE:
                raise Refusal(Reason.AMBIGUOUS, f"The header {name.decode()} is given twice. Send it once.")
            seen.add(name)
    return fields


def check_host(host: bytes | None) -> None:
    """Raise Refusal unless there is a Host header that can be one."""
    if host is None:
        raise Refusal(Reason.AMBIGUOUS, "The request has no Host header.")
    if _HOST.fullmatch(host) is None:
        raise Refusal(Reason.AMBIGUOUS, "The Host header is no name or address with an optional port.")


def check_beginning(begun: bytes, *, most_line: int) -> None:
    """Look at the bytes of a head whose end has not come. Raises Refusal as soon as it can be none."""
    if not 65 <= begun[0] <= 90:  # A to Z: a method
        spoken = "TLS, which this port does not" if begun[0] == _TLS else "something else"
        raise Refusal(Reason.MALFORMED, f"A request line of HTTP/1.1 was expected. The caller speaks {spoken}.")
    if _STRAY.search(begun):
        raise Refusal(Reason.MALFORMED, "Lines of the head must end in CR LF, and hold no NUL.")
    end = begun.find(b"\r\n")
    if (len(begun) if end < 0 else end) > most_line:
        raise long_line(most_line)


def long_line(most: int) -> Refusal:
    """The refusal of a request line."""
    return Refusal(Reason.LONG_LINE, f"The request line may have {most:,} bytes (PREDICTQ_MAX_REQUEST_LINE_BYTES).")


def without_upgrade(head: bytes) -> bytes:
    """The head with its Upgrade header under another name: the parser would take the body for another protocol."""
    return _UPGRADE.sub(b"\r\nx-upgrade:", head)


def set_target(scope: dict[str, Any], url: bytes, host: bytes | None) -> None:
    """Put path and query into the scope. Raises Refusal where they cannot be read, or name another host."""
    if not url.startswith(b"/"):
        url = _path_of(url, host)
    raw_path, _, query = url.partition(b"#")[0].partition(b"?")
    try:
        path = raw_path.decode("ascii")
    except UnicodeDecodeError:
        raise Refusal(Reason.MALFORMED, "The path holds bytes that must be percent-encoded.") from None
    scope["path"] = unquote(path) if "%" in path else path
    scope["raw_path"] = raw_path
    scope["query_string"] = query


def _path_of(url: bytes, host: bytes | None) -> bytes:
    """The path in a target that names its host, too, as clients send it to proxies."""
    target = _ABSOLUTE.fullmatch(url)
    if target is None:
        raise Refusal(Reason.MALFORMED, "The request's target is no path of this server.")
    if target[1].lower() != (host or b"").lower():
        raise Refusal(Reason.AMBIGUOUS, "The request line and the Host header name two hosts.")
    return target[2] if target[2].startswith(b"/") else b"/" + target[2]
