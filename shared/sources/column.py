"""A column of a source, for whoever knows columns and no database."""

from __future__ import annotations

from dataclasses import dataclass

ROWS_METADATA = b"predictq"  # under which an Arrow file of a source's rows says of what columns they are


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column that can be a feature. `type` is PostgreSQL's base type name, a domain as what it is made of."""

    name: str
    type: str
    nullable: bool = True
    comment: str | None = None
