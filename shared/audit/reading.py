"""Reading the audit log: the newest lines for people, and every line once for whoever collects them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Act:
    """A line: who did what, to what, from where."""

    id: int
    at: datetime
    actor_kind: str  # how the actor is known: "api key", "person", "command line", "upkeep"
    actor: str
    key: str | None  # the first characters of the API key that was used
    address: str | None
    action: str
    object: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    call_id: str | None  # the request id of the call
    epoch: int
    xid: int  # of the transaction, within the epoch

    @property
    def place(self) -> Place:
        """Where it stands in the order of commits."""
        return Place(self.epoch, self.xid, self.id)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the order in which lines can be read without missing one."""

    epoch: int
    xid: int
    id: int


@dataclass(frozen=True, slots=True)
class ActFilter:
    """Which lines; all that is given must hold."""

    since: datetime | None = None
    until: datetime | None = None  # before then
    actor: str | None = None
    action: str | None = None


def newest_acts(connection: Connection, wanted: ActFilter, *, limit: int, before: int | None = None) -> list[Act]:
    """At most `limit` lines that fit, newest first, older than the one with the id `before`."""
    values = {**_values(wanted), "before": before, "limit": limit}
    return [_act(row) for row in connection.execute(_NEWEST, values)]


def acts_after(connection: Connection, wanted: ActFilter, *, limit: int, after: Place | None = None) -> list[Act]:
    """At most `limit` lines that fit and come after a place, in the order of places.

    A line is shown once no transaction that is older than its own is open: so whoever goes on from the last one that
    was shown has missed none, whichever way commits overtook each other.
    """
    place = after or Place(0, 0, 0)
    values = {**_values(wanted), "epoch": place.epoch, "xid": str(place.xid), "id": place.id, "limit": limit}
    return [_act(row) for row in connection.execute(_AFTER, values)]


def _values(wanted: ActFilter) -> dict[str, Any]:
    return {"since": wanted.since, "until": wanted.until, "actor": wanted.actor, "action": wanted.action}


def _act(row: Any) -> Act:
    return Act(**{**row._asdict(), "xid": int(row.xid)})


_SELECT = """
SELECT a.id, a.at, a.actor_kind, a.actor, k.prefix AS key, a.address, a.action, a.object, a.before, a.after, a.reason,
       a.call_id, a.epoch, a.xid::text AS xid
FROM predictq.audit_log a LEFT JOIN predictq.api_keys k ON k.id = a.key_id
WHERE (CAST(:since AS timestamptz) IS NULL OR a.at >= CAST(:since AS timestamptz))
  AND (CAST(:until AS timestamptz) IS NULL OR a.at < CAST(:until AS timestamptz))
  AND (CAST(:actor AS text) IS NULL OR a.actor = CAST(:actor AS text))
  AND (CAST(:action AS text) IS NULL OR a.action = CAST(:action AS text))
"""
_NEWEST = text(f"""{_SELECT}
  AND (CAST(:before AS bigint) IS NULL OR a.id < CAST(:before AS bigint)) ORDER BY a.id DESC LIMIT :limit
""")
_AFTER = text(f"""{_SELECT}
  AND (a.epoch, a.xid, a.id) > (CAST(:epoch AS integer), CAST(:xid AS xid8), CAST(:id AS bigint))
  AND (a.epoch < (SELECT i.epoch FROM predictq.installation i) OR a.xid < pg_snapshot_xmin(pg_current_snapshot()))
ORDER BY a.epoch, a.xid, a.id LIMIT :limit
""")
