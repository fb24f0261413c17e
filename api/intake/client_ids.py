"""What a client id in a JSON body is: one predicate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeGuard

MAX_CLIENT_ID = 2**63 - 1


def is_client_id(value: object) -> TypeGuard[int]:
    """Whether a value of a JSON text is a client id: a whole number from 1, written as one."""
    return type(value) is int and 0 < value <= MAX_CLIENT_ID


def are_client_ids(values: list[object]) -> TypeGuard[list[int]]:
    """Whether all of them are, and there is one at least; the same at C speed."""
    return set(map(type, values)) == {int} and min(values) > 0 and max(values) <= MAX_CLIENT_ID  # type: ignore[type-var,operator]  # all are int


def positions_of_others(values: Iterable[object]) -> Iterable[int]:
    """Which of them are no client ids, counted from 0."""
    return (n for n, value in enumerate(values) if not is_client_id(value))
