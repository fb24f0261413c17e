"""Sources that are away: nobody claims their work meanwhile, and one process at a time looks whether they are back.

One that answers and refuses, for a right, its relation or a column is gone or has changed, is noted alone: its rows
end in an error.

The state is in PostgreSQL, for all processes: the claim passes over a source until its next probe is due. The pauses
grow. When it has been away for too long its rows end in a stated error, still with a probe now and then.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, text

from shared.postgres.engine import autocommit

_LONGEST_PAUSE_SECONDS = 10
_PROBE_SECONDS = 20  # for which one process has the probe to itself


@dataclass(frozen=True, slots=True)
class Circuit:
    """Opens and closes. `patience_seconds`: how long rows wait for a source."""

    engine: Engine
    patience_seconds: float

    def take_probe(self, source_id: int) -> bool:
        """Whether this process is the one to look whether a source is back."""
        with autocommit(self.engine) as connection:
            return connection.execute(_TAKE_PROBE, {"id": source_id}).rowcount == 1

    def open(self, source_id: int, *, is_probe: bool = False) -> bool:
        """A source was found away, perhaps by a probe that was taken. Returns whether it has been for too long."""
        with autocommit(self.engine) as connection:
            values = {"id": source_id, "patience": self.patience_seconds, "is_probe": is_probe}
            return bool(connection.execute(_OPEN, values).scalar_one_or_none())

    def refuse(self, source_id: int) -> None:
        """A right, the relation or a column of a source is gone or has changed: noted for those who can mend it."""
        with autocommit(self.engine) as connection:
            connection.execute(_REFUSE, {"id": source_id})

    def close(self, source_id: int) -> None:
        """A source that was away, or that refused, was read."""
        with autocommit(self.engine) as connection:
            connection.execute(_CLOSE, {"id": source_id})


_TAKE_PROBE = text(f"""
UPDATE predictq.sources SET probe_at = clock_timestamp() + interval '{_PROBE_SECONDS} s'
WHERE id = :id AND away_since IS NOT NULL AND probe_at <= clock_timestamp()
""")

# Processes that find out at the same moment are one finding: the pause grows once.
_IS_NEWS = "(:is_probe OR away_since IS NULL OR probe_at <= clock_timestamp())"
_OPEN = text(f"""
UPDATE predictq.sources SET
    away_since = coalesce(away_since, clock_timestamp()),
    probes = probes + CAST({_IS_NEWS} AS integer),
    probe_at = CASE WHEN {_IS_NEWS} THEN clock_timestamp()
        + make_interval(secs => least({_LONGEST_PAUSE_SECONDS}, 2 ^ least(probes, 10))) ELSE probe_at END,
    is_given_up = coalesce(away_since < clock_timestamp() - make_interval(secs => :patience), false)
WHERE id = :id RETURNING is_given_up
""")

_REFUSE = text("""
UPDATE predictq.sources SET refused_since = clock_timestamp() WHERE id = :id AND refused_since IS NULL
""")
_CLOSE = text("""
UPDATE predictq.sources SET away_since = NULL, probe_at = NULL, probes = 0, is_given_up = false, refused_since = NULL
WHERE id = :id AND (away_since IS NOT NULL OR refused_since IS NOT NULL)
""")
