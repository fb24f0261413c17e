"""What goes, written as Parquet before it goes: one file for each partition and model version, with its digest."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine, text

from shared.access.private_files import make_private_folders, open_private
from shared.logging import get_logger
from shared.pages.errors import PageDamaged
from shared.postgres.engine import transaction
from shared.retention.partitions.ranges import BatchRange
from shared.retention.rules.errors import ExportFailed
from worker.upkeep.export_rows import ExportedJob, features_of, page_table

log = get_logger(__name__)

_DIGESTS = "SHA256SUMS"
_PAGES_AT_ONCE = 32


@dataclass
class Exporter:
    """Called with pages that are about to go. When it returns they are on the disk, in files that are flushed.

    `directory` is made, its owner's alone as each file is; it gets a file SHA256SUMS that `sha256sum -c`
    understands. What goes wrong is raised, and the pages stay: ExportFailed where the files cannot be written. Then the
    files of this call are removed, and the directory with the last of them: a copy of what stays helps nobody.
    A page whose features are damaged is written without them; `damaged` has its batch.
    """

    engine: Engine
    directory: Path
    files: list[Path] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)

    def __call__(self, batches: BatchRange, batch_ids: Sequence[int]) -> None:
        """Write these pages."""
        if not batch_ids:
            return
        written, digests = len(self.files), self._digests_size()
        try:
            self._export(batches, batch_ids)
        except BaseException as error:
            with suppress(OSError):
                self._take_back(written, digests)
            if isinstance(error, OSError):
                raise ExportFailed(self.directory, error.strerror or type(error).__name__) from error
            raise

    def _digests_size(self) -> int:
        path = self.directory / _DIGESTS
        return path.stat().st_size if path.is_file() else 0

    def _take_back(self, written: int, digests: int) -> None:
        """Remove all but the first `written` files and `digests` bytes of their digests."""
        for path in [*self.files[written:], *self.directory.glob("*.part")]:
            path.unlink(missing_ok=True)
        del self.files[written:]
        if digests:
            os.truncate(self.directory / _DIGESTS, digests)
        else:
            (self.directory / _DIGESTS).unlink(missing_ok=True)
        if not self.files:
            self.directory.rmdir()

    def _export(self, batches: BatchRange, batch_ids: Sequence[int]) -> None:
        make_private_folders(self.directory)
        with transaction(self.engine) as connection:
            versions = connection.execute(_VERSIONS, {"ids": list(batch_ids)}).all()
        for version in versions:
            name = f"{batches.name('batches')}-{_safe(version.model)}-{version.version}"
            self._write(self._free_path(name), version.batch_ids)

    def _write(self, path: Path, batch_ids: Sequence[int]) -> None:
        part = path.with_suffix(".part")
        writer: pq.ParquetWriter | None = None
        with open_private(part, "wb") as file:
            try:
                for table in self._tables(batch_ids):
                    writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
                    writer.write_table(table.cast(writer.schema))
            finally:
                if writer is not None:
                    writer.close()
        _flush(part)
        part.rename(path)
        self.files.append(path)
        with open_private(self.directory / _DIGESTS, "a") as digests:
            digests.write(f"{_sha256(path)}  {path.name}\n")
        _flush(self.directory / _DIGESTS)
        _flush(self.directory)

    def _tables(self, batch_ids: Sequence[int]) -> Iterator[pa.Table]:
        features = self._features_type(batch_ids)
        for start in range(0, len(batch_ids), _PAGES_AT_ONCE):
            with transaction(self.engine) as connection:
                pages: Sequence[Any] = connection.execute(
                    _PAGES, {"ids": list(batch_ids[start : start + _PAGES_AT_ONCE])}
                ).all()
                found = connection.execute(
                    _JOBS, {"ids": sorted({id_ for page in pages for id_ in page.job_ids if id_})}
                )
                jobs = {row.id: ExportedJob(row.owner, row.name, row.where) for row in found}
            yield pa.concat_tables([self._table(page, jobs, features) for page in pages])

    def _table(self, page: Any, jobs: Mapping[str, ExportedJob], kind: pa.DataType | None) -> pa.Table:
        try:
            features = features_of(page)
        except PageDamaged as error:
            # Nobody can read them, and a page that could never go would keep all others, too.
            log.warning("damaged features left out of an export", batch_id=page.batch_id, reason=str(error))
            self.damaged.append(page.batch_id)
            features = pa.nulls(page.request_count)
        return _with_features(page_table(page, jobs, features), kind)

    def _features_type(self, batch_ids: Sequence[int]) -> pa.DataType | None:
        """Of the first page that has some; known before one is written, for pages of cancelled batches have none."""
        after = -1
        while True:
            with transaction(self.engine) as connection:
                page = connection.execute(_NEXT_FEATURES, {"ids": list(batch_ids), "after": after}).one_or_none()
            if page is None:
                return None
            with suppress(PageDamaged):
                return features_of(page).type
            after = page.batch_id

    def _free_path(self, name: str) -> Path:
        path = self.directory / f"{name}.parquet"
        number = 2
        while path.exists():
            path = self.directory / f"{name}-{number}.parquet"
            number += 1
        return path


def run_directory(parent: Path, now: datetime) -> Path:
    """Where one run writes: a directory of its own, named by its time."""
    return parent / f"retention-{now:%Y%m%dT%H%M%SZ}"


def _with_features(table: pa.Table, kind: pa.DataType | None) -> pa.Table:
    """Features of the type that all pages of a version share; a page without any gets empty ones."""
    position = table.schema.get_field_index("features")
    if kind is None or table.schema.field(position).type == kind:
        return table
    if pa.types.is_null(table.schema.field(position).type):
        return table.set_column(position, "features", pa.nulls(len(table), kind))
    return table.set_column(position, "features", table.column(position).cast(kind))


def _safe(name: str) -> str:
    """A model's name as part of a file's; two names that look alike so are told apart by their digest."""
    plain = re.sub(r"[^A-Za-z0-9_.]", "_", name)[:60]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_VERSIONS = text("""
