"""The last hours in figures, as the upkeep process has written them down each minute: the same in every gateway."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection, text

MOST_POINTS = 120
KEPT_HOURS = 24


@dataclass(frozen=True, slots=True)
class Series:
    """One figure through time. Of what waits by queue, of what is answered by queue and model."""

    name: str  # waiting_rows, oldest_seconds, rows_per_second, errors_per_second
    queue: str
    model: str  # empty where it is of a queue
    points: list[tuple[datetime, float]]


def read_samples(connection: Connection, hours: int) -> tuple[int, list[Series]]:
    """The seconds that a point stands for, and each figure's means over these, oldest first.

    A minute in which nothing was answered has no point of its own; the reader takes it for 0.
    """
    step = max(60, -(-hours * 3600 // MOST_POINTS) // 60 * 60)
    rows = connection.execute(_READ, {"hours": hours, "step": step, "minutes": step // 60})
    found = []
    for (name, queue, model), points in groupby(rows, key=lambda row: (row.name, row.queue, row.model)):
        found.append(Series(name, queue, model, [(row.at, float(row.value)) for row in points]))
    return step, found


# Of what waits the most of a step, of rates the mean over all of its minutes, those without a row included.
_READ = text("""
SELECT name, queue, model, date_bin(make_interval(secs => :step), at, 'epoch') AS at,
       CASE WHEN name IN ('waiting_rows', 'oldest_seconds') THEN max(value) ELSE sum(value) / :minutes END AS value
FROM predictq.samples WHERE at > clock_timestamp() - make_interval(hours => :hours)
GROUP BY 1, 2, 3, 4 ORDER BY name, queue, model, 4
""")
