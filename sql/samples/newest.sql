-- The newest requests, answers and traces, to be read in psql:
--   psql "$(predictq url --psql)" -f sql/samples/newest.sql
\pset null '·'
\pset linestyle unicode
\pset border 2
\pset footer off
\timing off

\echo 'Newest requests'
SELECT request_id, job_id, client_id, features IS NOT NULL AS features_given,
       to_char(created_at, 'YYYY-MM-DD HH24:MI:SS') AS accepted
FROM prediction_requests ORDER BY request_id DESC LIMIT 5;

\echo 'Newest answers'
SELECT request_id, round(probability::numeric, 4) AS probability, label, round(threshold::numeric, 4) AS threshold,
       model_version AS model, client_version AS client_version, error_code, to_char(created_at, 'HH24:MI:SS.MS') AS answered
FROM prediction_outputs ORDER BY request_id DESC LIMIT 5;

\echo 'Newest traces'
SELECT request_id, client_id, client_version, round(probability::numeric, 4) AS probability, label,
       model_version AS model, features_from, worker, answered_at - accepted_at AS took
FROM prediction_trace ORDER BY request_id DESC LIMIT 5;

\echo 'The newest trace, whole'
\x on
SELECT request_id, job_id, owner, client_id, client_version, probability, label, threshold, error_code, error_detail,
       model_version, model_name, left(model_sha256, 12) AS model_sha256, batch_id, worker, fence, attempts,
       accepted_at, claimed_at, answered_at, features_from, jsonb_pretty(features) AS features
FROM prediction_trace ORDER BY request_id DESC LIMIT 1;
\x off
