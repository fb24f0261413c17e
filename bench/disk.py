"""What predictions take on disk: tables with their indexes, and write-ahead log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Engine, text

# With all their partitions.
_TABLES = ("jobs", "prediction_batches", "batch_requests", "batch_outputs", "key_hashes", "idempotency_keys")


@dataclass(slots=True)
class Disk:
    """Bytes written over the time of the block, by table, and as `wal`."""

    written: dict[str, int] = field(default_factory=dict)

    def per(self, count: int) -> dict[str, float]:
        """Bytes for each of `count` predictions."""
        return {name: round(value / count, 1) for name, value in self.written.items()}


@contextmanager
def weighing(engine: Engine) -> Iterator[Disk]:
    """Measure until the block ends; everything else that writes to the cluster counts as well."""
    disk = Disk()
    before = _sizes(engine)
    yield disk
    disk.written.update({name: size - before[name] for name, size in _sizes(engine).items()})


def _sizes(engine: Engine) -> dict[str, int]:
    sizes = ", ".join(f"{_size(table)} AS {table}" for table in _TABLES)
    with engine.connect() as connection:
        row = connection.execute(text(f"SELECT {sizes}, pg_current_wal_insert_lsn() - '0/0' AS wal")).one()
    return {name: int(value) for name, value in row._asdict().items()}


def _size(table: str) -> str:
    return (
        "(SELECT sum(pg_total_relation_size(t)) FROM (SELECT relid AS t FROM "
        f"pg_partition_tree('predictq.{table}') UNION SELECT 'predictq.{table}'::regclass) tree)::bigint"
    )
