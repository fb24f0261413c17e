"""Whether the live version can be loaded by the workers, as far as its work tells: for doctor and health."""

from __future__ import annotations

from sqlalchemy import Connection, text

# Read off the newest pages alone, so that it costs the same however many there are.
_NEWEST = text("""
SELECT detail FROM (
    SELECT b.last_error AS detail, b.id, 0 AS rank FROM predictq.prediction_batches b
    WHERE b.model_version_id = :version AND b.last_error IS NOT NULL AND b.attempts > 0
    UNION ALL
    SELECT CASE WHEN o.error_codes[1] = 'model_unavailable' AND o.succeeded = 0 THEN o.error_details[1] END,
           o.batch_id, 1
    FROM (SELECT * FROM predictq.batch_outputs ORDER BY batch_id DESC LIMIT 100) o WHERE o.model_version_id = :version
) found ORDER BY rank, id DESC LIMIT 1
""")


def why_not_loaded(connection: Connection, version_id: int) -> str | None:
    """Why the work of a version fails: the last error of its open batches, or that of its newest page.

    None where it does not fail, or where nobody has asked for the version yet.
    """
    detail: str | None = connection.execute(_NEWEST, {"version": version_id}).scalar_one_or_none()
    return detail
