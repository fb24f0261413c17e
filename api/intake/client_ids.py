"""Client ids of JSON bodies, as keys of a source."""

from __future__ import annotations

from typing import Any

from api.http.problems import MOST_FLAWS, Flaw, Invalid
from shared.sentences import retold
from shared.sources.key_types import INTEGER_RANGES
from shared.sources.keys import ClientKey, KeyForm, KeyRefused
from shared.sources.references import REFERENCES


def parse_client_id(content: dict[str, Any], keys: KeyForm) -> ClientKey:
    """The key in the field `client_id`. Raises Invalid."""
    if "client_id" not in content:
        raise Invalid(Flaw("/client_id", "missing", "client_id is missing"))
    try:
        return keys.parse(content["client_id"])
    except KeyRefused as error:
        detail = retold(error.detail, f"client_id {error.detail}", name="client_id")
        raise Invalid(Flaw("/client_id", "invalid_client_id", detail)) from None


def parse_reference(content: dict[str, Any]) -> ClientKey:
    """The `client_id` beside features, for a model without a source: a text, or a number of 64 bits. Raises Invalid."""
    try:
        return REFERENCES.parse(content["client_id"])
    except KeyRefused as error:
        other = "" if type(content["client_id"]) is int else ", or a whole number"
        raise Invalid(Flaw("/client_id", "invalid_client_id", f"client_id {error.detail}{other}")) from None


def are_whole_numbers(values: list[object]) -> bool:
    """Whether all are keys of the type bigint as they stand, and there is one at least; found out at C speed."""
    least, most = INTEGER_RANGES["bigint"]
    return set(map(type, values)) == {int} and min(values) >= least and max(values) <= most  # type: ignore[type-var,operator]  # all are int


def parse_client_ids(values: list[object], keys: KeyForm, *, first: int = 0) -> list[ClientKey]:
    """The keys of a list, or of its part from `first` on. Raises Invalid, which names the first ones that are none."""
    found: list[ClientKey] = []
    flaws: list[Flaw] = []
    for number, value in enumerate(values, first):
        try:
            found.append(keys.parse(value))
        except KeyRefused as error:
            flaws.append(Flaw(f"/client_ids/{number}", "invalid_client_id", f"client_ids[{number}] {error.detail}"))
            if len(flaws) == MOST_FLAWS:
                break
    if flaws:
        raise Invalid(*flaws)
    return found
