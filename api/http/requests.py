"""Reading requests and building answers on the routes where every microsecond counts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive

from api.http.problems import MALFORMED, MEDIA, MOST_FLAWS, TOO_LARGE, Flaw, Invalid, Problem, pointer
from api.server.deadline import current
from shared.json_text.members import MemberTwiceError, refuse_twice
from shared.uploads.table_order import essence_of

SMALL_BYTES = 65_536  # of a body that is read at once
JSON_LIMIT = 1_000_000  # bytes of a body with the features of one prediction, or with a filter
IS_HEAD = "predictq.is_head"  # in the ASGI scope of a GET that was HEAD
LONGEST_WAIT = 60  # seconds that `Prefer: wait` can ask for

Headers = dict[bytes, bytes]

_WAIT = re.compile(rb"(?:^|[,;])\s*wait\s*=\s*(\d{1,9})\s*(?=[,;]|$)", re.IGNORECASE)
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.?)*)(?:"|$)', re.DOTALL)  # to the end where it is not closed: no second look
_CHARSET = re.compile(rb';\s*charset\s*=\s*"?([^\s";]*)', re.IGNORECASE)
_CHARSETS = (b"utf-8", b"utf8", b"us-ascii", b"ascii")
_IDEMPOTENCY_KEY = re.compile(rb"[\x21-\x7e]{1,255}")


class Raw(Response):
    """A response from ready bytes: what Response does, less the encoding of headers one by one."""

    def __init__(self, body: bytes, status: int, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *headers,
        ]

    def start(self, more: list[tuple[bytes, bytes]]) -> Message:
        """The beginning of the answer as ASGI has it, with `more` headers."""
        return {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers + more}

    def whole_body(self) -> Message:
        """All the rest of it."""
        return {"type": "http.response.body", "body": self.body}


def address_of(request: Request) -> str:
    """Where the call comes from; empty over a Unix socket."""
    client = request.scope["client"]
    return client[0] if client else ""


def headers_of(request: Request) -> Headers:
    """The request's headers as a dict; names are lower case already, and of a repeated one the last counts."""
    return dict(request.scope["headers"])


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of a body: all of it where it is small, and some more than that where it is not."""

    body: bytes
    is_whole: bool

    @property
    def is_small(self) -> bool:
        """Whether it may be read at once."""
        return self.is_whole and len(self.body) <= SMALL_BYTES


async def read_start(receive: Receive) -> Start:
    """The body up to its end, or until it is no longer small. Raises ClientDisconnect."""
    deadline = current()
    with deadline.paused():
        message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        pieces = [body]
        size = len(body)
        while message.get("more_body", False) and size <= SMALL_BYTES:
            with deadline.paused():
                message = await receive()
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
        body = b"".join(pieces)
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return Start(body, not message.get("more_body", False))


async def read_body(receive: Receive) -> bytes:
    """The whole of a body that need not be large. Raises Problem 413 above `SMALL_BYTES`."""
    start = await read_start(receive)
    if not start.is_small:
        raise too_large(SMALL_BYTES)
    return start.body


def too_large(limit: int) -> Problem:
    """The error for a body of more than `limit` bytes."""
    return Problem(TOO_LARGE, f"The body may have at most {limit:,} bytes; send more rows as an upload.")


def require_json(headers: Headers, *others: str) -> None:
    """Refuse a body that says it is something else. Raises Problem 415, which also names the `others` of the call."""
    media_type = headers.get(b"content-type", b"application/json")
    if media_type != b"application/json" and not _is_json(media_type):
        accepted = ("application/json", *others)
        raise Problem(
            MEDIA,
            f"Send `Content-Type: {' or '.join(accepted)}`, not {media_type.decode('latin-1')[:100]}.",
            headers={"Accept": ", ".join(accepted)},
        )
    require_utf8(headers)


def require_utf8(headers: Headers) -> None:
    """Refuse a text that is compressed, or says that it is in another encoding than UTF-8. Raises Problem 415."""
    refuse_encoding(headers)
    media_type = headers.get(b"content-type", b"")
    if b";" not in media_type:
        return
    told = _CHARSET.search(media_type)
    if told is not None and told[1].lower() not in _CHARSETS:
        name = told[1].decode("latin-1")[:40]
        raise Problem(
            MEDIA,
            f"Send the body in UTF-8, not in {name}. A table in another encoding can be sent as a file that is looked "
            "at first.",
        )


def refuse_encoding(headers: Headers) -> None:
    """Refuse a compressed body. Raises Problem 415."""
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem(MEDIA, "Send the body without Content-Encoding.", headers={"Accept-Encoding": "identity"})


def _is_json(media_type: bytes) -> bool:
    essence = essence_of(media_type.decode("latin-1"))
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a small body.

    Raises Problem 400 where the text is no JSON, 422 where it is something else than an object, or has a member twice.
    """
    try:
        content = orjson.loads(body)
        if type(content) is not dict or body.count(b":") != len(content):
            refuse_twice(body, content)
    except orjson.JSONDecodeError as error:
        raise Problem(MALFORMED, f"The body is not JSON: {error}") from None
    except RecursionError:
        raise Problem(MALFORMED, "The body is nested too deeply.") from None
    except MemberTwiceError as twice:
        raise member_twice(twice) from None
    content = checked_object(content)
    if b"\\u0000" in body and (where := _find_nul(content)) is not None:
        raise Invalid(Flaw(where, "nul_in_text", f"{where} holds the character NUL, which PostgreSQL cannot store."))
    return content


