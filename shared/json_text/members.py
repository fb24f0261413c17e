"""Members that an object in a JSON text has twice: readers keep the last one without a word, and we refuse them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')


class MemberTwiceError(Exception):
    """An object has a member twice; its name."""


def refuse_twice(content: bytes, value: object) -> None:
    """Raise MemberTwiceError where an object in the JSON text `content`, which was read as `value`, has a member twice.

    Counted first, and read again only where the count leaves it open. RecursionError where it is nested very deeply.
    """
    if b":" in content and not are_all_counted(content, [value]):
        _DECODER.decode(content.decode())


def are_all_counted(content: bytes, values: Sequence[object]) -> bool:
    """Whether surely no object in `content`, which was read as these values, has a member twice.

    Each member written has a colon, so where there are no more colons than members were found, none was dropped for
    another of its name. False says only that a closer look is needed.
    """
    members = sum([_members(value) for value in values if type(value) is dict or type(value) is list])
    if content.count(b":") == members:
        return True
    return content.count(b'":') == members and not _SPACED_COLON.search(content)


def _members(value: Any) -> int:
    """How many members all objects in a value have. What JSON was read holds has a depth that does not matter."""
    if type(value) is dict:
        return len(value) + sum([_members(item) for item in value.values() if type(item) is dict or type(item) is list])
    return sum([_members(item) for item in value if type(item) is dict or type(item) is list])


def _refuse(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                raise MemberTwiceError(name)
            names.add(name)
    return members


def _nought(_: str) -> int:
    """Numbers do not matter here, and those of 5,000 digits are slow."""
    return 0


_DECODER = json.JSONDecoder(object_pairs_hook=_refuse, parse_int=_nought, parse_float=_nought)
