"""Arrays as PostgreSQL reads them from a text: one literal costs it a third of what an expression per element does."""

from __future__ import annotations

from collections.abc import Sequence


def array_text(values: Sequence[str]) -> str:
    """PostgreSQL's text of an array of these texts."""
    if not values:
        return "{}"
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return '{"' + joined + '"}'


def nullable_array_text(values: Sequence[str | int | bool | None]) -> str | None:
    """The same of texts, numbers or truth values, of which some may be missing; None where all are.

    `unnest` of several arrays fills the shorter ones up with nulls, and no array at all, too.
    """
    given = [value for value in values if value is not None]
    if not given:
        return None
    if len(given) == len(values):
        return array_text([str(value) for value in given])
    return "{" + ",".join("NULL" if value is None else array_text([str(value)])[1:-1] for value in values) + "}"
