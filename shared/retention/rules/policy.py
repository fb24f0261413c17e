"""How long answers are kept: a default, a period of a model's own, and a floor below which nothing goes."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from shared.errors import ModelUnknown
from shared.retention.rules.errors import BelowFloor, FloorRefused
from shared.retention.rules.holds import wait_for_deletions
from shared.retention.rules.period import (
    ENDLESS,
    FEWEST_DAYS_SQL,
    FOR_EVER,
    MOST_DAYS_SQL,
    PERIOD_SQL,
    SHORTER_SQL,
    parse_period,
)


@dataclass(frozen=True, slots=True)
class ModelPeriod:
    """What holds for one model. `own` is its own period; None: the default holds."""

    model: str
    own: str | None
    keep_for: str  # what holds in the end


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules as they stand; periods as text: "13 months", "for ever"."""

    keep_for: str
    floor: str
    models: tuple[ModelPeriod, ...]


_DEFAULT = text(
    f"SELECT coalesce({PERIOD_SQL.format('keep_for')}, '{FOR_EVER}') AS keep_for, "
    f"{PERIOD_SQL.format('floor')} AS floor FROM predictq.retention_default"
)
_MODELS = text(f"""
SELECT m.name, {PERIOD_SQL.format("m.retention")} AS own,
       coalesce({PERIOD_SQL.format("coalesce(m.retention, d.keep_for)")}, '{FOR_EVER}') AS keep_for
FROM predictq.models m CROSS JOIN predictq.retention_default d ORDER BY m.name
""")


def read_policy(connection: Connection) -> Policy:
    """The rules as they stand."""
    keep_for, floor = connection.execute(_DEFAULT).one()
    return Policy(keep_for, floor, tuple(ModelPeriod(*row) for row in connection.execute(_MODELS)))


def set_period(connection: Connection, period: str | None, *, model: str | None = None) -> Policy:
    """Keep answers for `period`, those of one model or, with no model, of all that have none of their own.

    "for ever" keeps them. None, for a model, takes its own period away, so that the default holds.
    Raises PeriodRefused, BelowFloor, ModelUnknown.
    """
    wanted = None if period is None else parse_period(period)
    if wanted is not None:
        _refuse_below_floor(connection, wanted)
    wait_for_deletions(connection)  # from here on a run of retention that is at work sees the new period, and stops
    if model is None:
        connection.execute(_SET_DEFAULT, {"period": wanted})
    else:
        kept = ENDLESS if period is not None and wanted is None else wanted
        if connection.execute(_SET_MODEL, {"period": kept, "model": model}).rowcount == 0:
            raise ModelUnknown(model)
    return read_policy(connection)


def set_floor(connection: Connection, floor: str) -> Policy:
    """Let nothing be kept for less than `floor`. Raises PeriodRefused, FloorRefused."""
    wanted = parse_period(floor)
    if wanted is None:
        raise FloorRefused("A floor is a period, such as 6 months: to keep everything, set the period to: for ever.")
    fewest = int(connection.execute(_FEWEST_DAYS, {"floor": wanted}).scalar_one())
    if fewest < _LEAST_DAYS:
        raise FloorRefused(
            f"The floor cannot be {wanted}, which may be {fewest} days: {_LEAST_DAYS} days is the least, for so long "
            "an Idempotency-Key lives."
        )
    shorter = connection.execute(_SHORTER, {"floor": wanted}).scalars().all()
    if shorter:
        raise FloorRefused(
            f"The floor cannot be {wanted}: a period that may be shorter is set for {', '.join(shorter)}. Lengthen it "
            f"first, to {wanted} or {_most_days(connection, wanted)} days at least."
        )
    wait_for_deletions(connection)
    connection.execute(_SET_FLOOR, {"floor": wanted})
    return read_policy(connection)


def _refuse_below_floor(connection: Connection, wanted: str) -> None:
    if connection.execute(_BELOW_FLOOR, {"period": wanted}).scalar_one():
        # Of the floor itself: a very long one is told as "for ever", which is no interval.
        most_days = int(connection.execute(_FLOOR_DAYS).scalar_one())
        raise BelowFloor(wanted, read_policy(connection).floor, most_days)


def _most_days(connection: Connection, period: str) -> int:
    return int(connection.execute(_MOST_DAYS, {"period": period}).scalar_one())


_LEAST_DAYS = 30
_BELOW_FLOOR = text(
    f"SELECT {SHORTER_SQL.format('CAST(:period AS interval)', 'floor')} FROM predictq.retention_default"
)
_MOST_DAYS = text(f"SELECT {MOST_DAYS_SQL.format('CAST(:period AS interval)')}")
_FLOOR_DAYS = text(f"SELECT {MOST_DAYS_SQL.format('floor')} FROM predictq.retention_default")
_SET_DEFAULT = text("UPDATE predictq.retention_default SET keep_for = CAST(:period AS interval)")
_SET_MODEL = text("UPDATE predictq.models SET retention = CAST(:period AS interval) WHERE name = :model")
_FEWEST_DAYS = text(f"SELECT {FEWEST_DAYS_SQL.format('CAST(:floor AS interval)')}")
_SHORTER = text(f"""
SELECT 'all models' FROM predictq.retention_default WHERE {SHORTER_SQL.format("keep_for", "CAST(:floor AS interval)")}
UNION ALL
SELECT name FROM predictq.models WHERE {SHORTER_SQL.format("retention", "CAST(:floor AS interval)")} ORDER BY 1
""")
_SET_FLOOR = text("UPDATE predictq.retention_default SET floor = CAST(:floor AS interval)")
