-- What is going on: the newest jobs with their derived status, and the batches that are open.
\pset null '·'
\pset linestyle unicode
\pset border 2
\pset footer off

\echo 'Newest jobs'
SELECT job_id, kind, owner, status, request_count AS rows, succeeded, failed, cancelled,
       to_char(created_at, 'YYYY-MM-DD HH24:MI:SS') AS accepted, finished_at - created_at AS took
FROM job_status ORDER BY job_id DESC LIMIT 10;

\echo 'Open batches'
SELECT id, queue, status, request_count AS rows, attempts, fence, worker, lease_until, dispatches, last_error
FROM prediction_batches WHERE status IN ('queued', 'running') ORDER BY id LIMIT 20;
