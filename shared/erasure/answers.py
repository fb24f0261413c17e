"""All answers that one owner has of one client, newest first: pages are found by the keyed hash of the client's key."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, text

from shared.erasure.export import label_of
from shared.erasure.find import find_client
from shared.erasure.keys import ClientKey
from shared.installation import read_installation
from shared.jobs.given import ROWS_WERE_WRITTEN
from shared.pages.request_id import RequestId

_END = RequestId(2**63 - 1, 0)  # after every batch
_AT_ONCE = 100  # rows that one statement reads

# Each array is opened once for each row. Indexes alone: the planner takes these few rows for many.
_ROWS = text(f"""
SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
SELECT r.batch_id || '-' || p.row AS request_id, j.id AS job_id, j.kind AS job_kind, j.name AS job_name,
       CASE WHEN o.batch_id IS NULL THEN 'open'
            WHEN o."values" IS NULL OR p.row = ANY (o.cancelled_rows) THEN 'cancelled' ELSE 'answered' END AS state,
       r.created_at AS accepted_at,
       r.given[p.row + 1] IS NOT NULL AND {ROWS_WERE_WRITTEN}
           AS is_given, v.model, v.version AS model_version, v.classes,
       o."values"[p.row + 1] AS value, o.labels[p.row + 1] AS label_number, o.threshold,
       o.error_codes[e.position] AS error_code, o.error_details[e.position] AS error_detail,
       o.created_at AS answered_at
FROM unnest(CAST(:batch_ids AS bigint[]), CAST(:rows AS integer[])) WITH ORDINALITY AS p (batch_id, row, n)
JOIN predictq.batch_requests r ON r.batch_id = p.batch_id
JOIN predictq.jobs j ON j.id = coalesce(r.job_id, r.job_ids[p.row + 1])
JOIN predictq.model_versions v ON v.id = j.model_version_id
LEFT JOIN predictq.batch_outputs o ON o.batch_id = r.batch_id
CROSS JOIN LATERAL (SELECT array_position(o.error_rows, p.row) AS position) e
WHERE j.owner = :owner AND (CAST(:model AS text) IS NULL OR v.model = CAST(:model AS text))
  AND (CAST(:models AS text[]) IS NULL OR v.model = ANY (CAST(:models AS text[])))
ORDER BY p.n
""")


def client_answers(
    connection: Connection,
    key: ClientKey,
    owner: str,
    *,
    model: str | None = None,
    models: Collection[str] | None = None,
    limit: int,
    before: RequestId | None = None,
) -> tuple[list[dict[str, Any]], bool]:
    """At most `limit`, of all models, of one, or of those in `models`; and whether there are more.

    Only those older than `before`. Rows that are open are among them.
    """
    before = before or _END
    places = find_client(connection, key, read_installation(connection).hash_secret, up_to=before.batch_id)
    allowed = None if models is None else list(models)
    found: list[dict[str, Any]] = []
    rows = ((place.batch_id, row) for place in reversed(places) for row in reversed(place.rows))
    newest = [place for place in rows if place < before]
    for start in range(0, len(newest), _AT_ONCE):
        batch_ids, numbers = map(list, zip(*newest[start : start + _AT_ONCE], strict=True))
        values = {"batch_ids": batch_ids, "rows": numbers, "owner": owner, "model": model, "models": allowed}
        found += map(_answer, connection.execute(_ROWS, values))
        if len(found) > limit:
            break
    return found[:limit], len(found) > limit


def _answer(row: Any) -> dict[str, Any]:
    is_answered = row.state == "answered" and row.value is not None
    return {
        "request_id": row.request_id,
        "job_id": row.job_id,
        "job_kind": row.job_kind,
        "job_name": row.job_name,
        "state": row.state,
        "model": row.model,
        "model_version": row.model_version,
        "probability": row.value if row.classes and is_answered else None,
        "label": label_of(row.label_number, row.value, row.threshold, row.classes) if is_answered else None,
        "threshold": row.threshold if is_answered else None,
        "value": row.value if not row.classes and is_answered else None,
        "features_from": "request" if row.is_given else "source",
        "accepted_at": row.accepted_at,
        "answered_at": row.answered_at,
        "error": None if row.error_code is None else {"code": row.error_code, "detail": row.error_detail},
    }