SELECT v.model, v.version, array_agg(o.batch_id ORDER BY o.batch_id) AS batch_ids
FROM predictq.batch_outputs o JOIN predictq.model_versions v ON v.id = o.model_version_id
WHERE o.batch_id = ANY (CAST(:ids AS bigint[])) GROUP BY 1, 2 ORDER BY 1, 2
""")
_PAGES = text("""
SELECT o.batch_id, o.request_count,
       CASE WHEN o.job_id IS NULL THEN r.job_ids::text[] ELSE ARRAY[o.job_id::text] END AS job_ids,
       coalesce(r.keys_int8::text[], r.keys_uuid::text[], r.keys_text) AS client_keys,
       o."values" AS answers, o.labels, o.scores, r.spelled, r.given,
       o.threshold, o.error_rows, o.error_codes, o.error_details, o.cancelled_rows, o.erased_rows, o.gone_rows,
       o.features,
       v.model, v.version, v.task, v.classes, v.signature, r.created_at AS accepted_at, o.claimed_at,
       o.created_at AS answered_at
FROM predictq.batch_outputs o
JOIN predictq.model_versions v ON v.id = o.model_version_id
LEFT JOIN predictq.batch_requests r ON r.batch_id = o.batch_id
WHERE o.batch_id = ANY (CAST(:ids AS bigint[])) ORDER BY o.batch_id
""")
_NEXT_FEATURES = text("""
SELECT o.batch_id, o.features, o.request_count, v.signature
FROM predictq.batch_outputs o JOIN predictq.model_versions v ON v.id = o.model_version_id
WHERE o.batch_id = ANY (CAST(:ids AS bigint[])) AND o.batch_id > :after AND o.features IS NOT NULL
ORDER BY o.batch_id LIMIT 1
""")
_JOBS = text("""
SELECT j.id::text, j.owner, j.name, j.selection -> 'where' AS "where" FROM predictq.jobs j
WHERE j.id = ANY (CAST(:ids AS uuid[]))
""")
