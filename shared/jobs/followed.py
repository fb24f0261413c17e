"""Which bulk jobs a stream of all events of an owner tells about."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

MOST_FOLLOWED = 200  # bulk jobs of one owner: the newest, and the newest of those that are open
_THE_FIRST = UUID(int=0)

_FOLLOWED = text("SELECT owner, id FROM predictq.followed_jobs(CAST(:owners AS text[]), CAST(:since AS uuid), :most)")
_RECENT = text("""
SELECT owner, id FROM predictq.followed_jobs(
    CAST(:owners AS text[]), predictq.first_uuid_of(clock_timestamp() - make_interval(secs => :seconds)), :most)
""")


def newest_bulk_jobs(connection: Connection, owner: str, most: int = MOST_FOLLOWED) -> list[UUID]:
    """The newest bulk jobs of an owner, and the newest of hers that have not ended; in no order."""
    found = connection.execute(_FOLLOWED, {"owners": [owner], "since": _THE_FIRST, "most": most})
    return [job_id for _, job_id in found]


def recent_bulk_jobs(connection: Connection, owners: Sequence[str], seconds: float) -> list[tuple[str, UUID]]:
    """Bulk jobs of these owners, as (owner, id): made in the last `seconds`, or open."""
    values = {"owners": list(owners), "seconds": seconds, "most": MOST_FOLLOWED}
    return [(owner, job_id) for owner, job_id in connection.execute(_RECENT, values)]
