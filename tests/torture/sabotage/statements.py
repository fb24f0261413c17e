"""Protections that are PostgreSQL's to keep, taken away in the run's own database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Query(Protocol):
    """Runs a statement and gives its rows."""

    def __call__(self, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]: ...


Change = Callable[[Query], None]


def changed(statement: str, piece: str, other: str) -> str:
    """The statement with `other` for `piece`. Raises LookupError where the piece is not in it exactly once."""
    if statement.count(piece) != 1:
        raise LookupError(f"a statement of the product has changed: {piece!r} is in it {statement.count(piece)} times")
    return statement.replace(piece, other)


def changes(function: str, piece: str, other: str) -> Change:
    """Replaces a piece of a function of the schema."""

    def change(query: Query) -> None:
        found = query("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = %s "
                      "AND pronamespace = 'predictq'::regnamespace", [function])  # fmt: skip
        if len(found) != 1:
            raise LookupError(f"the schema has {len(found)} functions predictq.{function}")
        query(changed(found[0][0], piece, other))

    return change


def grants(right: str, table: str, role: str) -> Change:
    """Lets a role do what a mistake in its code would be refused otherwise."""

    def change(query: Query) -> None:
        query(f"GRANT {right} ON predictq.{table} TO {role}")

    return change


def drops_primary_key(table: str) -> Change:
    """Takes the primary key off a partitioned table and all its partitions."""

    def change(query: Query) -> None:
        keyed = query(_KEYED, [f"predictq.{table}"])
        if not keyed:
            raise LookupError(f"predictq.{table} has no primary key")
        for name, constraint in keyed:
            query(f"ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {constraint}")
        if query(_KEYED, [f"predictq.{table}"]):
            raise LookupError(f"predictq.{table} still has a primary key")

    return change


# The parent first: its partitions' constraints cannot be dropped before it.
_KEYED = """
SELECT c.conrelid::regclass::text, quote_ident(c.conname) FROM pg_constraint c
WHERE c.contype = 'p' AND c.conrelid IN (SELECT relid FROM pg_partition_tree(%s))
ORDER BY c.conparentid <> 0
"""
