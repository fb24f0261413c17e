"""Client ids of JSON bodies, as keys of a source."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

from api.http.problems import MOST_FLAWS, Flaw, Invalid
from shared.sources.keys import ClientKey, KeyColumn, KeyForm, KeyRefused

MAX_CLIENT_ID = 2**63 - 1


def parse_client_id(content: dict[str, Any], keys: KeyForm) -> ClientKey:
    """The key in the field `client_id`. Raises Invalid."""
    if "client_id" not in content:
        raise Invalid(Flaw("/client_id", "missing", "client_id is missing"))
    try:
        return keys.parse(content["client_id"])
    except KeyRefused as error:
        raise Invalid(Flaw("/client_id", "invalid_client_id", f"client_id {error.detail}")) from None


def parse_reference(content: dict[str, Any]) -> ClientKey:
    """The `client_id` beside features, for a model without a source: any whole number or text. Raises Invalid."""
    value = content["client_id"]
    if type(value) is int:
        return ClientKey(str(value), value)
    try:
        return _REFERENCES.parse(value)
    except KeyRefused as error:
        raise Invalid(Flaw("/client_id", "invalid_client_id", f"client_id {error.detail}, or a whole number")) from None


_REFERENCES = KeyForm((KeyColumn("client_id", "text"),))


def are_whole_numbers(values: list[object]) -> bool:
    """Whether all are whole numbers that a bigint can hold, and there is one at least; found out at C speed."""
    return set(map(type, values)) == {int} and min(values) >= -(2**63) and max(values) <= MAX_CLIENT_ID  # type: ignore[type-var,operator]  # all are int


def parse_client_ids(values: list[object], keys: KeyForm) -> list[ClientKey]:
    """The keys of a list. Raises Invalid, which names the first ones that are none."""
    found: list[ClientKey] = []
    flaws: list[Flaw] = []
    for number, value in enumerate(values):
        try:
            found.append(keys.parse(value))
        except KeyRefused as error:
            flaws.append(Flaw(f"/client_ids/{number}", "invalid_client_id", f"client_ids[{number}] {error.detail}"))
            if len(flaws) == MOST_FLAWS:
                break
    if flaws:
        raise Invalid(*flaws)
    return found


def is_client_id(value: object) -> TypeGuard[int]:
    """Whether a value of a JSON text is a client id: a whole number from 1, written as one."""
    return type(value) is int and 0 < value <= MAX_CLIENT_ID


def are_client_ids(values: list[object]) -> TypeGuard[list[int]]:
    """Whether all of them are, and there is one at least; the same at C speed."""
    return set(map(type, values)) == {int} and min(values) > 0 and max(values) <= MAX_CLIENT_ID  # type: ignore[type-var,operator]  # all are int


def positions_of_others(values: Iterable[object]) -> Iterable[int]:
    """Which of them are no client ids, counted from 0."""
    return (n for n, value in enumerate(values) if not is_client_id(value))


def problem_of_id(text: str) -> str | None:
    """Why a text is no client id; None when it is one."""
    if not (text.isascii() and text.isdigit()):
        return f"{text[:40]!r} is not a whole number"
    if len(text) > 40 or not is_client_id(int(text)):  # the length first: int() of a long text is slow
        return f"{text[:40]} is not between 1 and {MAX_CLIENT_ID}"
    return None
