"""Which clients a filter selects: its condition, and their ids as they are at one moment."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from sqlalchemy import ColumnElement, Connection, and_, select

from shared.errors import FilterRefused
from shared.models.signature import FeatureKind, check_value, find_feature
from shared.postgres.copy_in import BINARY_HEADER, BINARY_TRAILER
from shared.postgres.engine import driver_connection
from shared.postgres.tables import clients
from shared.sources.sample_features import CLIENT_FEATURES

_IN_MEMORY = 1_000_000  # bytes of ids that are kept in memory before a file is made
_ROW = struct.Struct(">hiq")  # of binary COPY: number of fields, then length and value of the id
_PIECE_ROWS = 1_000


def filter_condition(where: Mapping[str, Any]) -> ColumnElement[bool]:
    """The SQL condition of a filter: each column equals its value, or one of its values when that is a list.

    Raises:
        FilterRefused: no such column, or a value of the wrong type.

    """
    conditions = []
    for name, value in where.items():
        spec = find_feature(CLIENT_FEATURES, name)
        if spec is None:
            raise FilterRefused(name, f"clients have no feature {name!r}")
        values = value if isinstance(value, list) else [value]
        for item in values:
            problem = None if item is None else check_value(spec, item)
            if problem is not None:
                raise FilterRefused(name, problem.detail)
        whole = [int(item) if spec.kind is FeatureKind.INTEGER and item is not None else item for item in values]
        given = [item for item in whole if item is not None]
        condition = clients.c[name].in_(given)
        conditions.append(condition | clients.c[name].is_(None) if None in values else condition)
    return and_(True, *conditions)


@dataclass(frozen=True, slots=True)
class Selection:
    """The ids of `count` clients, in rising order."""

    count: int
    _spool: IO[bytes]

    def __iter__(self) -> Iterator[int]:
        self._spool.seek(len(BINARY_HEADER))
        for start in range(0, self.count, _PIECE_ROWS):
            piece = self._spool.read(_ROW.size * min(_PIECE_ROWS, self.count - start))
            for _, _, client_id in _ROW.iter_unpack(piece):
                yield client_id


@contextmanager
def selected_clients(connection: Connection, condition: ColumnElement[bool]) -> Iterator[Selection]:
    """Read the ids of all clients that meet `condition`, from one snapshot, into a file that ends with the block.

    They leave PostgreSQL only to come back: by COPY it takes rows in for two thirds of what INSERT … SELECT costs it.
    """
    query = select(clients.c.client_id).where(condition).order_by(clients.c.client_id)
    compiled = query.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool, driver_connection(connection).cursor() as cursor:
        statement = cursor.mogrify(str(compiled), compiled.params).decode()
        cursor.copy_expert(f"COPY ({statement}) TO STDOUT (FORMAT binary)", spool)
        yield Selection((spool.tell() - len(BINARY_HEADER) - len(BINARY_TRAILER)) // _ROW.size, spool)
