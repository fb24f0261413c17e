"""Views: the derived status of a job, and the full trace of a prediction."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE VIEW job_status AS
SELECT j.id AS job_id, j.kind, j.owner, j.model_version, j.request_count, j.request_id, j.created_at,
       j.cancelled_at, p.started_at, p.succeeded, p.failed, p.cancelled,
       CASE WHEN p.succeeded + p.failed + p.cancelled = j.request_count THEN p.finished_at END AS finished_at,
       CASE
           WHEN p.cancelled > 0 AND j.cancelled_at IS NOT NULL THEN 'cancelled'
           WHEN p.succeeded + p.failed = j.request_count THEN
               CASE WHEN p.succeeded = 0 THEN 'failed' ELSE 'succeeded' END
           WHEN p.started_at IS NOT NULL THEN 'running'
           ELSE 'queued'
       END AS status
FROM jobs j
CROSS JOIN LATERAL (
    -- A bulk job owns its batches.
    SELECT min(b.claimed_at) AS started_at, max(b.finished_at) AS finished_at,
           sum(b.succeeded) AS succeeded, sum(b.failed) AS failed, sum(b.cancelled) AS cancelled
    FROM prediction_batches b WHERE j.kind = 'bulk' AND b.job_id = j.id
    HAVING j.kind = 'bulk'
    UNION ALL
    -- A single job has one request, in a batch that it shares.
    SELECT b.claimed_at, CASE WHEN j.cancelled_at IS NOT NULL AND o.request_id IS NULL
                              THEN j.cancelled_at ELSE b.finished_at END,
           (o.request_id IS NOT NULL AND o.error_code IS NULL)::integer,
           (o.error_code IS NOT NULL)::integer,
           (o.request_id IS NULL AND j.cancelled_at IS NOT NULL)::integer
    FROM prediction_batches b LEFT JOIN prediction_outputs o ON o.request_id = j.request_id
    WHERE j.kind = 'single' AND b.id = batch_of(j.request_id)
) p;
COMMENT ON VIEW job_status IS 'Each job with its status and counts, derived from its batches and outputs.';

CREATE VIEW prediction_trace AS
SELECT r.request_id, r.job_id, j.kind AS job_kind, j.owner, r.client_id, o.client_version,
       o.probability, o.label, o.threshold, o.error_code, o.error_detail,
       b.model_version, m.name AS model_name, m.sha256 AS model_sha256,
       CASE
           WHEN o.request_id IS NULL THEN NULL
           WHEN r.features IS NOT NULL THEN 'request'
           WHEN c.client_id IS NOT NULL THEN 'clients'
           WHEN h.client_id IS NOT NULL THEN 'clients_history'
       END AS features_from,
       CASE
           WHEN o.request_id IS NULL THEN NULL
           WHEN r.features IS NOT NULL THEN r.features
           WHEN c.client_id IS NOT NULL THEN to_jsonb(c) - '{client_id,version,updated_at}'::text[]
           WHEN h.client_id IS NOT NULL
               THEN to_jsonb(h) - '{client_id,version,updated_at,replaced_at,operation}'::text[]
       END AS features,
       b.id AS batch_id, b.worker, o.fence, b.attempts, r.created_at AS accepted_at, b.claimed_at,
       o.created_at AS answered_at
FROM prediction_requests r
JOIN jobs j ON j.id = r.job_id
JOIN prediction_batches b ON b.id = batch_of(r.request_id)
JOIN model_versions m ON m.version = b.model_version
LEFT JOIN prediction_outputs o ON o.request_id = r.request_id
LEFT JOIN clients c ON c.client_id = r.client_id AND c.version = o.client_version
LEFT JOIN clients_history h ON h.client_id = r.client_id AND h.version = o.client_version;
COMMENT ON VIEW prediction_trace IS
    'Each request with its job, the features as they were scored, the model and the answer.';
""")
