"""What FastAPI finds wrong with a call, as the problems that every other call answers with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from api.http.problems import MALFORMED, MOST_FLAWS, NOT_FOUND, Flaw, Invalid, Problem, pointer, problem_of
from shared.errors import ModelVersionUnknown
from shared.retention.rules.errors import HoldUnknown, RunUnknown

_OBJECT_EXPECTED = ("model_attributes_type", "model_type", "dict_type")
# By pydantic's type of an error.
_CODES = {"missing": "missing", "extra_forbidden": "unknown_field"} | dict.fromkeys(_OBJECT_EXPECTED, "object_expected")
_PLACES = {"query": "invalid_parameter", "header": "invalid_header", "cookie": "invalid_cookie"}  # else a body
# A path that cannot name anything is answered as one that names nothing: a call has one kind of 404.
_UNKNOWN = {"number": ModelVersionUnknown, "hold_id": HoldUnknown, "run_id": RunUnknown}
_LONGEST_SHOWN = 80
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:")
_SHOULD = re.compile(r"^\w+ should\b")  # pydantic says "Input should be …", "String should have …"


def problem_of_validation(error: RequestValidationError) -> Problem:
    """A problem with a pointer, a code and a sentence for each flaw, twenty at most.

    A path that names nothing that could be there is a 404, a body that is no JSON a 400.
    """
    found: list[Mapping[str, Any]] = list(error.errors())[:MOST_FLAWS]
    for item in found:
        place, *rest = item["loc"]
        if place == "path":
            return _unknown(rest[0], str(item["input"])[:_LONGEST_SHOWN])
        if item["type"] == "json_invalid":
            return Problem(MALFORMED, f"The body is not JSON: {item['ctx']['error']}")
    return Invalid(*map(_flaw, found))


def _require_plain_digits(text: str) -> str:
    if not (text.isascii() and text.isdigit()) or text.startswith("0"):
        raise ValueError("write it in digits, without a zero before them")
    return text


def _require_time(given: object) -> object:
    if not isinstance(given, str) or not _TIME.match(given):  # a number would count as seconds since 1970
        raise ValueError("must be a time with its zone, such as 2026-01-31T12:00:00Z")
    return given


def _in_utc(given: datetime) -> datetime:
    """PostgreSQL knows no zone that is 16 hours or more from UTC; ISO 8601 does."""
    try:
        return given.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time of the years 1 to 9999 in UTC, too") from None


GivenTime = Annotated[AwareDatetime, BeforeValidator(_require_time), AfterValidator(_in_utc)]
PlainNumber = BeforeValidator(_require_plain_digits)  # of a path: 1 and neither 001, +1, 1.0 nor ١


def _unknown(parameter: str, text: str) -> Problem:
    error = _UNKNOWN.get(parameter)
    found = None if error is None else problem_of(error(text))
    return found or Problem(NOT_FOUND, f"There is no {parameter} {text!r}.")


def _flaw(item: Mapping[str, Any]) -> Flaw:
    place, *steps = item["loc"]
    code = _CODES.get(item["type"]) or _PLACES.get(place, "invalid_value")
    path = [str(step) for step in steps]
    where = pointer(*path) if place == "body" else pointer(place, *path)
    return Flaw(where, code, _detail(_named(steps), item))


def _named(steps: Sequence[str | int]) -> str:
    """How people write it: `rows[3].key`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step[:80]}" for step in steps)
    return text.removeprefix(".") or "the body"


def _detail(name: str, item: Mapping[str, Any]) -> str:
    if item["type"] == "missing":
        return f"{name} is missing"
    if item["type"] == "extra_forbidden":
        return f"{name!r} is not a field of this call"
    if item["type"] in _OBJECT_EXPECTED:
        return f"{name} must be a JSON object"
    return f"{name} {_SHOULD.sub('must', str(item['msg']).removeprefix('Value error, '))}"
