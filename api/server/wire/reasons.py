"""Why a connection or a request was refused, ready for /metrics."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A label of predictq_wire_refusals."""

    MALFORMED = "malformed"  # no HTTP/1.1
    AMBIGUOUS = "ambiguous"  # HTTP that two readers would understand in two ways
    LONG_LINE = "request_line_too_long"
    LARGE_HEAD = "head_too_large"
    MANY_HEADERS = "too_many_headers"
    LARGE_FRAMES = "trailers_too_large"  # or extensions of chunks
    SLOW_HEAD = "head_too_slow"
    SLOW_BODY = "body_too_slow"
    SILENT = "silent"  # connected, and never sent a byte
    IDLE = "idle"  # kept alive after a call, and never used again
    UNREAD = "answer_unread"
    BODY_CUT = "refused_body_cut"  # more of it came after the answer than is read
    GATEWAY_FULL = "too_many_connections"
    ADDRESS_FULL = "too_many_connections_of_an_address"
    REFUSED_OFTEN = "refused_often"  # the next call of the connection was read later
    WATCHED_OFTEN = "watched_often"  # the same, after what needs no key: health, metrics, the OpenAPI document
    NO_TLS = "no_tls"  # the handshake failed or took too long


PACED = (Reason.REFUSED_OFTEN, Reason.WATCHED_OFTEN)  # of an address there may be so many calls in a second
