-- The newest requests, answers and traces, to be read in psql:
--   predictq psql -f sql/samples/newest.sql
\pset null '·'
\pset linestyle unicode
\pset border 2
\pset footer off
\timing off

\echo 'Newest requests'
SELECT request_id, coalesce(job_id, single_job_id) AS job_id, client_id, features IS NOT NULL AS features_given,
       to_char(created_at, 'YYYY-MM-DD HH24:MI:SS') AS accepted
FROM predictq.prediction_requests ORDER BY created_at DESC LIMIT 5;

\echo 'Newest answers'
SELECT request_id, round(probability::numeric, 4) AS probability, label, round(threshold::numeric, 4) AS threshold,
       model, model_version AS version, error_code, to_char(created_at, 'HH24:MI:SS.MS') AS answered
FROM predictq.prediction_outputs ORDER BY created_at DESC LIMIT 5;

\echo 'Newest traces'
SELECT request_id, client_id, round(probability::numeric, 4) AS probability, label, model, model_version AS version,
       worker, answered_at - accepted_at AS took
FROM predictq.prediction_trace ORDER BY answered_at DESC LIMIT 5;

-- By its id a function finds a row at once; a view would look through all pages. The features as scored are in the
-- page, where SQL does not reach: predictq trace ID shows them.
SELECT coalesce((SELECT request_id FROM predictq.prediction_trace ORDER BY answered_at DESC LIMIT 1), '0-0') AS newest
\gset
\echo 'The newest trace, whole: predictq trace' :newest 'shows its features, too'
\x on
SELECT request_id, coalesce(job_id, single_job_id) AS job_id, job_kind, client_id, probability, label, threshold,
       error_code, error_detail, model, model_version, left(model_sha256, 12) AS model_sha256,
       left(version_digest, 12) AS version_digest, batch_id, row_number, worker, fence, attempts, accepted_at, claimed_at,
       answered_at
FROM predictq.prediction_trace(:'newest');
\x off
