"""What an upload is held against: the file itself, and the version of the model that its job is for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection

from shared.models.registry import ModelVersion, get_version
from shared.sources.keys import KeyForm
from shared.sources.references import REFERENCES
from shared.sources.source import get_source
from shared.uploaded_files import write_file
from shared.uploads.table_order import TableOrder
from worker.temporary_room import named_when_full


@dataclass(frozen=True, slots=True)
class UploadContext:
    """A file on this machine's disk, and what its rows are for."""

    path: Path
    order: TableOrder
    version: ModelVersion
    form: KeyForm


@contextmanager
def upload_context(
    connection: Connection, order: TableOrder, *, owner: str, version_id: int
) -> Iterator[UploadContext]:
    """Fetch the file, for as long as the context lasts. Raises UploadUnknown, NoTemporaryRoom."""
    version = get_version(connection, version_id)
    form = REFERENCES if version.source_id is None else get_source(connection, version.source_id).key_form
    with TemporaryDirectory(prefix="predictq-upload-") as directory:
        path = Path(directory) / "upload"
        with named_when_full(), path.open("wb") as file:
            write_file(connection, order.upload_id, owner, file)
        yield UploadContext(path, order, version, form)
