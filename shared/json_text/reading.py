"""Reading JSON that PostgreSQL has written: with numbers that can be written again, whatever their size."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

_LOWEST, _HIGHEST = -(2**63), 2**64 - 1  # of whole numbers that orjson writes


def read_json(text: str) -> Any:
    """The value of a JSON text, made of what `orjson.dumps` takes. Raises ValueError where it is no JSON.

    jsonb tells the double 1e20 as 100000000000000000000. A whole number beyond 64 bits is a double here, as it is where
    orjson reads the body of a call. A number beyond doubles, which only numeric columns hold, is a text of its digits.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # such a number, half of a surrogate pair in a text, or deeper than orjson reads
        return json.loads(text, parse_int=whole_number, parse_float=_number)


def whole_number(digits: str) -> int | float | str:
    """A whole number: of at most 64 bits as it is, a larger one as the next double, and one beyond these as a text."""
    if len(digits) <= len(str(_LOWEST)):
        number = int(digits)
        if _LOWEST <= number <= _HIGHEST:
            return number
    return _number(digits)


def _number(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits
