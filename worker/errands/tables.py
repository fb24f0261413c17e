"""What callers who wait want of tables: to be told what was understood of a file."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from shared.postgres.engine import autocommit
from shared.uploads.table_order import TableOrder
from worker.uploads.context import upload_context
from worker.uploads.look import look


class TableErrands:
    """The errands about tables. `engine` leads to predictq's own database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def look(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """`look_at_upload`: {order, owner, version_id} to what `worker.uploads.look` tells."""
        order = TableOrder.from_json(arguments["order"])
        with (
            autocommit(self._engine) as connection,
            upload_context(
                connection, order, owner=str(arguments["owner"]), version_id=int(arguments["version_id"])
            ) as context,
        ):
            connection.close()
            return look(context)
