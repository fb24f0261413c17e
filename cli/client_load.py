"""Loading clients from a file of the user's."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sqlalchemy import Engine

from cli.client_csv import check_csv
from cli.errors import FileRefused
from cli.progress import Meter, progress
from shared.sources.clients import LoadReport, load_clients

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
