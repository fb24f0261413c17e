"""Loading clients: a file of the user's, or generated samples."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy import Engine, text

from cli.client_csv import check_csv
from cli.errors import FileRefused
from cli.progress import Meter, progress
from shared.postgres.engine import transaction
from shared.sources.clients import CLIENTS, LoadReport, append_clients, load_clients
from shared.sources.sample_features import CLIENT_FEATURE_NAMES

PIECE_BYTES = 256 * 1024
IN_MEMORY_BYTES = 8 * 1024 * 1024  # above this the checked rows go to a temporary file


def import_file(engine: Engine, path: Path, *, ignore_extra: bool, quiet: bool) -> LoadReport:
    """Check a whole CSV file, then insert and update its clients in one transaction.

    Raises FileRefused, RowsRefused or DuplicateClients, with nothing written.
    """
    size = path.stat().st_size
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as checked:
        with path.open("rb") as source, progress("checking", size, unit="bytes", quiet=quiet) as meter:
            rows = check_csv(source, checked, ignore_extra=ignore_extra, on_bytes=meter)
        if not rows:
            raise FileRefused(f"{path} has a header and no row")
        length = checked.tell()
        checked.seek(0)
        with progress("loading", length, unit="bytes", quiet=quiet) as meter:
            return load_clients(engine, _pieces(checked, meter), numbered=True)


def _pieces(source: IO[bytes], meter: Meter) -> Iterator[bytes]:
    sent = 0
    while piece := source.read(PIECE_BYTES):
        yield piece
        sent += len(piece)
        meter(sent)


@dataclass(frozen=True, slots=True)
class Generated:
    """The sample clients that were added: `count` of them, with ids that rise from `first_id`."""

    first_id: int
    count: int


def generate_clients(engine: Engine, count: int, seed: int, *, quiet: bool) -> Generated:
    """Add `count` sample clients after the highest id there is."""
    with progress("generating clients", count, unit="clients", quiet=quiet) as meter:
        first_id = append_clients(engine, lambda first: _samples(count, seed, first, meter))
    with transaction(engine) as connection:
        # The planner must not take a table that was empty a moment ago for small.
        connection.execute(text(f"ANALYZE {CLIENTS}"))
    return Generated(first_id, count)


def _samples(count: int, seed: int, first_id: int, meter: Meter) -> Iterator[bytes]:
    import pyarrow as pa  # noqa: PLC0415 - with pandas a second and 100 MB that an import of a file can do without
    from pyarrow import csv  # noqa: PLC0415

    from model.dataset import generate  # noqa: PLC0415

    options = csv.WriteOptions(include_header=False)
    done = 0
    for frame in generate(count, seed, first_id):
        buffer = pa.BufferOutputStream()
        table = pa.Table.from_pandas(frame[["client_id", *CLIENT_FEATURE_NAMES]], preserve_index=False)
        csv.write_csv(table, buffer, options)
        yield buffer.getvalue().to_pybytes()
        done += len(frame)
        meter(done)
