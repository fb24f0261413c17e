"""The rules that a run of retention goes by: read before it looks, and held against those that stand at each step.

The table of holds is the lock of them all: who adds a hold or sets a period waits for a step that is being taken, and
the step for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from shared.retention.cutoffs import Cutoff, read_cutoffs
from shared.retention.rules.errors import HoldsChanged, PeriodsChanged
from shared.retention.rules.holds import no_hold_can_come, standing_holds


@dataclass(frozen=True, slots=True)
class StandingRules:
    """Periods and holds as a run found them."""

    now: datetime
    holds: frozenset[int]  # their numbers: the highest would not do, for one with a lower may be committed later
    cutoffs: Mapping[int, Cutoff]  # by version id


def read_standing_rules(connection: Connection, now: datetime) -> StandingRules:
    """The rules at this moment. Whoever looks at what they keep reads it afterwards."""
    # Holds first: one that is committed between the two statements is none of those that stood, and so ends the run.
    holds = standing_holds(connection)
    return StandingRules(now, holds, read_cutoffs(connection, now))


def refuse_changed_rules(connection: Connection, rules: StandingRules) -> None:
    """Raise HoldsChanged or PeriodsChanged where more must stay than by `rules`; until the commit nothing changes.

    A hold that was released and a period that was shortened are for the next run.
    """
    no_hold_can_come(connection)
    if standing_holds(connection) - rules.holds:
        raise HoldsChanged
    cutoffs = read_cutoffs(connection, rules.now)
    for version_id, cutoff in rules.cutoffs.items():
        if version_id not in cutoffs or cutoffs[version_id].before < cutoff.before:
            raise PeriodsChanged
