"""What an installation knows of itself: the epoch of its transaction ids, and the secret that hashes client keys."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Installation:
    """One row, made when the schema is."""

    epoch: int  # xid8 values can be compared within it
    hash_secret: bytes  # 32 bytes


def read_installation(connection: Connection) -> Installation:
    """The installation whose database this is."""
    row = connection.execute(text("SELECT epoch, hash_secret FROM predictq.installation")).one()
    return Installation(row.epoch, bytes(row.hash_secret))
