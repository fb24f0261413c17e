"""The table of the sample's clients: making it, and loading it in bulk by COPY, writing only what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from shared.errors import PredictqError
from shared.models.signature import FeatureKind, FeatureSpec
from shared.postgres.copy_in import copy_in
from shared.postgres.engine import transaction
from shared.sources.sample_features import CLIENT_FEATURE_NAMES, CLIENT_FEATURES
from shared.sources.source import KeyColumn, Source, SourceColumn, add_source, list_sources

CLIENTS = "predictq_data.clients"  # where the sample's clients are; predictq reads it as it would read a user's table

_FEATURES = ", ".join(CLIENT_FEATURE_NAMES)
_COLUMNS = f"client_id, {_FEATURES}"


_SQL_TYPES = {
    FeatureKind.INTEGER: "integer",
    FeatureKind.NUMBER: "double precision",
    FeatureKind.BOOLEAN: "boolean",
    FeatureKind.CATEGORY: "text",
}


def create_clients_table(connection: Connection) -> None:
    """Make the sample's table and its entry among the sources, where they are not there yet."""
    columns = ",\n    ".join(_column(spec) for spec in CLIENT_FEATURES)
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS predictq_data"))
    connection.execute(
        text(f"CREATE TABLE IF NOT EXISTS {CLIENTS} (\n    client_id bigint PRIMARY KEY,\n    {columns}\n)")
    )
    if not any(source.name == "clients" for source in list_sources(connection)):
        found = tuple(SourceColumn(spec.name, _SQL_TYPES[spec.kind]) for spec in CLIENT_FEATURES)
        schema, relation = CLIENTS.split(".")
        key = (KeyColumn("client_id", "bigint"),)
        add_source(connection, Source(0, "clients", None, schema, relation, key, found))


def _column(spec: FeatureSpec) -> str:
    limits = "" if spec.minimum is None else f" CHECK ({spec.name} BETWEEN {spec.minimum:.0f} AND {spec.maximum:.0f})"
    return f"{spec.name} {_SQL_TYPES[spec.kind]}{limits}"


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did, in clients."""

    inserted: int
    updated: int
    unchanged: int

    @property
    def total(self) -> int:
        """Clients in the load."""
        return self.inserted + self.updated + self.unchanged


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A client id that a load has twice, and the first two lines that have it."""

    client_id: int
    lines: tuple[int, int]


class DuplicateClients(PredictqError):
    """A load names a client more than once, so that it is unclear which row counts. `found` holds at most 20."""

    def __init__(self, found: list[Duplicate]) -> None:
        first = found[0]
        super().__init__(
            f"client {first.client_id} stands on line {first.lines[0]} and on line {first.lines[1]}: keep one of them"
        )
        self.found = found


def load_clients(engine: Engine, pieces: Iterable[bytes], *, numbered: bool = False) -> LoadReport:
    """Insert new clients and update changed ones, all in one transaction or not at all.

    `pieces` hold CSV without a header: client_id, then the features in the order of CLIENT_FEATURES, an empty field
    for null; with `numbered` the number of the row's line in its source comes before them. Loads take turns, and
    nobody who only reads `clients` waits.

    Raises:
        DuplicateClients: a client id comes twice; nothing is written.
        DatabaseUnavailable: the server is away; nothing is written.

    """
    with transaction(engine) as connection:
        connection.execute(_STAGING)
        columns = f"line, {_COLUMNS}" if numbered else _COLUMNS
        copy_in(connection, f"COPY incoming ({columns}) FROM STDIN (FORMAT csv)", pieces)
        connection.execute(text("ANALYZE incoming"))
        _refuse_duplicates(connection)
        return _merge(connection)


def append_clients(engine: Engine, pieces_from: Callable[[int], Iterable[bytes]]) -> int:
    """Insert new clients under new ids, straight into the table; returns the first id.

    `pieces_from(first)` gives rows as for `load_clients`, with ids that rise from `first`: one above the highest there
    is, and nobody else can take it before this load ends.
    """
    with transaction(engine) as connection:
        connection.execute(_TAKE_TURNS)
        first = int(connection.execute(text(f"SELECT coalesce(max(client_id), 0) + 1 FROM {CLIENTS}")).scalar_one())
        copy_in(connection, f"COPY {CLIENTS} ({_COLUMNS}) FROM STDIN (FORMAT csv)", pieces_from(first))
    return first


def count_clients(connection: Connection) -> int:
    """How many clients there are; counts the rows, so it costs time in proportion."""
    return int(connection.execute(text(f"SELECT count(*) FROM {CLIENTS}")).scalar_one())


# Two loads of one client at once take turns, whoever else writes to the table too; readers go on.
_TAKE_TURNS = text(f"LOCK TABLE {CLIENTS} IN SHARE ROW EXCLUSIVE MODE")

# A table of its own types: `line` numbers the rows by itself where the source does not.
_STAGING = text(f"""
CREATE TEMPORARY TABLE incoming ON COMMIT DROP AS SELECT 0::bigint AS line, {_COLUMNS} FROM {CLIENTS} WITH NO DATA;
ALTER TABLE incoming ALTER COLUMN line SET NOT NULL, ALTER COLUMN line ADD GENERATED BY DEFAULT AS IDENTITY
""")


def _refuse_duplicates(connection: Connection) -> None:
    rows = connection.execute(
        text("""
SELECT client_id, (array_agg(line ORDER BY line))[1:2] AS lines
FROM incoming GROUP BY client_id HAVING count(*) > 1 ORDER BY min(line) LIMIT 20
""")
    ).all()
    if rows:
        raise DuplicateClients([Duplicate(row.client_id, (row.lines[0], row.lines[1])) for row in rows])


def _merge(connection: Connection) -> LoadReport:
    """Write what differs."""
    connection.execute(_TAKE_TURNS)
    total = int(connection.execute(text("SELECT count(*) FROM incoming")).scalar_one())
    changes = ", ".join(f"{name} = i.{name}" for name in CLIENT_FEATURE_NAMES)
    differs = f"({_of('c')}) IS DISTINCT FROM ({_of('i')})"
    updated = connection.execute(
        text(f"UPDATE {CLIENTS} c SET {changes} FROM incoming i WHERE c.client_id = i.client_id AND {differs}")
    ).rowcount
    inserted = connection.execute(
        text(f"""INSERT INTO {CLIENTS} ({_COLUMNS}) SELECT {_COLUMNS} FROM incoming i
                 WHERE NOT EXISTS (SELECT FROM {CLIENTS} c WHERE c.client_id = i.client_id) ORDER BY client_id""")
    ).rowcount
    return LoadReport(inserted, updated, total - inserted - updated)


def _of(alias: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in CLIENT_FEATURE_NAMES)
