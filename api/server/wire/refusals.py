"""Refusals at the wire: before there is a call, a connection answers for itself, in the same form as every call."""

from __future__ import annotations

import itertools
import secrets

from starlette.responses import Response

from api.http.problems import (
    AMBIGUOUS_REQUEST,
    LARGE_HEAD,
    LONG_LINE,
    MALFORMED_REQUEST,
    TOO_MANY_CONNECTIONS,
    TOO_SLOW,
    Problem,
    render,
)
from api.server.wire.reasons import Reason

_KINDS = {
    Reason.MALFORMED: MALFORMED_REQUEST,
    Reason.AMBIGUOUS: AMBIGUOUS_REQUEST,
    Reason.LONG_LINE: LONG_LINE,
    Reason.LARGE_HEAD: LARGE_HEAD,
    Reason.MANY_HEADERS: LARGE_HEAD,
    Reason.LARGE_FRAMES: LARGE_HEAD,
    Reason.SLOW_HEAD: TOO_SLOW,
    Reason.SLOW_BODY: TOO_SLOW,
    Reason.GATEWAY_FULL: TOO_MANY_CONNECTIONS,
    Reason.ADDRESS_FULL: TOO_MANY_CONNECTIONS,
}
_PREFIX = secrets.token_hex(4)
_numbers = itertools.count(1)


class Refusal(Exception):
    """What came is not taken; the connection ends with a word about it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def answer_to(refusal: Refusal, path: str) -> Response:
    """The answer, as problem+json."""
    request_id = f"{_PREFIX}-w{next(_numbers)}"
    problem = Problem(_KINDS[refusal.reason], refusal.detail)
    response = render(problem, instance=path, request_id=request_id)
    own = {"x-request-id": request_id, "x-content-type-options": "nosniff", "cache-control": "no-store"}
    response.headers.update({**own, "connection": "close"})
    return response