def checked_object(content: object) -> dict[str, Any]:
    """What was read, if it is an object. Raises Invalid."""
    if type(content) is not dict:
        raise Invalid(Flaw("", "object_expected", "The body must be a JSON object."))
    return content


def member_twice(error: MemberTwiceError) -> Invalid:
    """The error for a body that has a member of an object twice."""
    detail = f"an object in the body has the member {str(error)[:80]!r} twice"
    return Invalid(Flaw("", "duplicate_member", detail))


def _find_nul(value: Any) -> str | None:
    """The pointer of the first text with a NUL in it, names included; None without one."""
    if type(value) is str:
        return "" if "\0" in value else None
    items = value.items() if type(value) is dict else enumerate(value) if type(value) is list else ()
    for name, item in items:
        found = "" if "\0" in str(name) else _find_nul(item)
        if found is not None:
            return pointer(str(name).replace("\0", "\\u0000")) + found
    return None


def unknown_fields(content: dict[str, Any], *known: str) -> list[Flaw]:
    """A flaw for each of the first fields that are not among `known`."""
    if content.keys() <= set(known):
        return []
    unknown = islice((name for name in content if name not in known), MOST_FLAWS)
    return [
        Flaw(pointer(name), "unknown_field", f"{name[:80]!r} is not a field of this call; it takes {', '.join(known)}")
        for name in unknown
    ]


def wait_seconds(request: Request, headers: Headers) -> int:
    """What `Prefer: wait=N` asks for (RFC 7240), at most a minute; 0 without, or where it cannot be read."""
    if b"prefer" not in headers:
        return 0
    given = b",".join(value for name, value in request.scope["headers"] if name == b"prefer")
    found = _WAIT.search(_QUOTED.sub(_unquoted_number, given) if b'"' in given else given)
    return min(int(found[1]), LONGEST_WAIT) if found else 0


def _unquoted_number(quoted: re.Match[bytes]) -> bytes:
    """What a quoted string holds is one value, whatever it looks like."""
    return quoted[1] if quoted[1].isdigit() else b"-"


def idempotency_key(headers: Headers) -> str | None:
    """The Idempotency-Key, if one was sent. Raises Invalid."""
    key = headers.get(b"idempotency-key")
    if key is None:
        return None
    if _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise Invalid(
            Flaw(
                "/header/Idempotency-Key",
                "invalid_idempotency_key",
                "Idempotency-Key must be 1 to 255 visible ASCII characters.",
            )
        )
    return key.decode()
