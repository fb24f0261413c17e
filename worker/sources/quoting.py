"""Names and arrays as SQL. Names of users are identifiers here, quoted, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence


def quoted(name: str) -> str:
    """A name as an identifier, whatever stands in it."""
    return '"' + name.replace('"', '""') + '"'


def array_text(values: Sequence[str]) -> str:
    """PostgreSQL's text of an array of these texts."""
    if not values:
        return "{}"
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return '{"' + joined + '"}'
