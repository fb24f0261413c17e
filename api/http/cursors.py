"""Cursors, limits and links of the calls that list something."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from starlette.requests import Request

from api.http.problems import Flaw, Invalid, pointer
from api.http.root_path import rooted

Cursor = Annotated[str | None, Query(description="Go on after a page: its `next`.")]


def limit_of(request: Request, *, default: int, most: int) -> int:
    """`?limit=` of a direct route. Raises Invalid unless it is a whole number from 1 to `most`."""
    given = request.query_params.get("limit")
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 10 and 1 <= int(given) <= most):
        raise bad_parameter("limit", f"limit must be a whole number from 1 to {most}")
    return int(given)


def bad_parameter(name: str, detail: str) -> Invalid:
    """The error for a query parameter."""
    return Invalid(Flaw(pointer("query", name), "invalid_parameter", detail))


@contextmanager
def in_query() -> Iterator[None]:
    """Where what a body may say stands in the address: its flaws point there."""
    try:
        yield
    except Invalid as invalid:
        raise Invalid(*(replace(flaw, pointer=f"/query{flaw.pointer}") for flaw in invalid.flaws)) from None


def make_cursor(*parts: object) -> str:
    """An opaque cursor of these parts, which hold no colon."""
    return base64.urlsafe_b64encode(":".join(map(str, parts)).encode()).decode().rstrip("=")


def read_cursor(given: str | None, parts: int) -> list[str] | None:
    """The parts of a cursor, or None without one. Raises Invalid."""
    if given is None:
        return None
    try:
        found = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode().split(":")
    except (binascii.Error, ValueError):
        found = []
    if len(found) != parts:
        raise bad_cursor()
    return found


def read_number_cursor(given: str | None, *largest: int, kind: str | None = None) -> list[int] | None:
    """The numbers of a cursor, each at most what its column takes; of a cursor with a `kind` it is its first part.

    Raises Invalid: a larger number, or a cursor of another kind, would be an error of the database.
    """
    parts = read_cursor(given, len(largest) + (kind is not None))
    if parts is None:
        return None
    if kind is not None and parts.pop(0) != kind:
        raise bad_cursor()
    for part, most in zip(parts, largest, strict=True):
        if not (part.isascii() and part.isdigit() and len(part) < 20 and int(part) <= most):
            raise bad_cursor()
    return [int(part) for part in parts]


def bad_cursor() -> Invalid:
    """The error for a cursor that this call did not give out."""
    return bad_parameter("cursor", "cursor must be one that this call gave out; leave it out to start at the beginning")


def next_link(path: str, parameters: Iterable[tuple[str, object]]) -> str:
    """The value of a Link header to the next page (RFC 8288)."""
    return f'<{rooted(path)}?{urlencode(list(parameters))}>; rel="next"'
