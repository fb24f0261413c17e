"""Which answers are due by age: before when, per model version; and what a hold keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from shared.retention.rules.period import ENDS_SQL


@dataclass(frozen=True, slots=True)
class Cutoff:
    """Answers of this version that are older than `before` are due."""

    version_id: int
    model: str
    before: datetime


# The earlier moment, and not the longer period: to PostgreSQL a month is 30 days where it compares two periods, and 28
# to 31 where it takes one off a moment. A floor that was raised counts at once.
_KEEP_FOR = "coalesce(m.retention, d.keep_for)"
_BEFORE = f"least(CAST(:now AS timestamptz) - {_KEEP_FOR}, CAST(:now AS timestamptz) - d.floor)"
_CUTOFFS = text(f"""
SELECT v.id, v.model, {_BEFORE}
FROM predictq.model_versions v JOIN predictq.models m ON m.name = v.model CROSS JOIN predictq.retention_default d
WHERE {_KEEP_FOR} IS NOT NULL AND {ENDS_SQL.format(f"greatest({_KEEP_FOR}, d.floor)")}
  AND NOT EXISTS (SELECT FROM predictq.holds h WHERE h.model = v.model AND h.released_at IS NULL)
ORDER BY v.id
""")


def read_cutoffs(connection: Connection, now: datetime) -> dict[int, Cutoff]:
    """By version id. A version that is kept for ever, or whose model is held, is absent."""
    return {row[0]: Cutoff(*row) for row in connection.execute(_CUTOFFS, {"now": now})}


def cutoff_arrays(cutoffs: Mapping[int, Cutoff]) -> dict[str, list[object]]:
    """The parameters `versions` and `befores` for DUE_VERSIONS."""
    return {"versions": list(cutoffs), "befores": [cutoff.before for cutoff in cutoffs.values()]}


# A relation c(version_id, before) out of those two parameters.
DUE_VERSIONS = "unnest(CAST(:versions AS integer[]), CAST(:befores AS timestamptz[])) AS c (version_id, before)"
