-- What is going on: the newest jobs with their status, the work that is open, and whose turn it is.
--   predictq psql -f sql/samples/jobs.sql
\pset null '·'
\pset linestyle unicode
\pset border 2
\pset footer off

\echo 'Newest jobs'
SELECT job_id, kind, owner, status, request_count AS rows, succeeded, failed, cancelled, request_id,
       to_char(created_at, 'YYYY-MM-DD HH24:MI:SS') AS accepted, finished_at - created_at AS took
FROM predictq.job_status ORDER BY job_id DESC LIMIT 10;

-- A batch that has ended is no longer here: it is a row of predictq.batch_outputs.
\echo 'Open batches'
SELECT id, queue, owner, status, request_count AS rows, attempts, fence, worker, lease_until, last_error
FROM predictq.prediction_batches ORDER BY id LIMIT 20;

\echo 'Waiting, by queue and owner'
SELECT queue, owner, count(*) AS batches, sum(request_count) AS rows, count(*) FILTER (WHERE status = 'running') AS in_hand,
       clock_timestamp() - min(created_at) AS oldest
FROM predictq.prediction_batches GROUP BY queue, owner ORDER BY queue, owner;

\echo 'Held back'
SELECT queue, model, reason, actor, created_at FROM predictq.pauses ORDER BY id;
