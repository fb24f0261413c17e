"""The database for commands that work on it directly: as an administrator of the stack, not as its client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

from cli.connection.address import fill_environment
from shared.config import load_settings
from shared.errors import SchemaOutdated
from shared.postgres.engine import autocommit, make_engine

# Settings ask for both URLs, but no command that only reads and writes tables opens a connection to Redis.
_NO_REDIS = "redis://127.0.0.1:6379/0"


@contextmanager
def database(*, check_schema: bool = True, pool_size: int = 1) -> Iterator[Engine]:
    """An engine on the stack's database, disposed of at the end.

    Raises:
        NoStack: no database was named.
        SchemaOutdated: the database is not at this code's revision.
        DatabaseUnavailable: it does not answer.

    """
    fill_environment()
    redis_url = os.environ.get("REDIS_URL") or _NO_REDIS
    engine = make_engine(load_settings(redis_url=redis_url), application_name="predictq-cli", pool_size=pool_size)
    try:
        if check_schema:
            require_schema(engine)
        yield engine
    finally:
        engine.dispose()


def require_schema(engine: Engine) -> None:
    """Raise SchemaOutdated unless the database is at the revision that this code needs."""
    from sql.migrate import current_revision, head_revision  # noqa: PLC0415 - Alembic takes 0.1 s to import

    with autocommit(engine) as connection:
        connection.execute(text("SELECT 1"))
        found, needed = current_revision(connection), head_revision()
    if found != needed:
        raise SchemaOutdated(found, needed)
