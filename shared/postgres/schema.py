"""Which schema this code needs. The tables themselves are described where they are made: sql/versions."""

from __future__ import annotations

SCHEMA_REVISION = "pages_0001"  # the migration that this code needs; a test holds it against sql/versions
VERSION_TABLE = "predictq.alembic_version"  # where PostgreSQL keeps the revision that it is at
