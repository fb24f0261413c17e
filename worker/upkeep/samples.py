"""A row a minute for each figure that a screen shows: what waits, for how long, and what was answered."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, text

from shared.retention.statements import upkeep_transaction
from worker.upkeep.duty import Clock


@dataclass(frozen=True, slots=True)
class Samples:
    """Writes `predictq.samples`.

    By queue: waiting_rows, oldest_seconds (of the oldest batch that waits; 0 when none does). By queue and model:
    rows_per_second and, where there are any, errors_per_second, of the minute that has ended; those of an hour are
    made up for.
    """

    name: str = "samples"
    every_seconds: float = 20  # so that no minute passes without a run

    def run(self, engine: Engine, clock: Clock) -> str:
        """Write the figures of this minute, once."""
        with upkeep_transaction(engine) as connection:
            values = {"now": clock()}
            values["since"] = connection.execute(_NEWEST, values).scalar_one()
            connection.execute(_WAITING, values)
            connection.execute(_ANSWERED, values)
        return ""


# The first minute that nobody has written down.
_NEWEST = text("""
SELECT greatest(max(at) + interval '1 minute', date_trunc('minute', CAST(:now AS timestamptz)) - interval '59 minutes')
FROM predictq.samples WHERE name = 'waiting_rows' AND at < date_trunc('minute', CAST(:now AS timestamptz))
""")
_WAITING = text("""
INSERT INTO predictq.samples (at, name, queue, value)
SELECT date_trunc('minute', CAST(:now AS timestamptz)), figure.name, q.queue, figure.value
FROM (
    SELECT q.queue,
           coalesce(sum(b.request_count - coalesce(cardinality(b.cancelled_rows), 0)), 0) AS rows,
           coalesce(extract(epoch FROM CAST(:now AS timestamptz)
                    - min(b.created_at) FILTER (WHERE b.status = 'queued')), 0) AS oldest
    FROM unnest(ARRAY['interactive', 'plan', 'bulk']) AS q (queue)
    LEFT JOIN predictq.prediction_batches b ON b.queue = q.queue
    GROUP BY q.queue
) q
CROSS JOIN LATERAL (VALUES ('waiting_rows', q.rows), ('oldest_seconds', greatest(q.oldest, 0))) AS figure (name, value)
ON CONFLICT DO NOTHING
""")
_ANSWERED = text("""
INSERT INTO predictq.samples (at, name, queue, model, value)
SELECT a.at, figure.name, a.queue, a.model, figure.value FROM (
    SELECT m.at, CASE WHEN o.job_id IS NULL THEN 'interactive' ELSE 'bulk' END AS queue, v.model,
           sum(o.succeeded + o.failed) / 60.0 AS rows, sum(o.failed) / 60.0 AS errors
    FROM generate_series(CAST(:since AS timestamptz), date_trunc('minute', CAST(:now AS timestamptz)),
                         interval '1 minute') m (at)
    JOIN predictq.batch_outputs o ON o.created_at >= m.at - interval '1 minute' AND o.created_at < m.at
    JOIN predictq.model_versions v ON v.id = o.model_version_id
    GROUP BY 1, 2, 3
) a
CROSS JOIN LATERAL (VALUES ('rows_per_second', a.rows), ('errors_per_second', a.errors)) AS figure (name, value)
WHERE figure.name = 'rows_per_second' OR figure.value > 0
ON CONFLICT DO NOTHING
""")
