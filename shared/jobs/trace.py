"""The trace of one prediction: everything that made its answer."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from shared.errors import Erased, PredictionUnknown
from shared.jobs.given import ROWS_WERE_WRITTEN
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.models.task import Task, class_name
from shared.pages.read_row import read_row
from shared.pages.request_id import RequestId, parse_request_id


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that made one answer. The fields from `worker` on are None where the request has none."""

    request_id: str
    job_id: UUID
    job_kind: str
    owner: str
    client_id: Any  # what the caller wrote: a number, a text, or an object for a composite key
    key: str | None  # its canonical form where that differs
    model: str
    model_version: int
    task: Task
    model_sha256: str
    code_sha256: str | None  # of the code that the version brings
    version_digest: str
    batch_id: int
    state: str  # open, answered (an error is an answer, too) or cancelled
    accepted_at: datetime
    attempts: int
    worker: str | None
    probability: float | None
    probabilities: dict[str, float] | None  # of each class, where there are more than two
    label: bool | int | float | str | None
    threshold: float | None
    value: float | None  # of a regression
    error_code: str | None
    error_detail: str | None
    features_from: str | None  # "request", or the name of the source
    features: dict[str, Any] | None  # by name, exactly as they were scored
    unknown_categories: list[str] | None  # features of which the model has not learnt the value; None if nobody noted
    fence: int | None
    claimed_at: datetime | None
    answered_at: datetime | None


# Whose row it is, is asked before: a job whose id the planner knows is looked for in one partition, and not planned for
# in each week of all years.
_JOB = text("""
SELECT coalesce(r.job_id, r.job_ids[CAST(:row AS integer) + 1]) FROM predictq.batch_requests r
WHERE r.batch_id = :batch_id
""")
# One row out of its page, by subscript: each array is opened once. What an open batch knows comes from its own row.
_TRACE = text(f"""
SELECT r.batch_id || '-' || CAST(:row AS integer) AS request_id, j.id AS job_id, j.kind AS job_kind, j.owner,
       coalesce(k.spelled, to_jsonb(k.key_int8), to_jsonb(k.key_uuid), predictq.natural_key(s.key_columns, k.key_text))
           AS client_id,
       CASE WHEN k.spelled IS NOT NULL THEN coalesce(k.key_int8::text, k.key_uuid::text, k.key_text) END AS key,
       v.model, v.version AS model_version, v.task, v.sha256 AS model_sha256, v.code_sha256, v.digest AS version_digest,
       r.batch_id,
       CASE WHEN o.batch_id IS NOT NULL THEN 'answered'
            WHEN w.batch_id IS NOT NULL OR CAST(:row AS integer) = ANY (b.cancelled_rows) THEN 'cancelled'
            ELSE 'open' END AS state, r.created_at AS accepted_at,
       coalesce(o.attempts, b.attempts, 0) AS attempts, coalesce(o.worker, b.worker) AS worker,
       o."values"[CAST(:row AS integer) + 1] AS value,
       CASE WHEN v.task = 'multiclass' THEN
           o.scores[CAST(:row AS integer) * jsonb_array_length(v.classes) + 1
                    : (CAST(:row AS integer) + 1) * jsonb_array_length(v.classes)] END AS scores,
       coalesce(o.labels[CAST(:row AS integer) + 1],
                (o."values"[CAST(:row AS integer) + 1] >= o.threshold)::integer) AS label_number,
       CASE WHEN o."values"[CAST(:row AS integer) + 1] IS NOT NULL THEN o.threshold END AS threshold,
       o.error_codes[e.position] AS error_code, o.error_details[e.position] AS error_detail,
       CASE WHEN o.features IS NULL THEN NULL
            WHEN r.given[CAST(:row AS integer) + 1] IS NOT NULL
                AND {ROWS_WERE_WRITTEN}
                THEN 'request' ELSE s.name END AS features_from,
       o.features,
       CASE WHEN o."values"[CAST(:row AS integer) + 1] IS NOT NULL THEN
           predictq.unknown_categories(o.notes, CAST(:row AS integer)) END AS unknown_categories,
       v.signature, v.classes, o.fence, coalesce(o.claimed_at, b.claimed_at) AS claimed_at,
       o.created_at AS answered_at,
       CAST(:row AS integer) = ANY (coalesce(w.erased_rows, b.erased_rows)) IS TRUE AS is_erased
FROM predictq.batch_requests r
JOIN predictq.jobs j ON j.id = CAST(:job_id AS uuid)
JOIN predictq.model_versions v ON v.id = j.model_version_id
LEFT JOIN predictq.sources s ON s.id = r.source_id
CROSS JOIN LATERAL (
    SELECT r.keys_int8[CAST(:row AS integer) + 1] AS key_int8, r.keys_uuid[CAST(:row AS integer) + 1] AS key_uuid,
           r.keys_text[CAST(:row AS integer) + 1] AS key_text,
           r.spelled -> CAST(CAST(:row AS integer) AS text) AS spelled
) k
LEFT JOIN predictq.prediction_batches b ON b.id = r.batch_id
LEFT JOIN predictq.batch_outputs w ON w.batch_id = r.batch_id
-- What a job had answered before it was cancelled stays its answer. A batch that was cancelled whole has no values.
LEFT JOIN LATERAL (
    SELECT w.* WHERE w."values" IS NOT NULL AND CAST(:row AS integer) = ANY (w.cancelled_rows) IS NOT TRUE
) o ON true
LEFT JOIN LATERAL (SELECT array_position(o.error_rows, CAST(:row AS integer)) AS position) e ON true
WHERE r.batch_id = :batch_id AND CAST(:row AS integer) < r.request_count
  AND (w.gone_rows IS NULL OR CAST(:row AS integer) <> ALL (w.gone_rows)) AND j.owner = :owner
""")


