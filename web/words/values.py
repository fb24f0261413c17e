"""Values of features as people read them, and whether two of them are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from web.words.catalogues import N_
from web.words.language import Language

KINDS = {  # of values that a feature may have; the types of programs stand beside these words
    "integer": N_("whole number"),
    "number": N_("number"),
    "boolean": N_("yes / no"),
    "category": N_("text"),
    "datetime": N_("date and time"),
}

_GROUPED = 10_000  # a shorter whole number may be a year


def shown_value(language: Language, spec: Mapping[str, Any], value: Any) -> str:
    """A value in the reader's language; a dash where it is missing. No digit is lost: it may have to be defended."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return language.say("yes") if value else language.say("no")
    if isinstance(value, int):
        return str(value) if abs(value) < _GROUPED else language.numbers.whole(value)
    if isinstance(value, float):
        is_short = value.is_integer() and 0 < abs(value) < _GROUPED
        return str(int(value)) if is_short else language.numbers.exact(value)
    if spec["kind"] == "datetime" and (at := _moment(value)) is not None:
        if spec.get("dtype", "").endswith("UTC]"):  # a moment, no time on a wall
            return language.moments.to_the_digit(at.replace(tzinfo=UTC))
        return at.isoformat(sep=" ").removesuffix(" 00:00:00")
    return str(value)


def shown_client(client_id: Any) -> str:
    """A client's key as a person reads it; a dash where the row names none."""
    if client_id is None:
        return "–"
    if isinstance(client_id, Mapping):
        return ", ".join(f"{name} {value}" for name, value in client_id.items())
    return str(client_id)


def shown_label(language: Language, label: Any) -> str:
    """A class as the model's maker named it."""
    if isinstance(label, bool):
        return language.say("yes") if label else language.say("no")
    return str(label)


def is_same(spec: Mapping[str, Any], one: Any, other: Any) -> bool:
    """Whether two values of a feature are the same, however they are written."""
    if one is None or other is None:
        return one is other
    if spec["kind"] == "datetime":
        return _moment(one) == _moment(other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-12)
    return str(one) == str(other)


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
