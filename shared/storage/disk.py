"""How fast the stored answers grow, and when the disk is full at that rate."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from sqlalchemy import Connection, text

SOON_DAYS = 30.0  # a disk that lasts for less than this needs a person
LEAST_FREE_BYTES = 100_000_000  # with less, one bulk job may fill it, whatever the growth was
_DAYS = 30


@dataclass(frozen=True, slots=True)
class Disk:
    """Growth, and the room that is left; None where the disk cannot be seen and no setting says its size."""

    bytes_per_day: int
    free_bytes: int | None

    @property
    def days_left(self) -> float | None:
        """Until the disk is full; None where that is not known, or nothing grows."""
        if self.free_bytes is None or self.bytes_per_day <= 0:
            return None
        return self.free_bytes / self.bytes_per_day

    @property
    def is_low(self) -> bool:
        """Whether it is full, or nearly, however little is added a day."""
        return self.free_bytes is not None and self.free_bytes < LEAST_FREE_BYTES

    @property
    def needs_person(self) -> bool:
        """Whether it is full by now or soon."""
        return self.is_low or (self.days_left is not None and self.days_left < SOON_DAYS)


def read_disk(connection: Connection, lately_bytes: int, disk_bytes: int) -> Disk:
    """`lately_bytes` are what the last 30 days take; `disk_bytes` is the setting PREDICTQ_DISK_BYTES."""
    days = float(connection.execute(_AGE).scalar_one())
    return Disk(int(lately_bytes / max(1.0, min(days, _DAYS))), _free_bytes(connection, disk_bytes))


def _free_bytes(connection: Connection, disk_bytes: int) -> int | None:
    if disk_bytes:
        used = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
        return max(0, disk_bytes - int(used))
    row = connection.execute(_DIRECTORY).one_or_none()
    if row is None or not row.directory or not row.is_here or not os.path.isdir(row.directory):  # noqa: PTH112 - a path of the server's
        return None
    return shutil.disk_usage(row.directory).free


_AGE = text("""
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)) / 86400, 0) FROM predictq.batch_outputs
""")
# Administrators alone are told it, so the owner of the schema is asked. It means something only if the server is here.
_DIRECTORY = text("""
SELECT predictq.data_directory() AS directory,
       coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true) AS is_here
""")