def read_trace(connection: Connection, request_id: str, owner: str, *, models: Collection[str] | None = None) -> Trace:
    """The trace of one prediction of `owner`; with `models`, of one of these models.

    Raises PredictionUnknown, also where it is another owner's, and Erased.
    """
    wanted = parse_request_id(request_id)
    row = None if wanted is None else _row(connection, wanted, owner)
    if wanted is None or row is None or (models is not None and row.model not in models):
        raise PredictionUnknown(request_id)
    values = row._asdict()
    if values.pop("is_erased"):
        raise Erased(f"Prediction {request_id}")
    classes, label_number = values.pop("classes"), values.pop("label_number")
    value, scores = values.pop("value"), values.pop("scores")
    task = values["task"] = Task(values["task"])
    signature = Signature.from_json(values.pop("signature"))
    if values["features"] is not None:
        features = read_row(bytes(values["features"]), wanted.row)
        values["features"] = {
            spec.name: _shown(spec, value) for spec, value in zip(signature.features, features, strict=True)
        }
    return Trace(
        **values,
        label=None if label_number is None else classes[label_number],
        probability=None if task is Task.REGRESSION else value,
        value=value if task is Task.REGRESSION else None,
        probabilities=dict(zip(map(class_name, classes), scores, strict=True))
        if scores and value is not None
        else None,
    )


def _shown(spec: FeatureSpec, value: Any) -> Any:
    """A stored value as JSON can say it: a gap is null, and a whole number is one though the estimator got a double."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if spec.kind is FeatureKind.INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _row(connection: Connection, wanted: RequestId, owner: str) -> Row[Any] | None:
    values = {"batch_id": wanted.batch_id, "row": wanted.row}
    job_id = connection.execute(_JOB, values).scalar_one_or_none()
    if job_id is None:
        return None
    return connection.execute(_TRACE, {**values, "owner": owner, "job_id": str(job_id)}).one_or_none()
