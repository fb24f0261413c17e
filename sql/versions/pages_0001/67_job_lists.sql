-- Which jobs belong to a list: found in indexes alone, and planned once per connection. To plan it anew, over two years
-- of weekly partitions, took twenty times as long as to find a hundred jobs.

CREATE FUNCTION predictq.find_jobs(
    p_owner text, p_status text, p_before uuid, p_limit integer, p_has_errors boolean DEFAULT NULL) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE ROWS 100 AS $$
DECLARE
    v_span interval := interval '2 weeks';
    v_until timestamptz := least(predictq.time_of(p_before), clock_timestamp());
    v_before uuid := p_before;
    v_from uuid;
    v_left integer := p_limit;
    v_found integer;
BEGIN
    IF p_status IN ('running', 'queued') THEN
        IF p_has_errors IS NOT NULL THEN
            RETURN;  -- of a job that has not ended nobody knows
        END IF;
        RETURN QUERY SELECT o.id FROM predictq.find_open_jobs(p_owner, p_status, p_before, p_limit) o (id);
        RETURN;
    END IF;
    -- The newest weeks first, and all the others at last: to open each of a hundred partitions takes longer than to find a
    -- hundred jobs in two of them.
    FOR v_round IN 1 .. 3 LOOP
        v_until := greatest(v_until - v_span, to_timestamp(0));  -- ids know no time before
        v_span := 4 * v_span;
        v_from := CASE WHEN v_round < 3 THEN predictq.first_uuid_of(v_until)
                       ELSE '00000000-0000-0000-0000-000000000000' END;
        RETURN QUERY SELECT o.id
        FROM predictq.find_jobs_between(p_owner, p_status, v_from, v_before, v_left, p_has_errors) o (id);
        GET DIAGNOSTICS v_found = ROW_COUNT;
        v_left := v_left - v_found;
        EXIT WHEN v_left <= 0;
        v_before := v_from;
    END LOOP;
END $$;
COMMENT ON FUNCTION predictq.find_jobs IS
    'The newest jobs of an owner that are older than p_before, of one status or of all; with p_has_errors those that have '
    'ended, with an error or without one.';

CREATE FUNCTION predictq.find_jobs_between(
    p_owner text, p_status text, p_from uuid, p_before uuid, p_limit integer, p_has_errors boolean)
RETURNS SETOF uuid LANGUAGE plpgsql STABLE ROWS 100
-- The order of an index and no other, also where the planner takes the limit, which it does not know, for a large one.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_bitmapscan = off SET enable_sort = off
AS $$
BEGIN
    IF p_has_errors AND p_status IS DISTINCT FROM 'failed' THEN
        RETURN QUERY
        SELECT o.id FROM predictq.find_jobs_with_errors(p_owner, p_status, p_from, p_before, p_limit) o (id);
    ELSIF p_status IS NULL AND p_has_errors IS NULL THEN
        RETURN QUERY
        -- An owner's jobs, said as a range: with owner = p_owner the planner, who knows one owner of all jobs, would go
        -- through the jobs of everybody by their ids, and so find nothing of another owner for a long time.
        SELECT j.id FROM predictq.jobs j
        WHERE j.owner >= p_owner AND (j.owner, j.id) < (p_owner, p_before) AND j.id < p_before AND j.id >= p_from
        ORDER BY j.owner DESC, j.id DESC LIMIT p_limit;
    -- The two below say their status as a constant: else the index of jobs that ended badly would not be theirs.
    ELSIF p_status = 'failed' THEN
        RETURN QUERY
        SELECT j.id FROM predictq.jobs j
        WHERE j.owner = p_owner AND j.id < p_before AND j.id >= p_from AND j.status = 'failed'
          AND p_has_errors IS NOT FALSE
        ORDER BY j.id DESC LIMIT p_limit;
    ELSIF p_status = 'cancelled' THEN
        RETURN QUERY
        SELECT j.id FROM predictq.jobs j
        WHERE j.owner = p_owner AND j.id < p_before AND j.id >= p_from AND j.status = 'cancelled'
          AND (p_has_errors IS NULL OR coalesce(j.failed, 0) = 0)
        ORDER BY j.id DESC LIMIT p_limit;
    ELSE
        RETURN QUERY
        -- Of single jobs what is neither failed nor cancelled nor open has succeeded.
        SELECT j.id FROM predictq.jobs j
        WHERE j.owner >= p_owner AND (j.owner, j.id) < (p_owner, p_before) AND j.id < p_before AND j.id >= p_from
          AND (p_has_errors IS NULL OR coalesce(j.failed, 0) = 0)
          AND (j.status = 'succeeded' OR (p_status IS NULL AND j.status = 'cancelled') OR (
            j.status IS NULL AND j.kind = 'single'
            AND (SELECT b.id FROM predictq.prediction_batches b WHERE b.id = j.batch_id) IS NULL))
        ORDER BY j.owner DESC, j.id DESC LIMIT p_limit;
    END IF;
END $$;
COMMENT ON FUNCTION predictq.find_jobs_between IS
    'The newest jobs of an owner between two ids that are all, or failed, cancelled or succeeded; with errors or without.';

CREATE FUNCTION predictq.find_jobs_with_errors(p_owner text, p_status text, p_from uuid, p_before uuid, p_limit integer)
RETURNS SETOF uuid LANGUAGE plpgsql STABLE ROWS 100
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_bitmapscan = off SET enable_sort = off
AS $$
BEGIN
    RETURN QUERY
    -- A part of each index, no more than the limit. Few bulk jobs have errors; a single job that has one has failed.
    SELECT o.id FROM (
        (SELECT j.id FROM predictq.jobs j
         WHERE j.owner = p_owner AND j.id < p_before AND j.id >= p_from AND j.status = 'succeeded' AND j.failed > 0
           AND coalesce(p_status, 'succeeded') = 'succeeded'
         ORDER BY j.id DESC LIMIT p_limit)
        UNION ALL
        (SELECT j.id FROM predictq.jobs j
         WHERE j.owner = p_owner AND j.id < p_before AND j.id >= p_from AND j.status = 'cancelled' AND j.failed > 0
           AND coalesce(p_status, 'cancelled') = 'cancelled'
         ORDER BY j.id DESC LIMIT p_limit)
        UNION ALL
        (SELECT j.id FROM predictq.jobs j
         WHERE j.owner = p_owner AND j.id < p_before AND j.id >= p_from AND j.status = 'failed' AND p_status IS NULL
         ORDER BY j.id DESC LIMIT p_limit)
    ) o ORDER BY o.id DESC LIMIT p_limit;
END $$;
COMMENT ON FUNCTION predictq.find_jobs_with_errors IS
    'The newest jobs of an owner between two ids that have ended with an error: succeeded in part, cancelled, or all.';

CREATE FUNCTION predictq.find_open_jobs(p_owner text, p_status text, p_before uuid, p_limit integer) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE ROWS 100
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_bitmapscan = off SET enable_sort = off
AS $$
DECLARE
    first_id uuid;
BEGIN
    IF p_status = 'running' THEN
        RETURN QUERY
        -- Few batches run at a time.
        SELECT o.id FROM (
            SELECT b.id FROM predictq.open_bulk_jobs(p_owner, true, p_before, p_limit) b (id)
            UNION ALL
            SELECT s.id FROM predictq.running_single_jobs(p_owner, p_before, p_limit) s (id)
        ) o ORDER BY o.id DESC LIMIT p_limit;
    ELSIF (SELECT count(*) FROM (SELECT FROM predictq.prediction_batches b
                                 WHERE b.status = 'queued' AND b.queue = 'interactive' LIMIT 201) b) <= 200 THEN
        RETURN QUERY
        SELECT o.id FROM (
            SELECT b.id FROM predictq.open_bulk_jobs(p_owner, false, p_before, p_limit) b (id)
            UNION ALL
            SELECT s.id FROM predictq.queued_single_jobs(p_owner, p_before, p_limit) s (id)
        ) o ORDER BY o.id DESC LIMIT p_limit;
    ELSE
        -- Where many batches wait the owner's jobs are gone through instead, newest first, as far back as the oldest
        -- batch that waits. Ids are made up to some seconds before their batch.
        SELECT predictq.first_uuid_of(b.created_at - interval '15 seconds') INTO first_id
        FROM predictq.prediction_batches b
        WHERE b.status = 'queued' AND b.queue = 'interactive' ORDER BY b.id LIMIT 1;
        RETURN QUERY
        SELECT o.id FROM (
            SELECT b.id FROM predictq.open_bulk_jobs(p_owner, false, p_before, p_limit) b (id)
            UNION ALL
            (SELECT j.id FROM predictq.jobs j
             WHERE j.owner = p_owner AND j.id < p_before AND j.id >= first_id AND j.kind = 'single' AND j.status IS NULL
               AND (SELECT b.status FROM predictq.prediction_batches b WHERE b.id = j.batch_id) = 'queued'
             ORDER BY j.id DESC LIMIT p_limit)
        ) o ORDER BY o.id DESC LIMIT p_limit;
    END IF;
END $$;
COMMENT ON FUNCTION predictq.find_open_jobs IS 'The newest jobs of an owner that are older than p_before, and run or wait.';

CREATE FUNCTION predictq.open_bulk_jobs(p_owner text, p_has_begun boolean, p_before uuid, p_limit integer)
RETURNS SETOF uuid LANGUAGE plpgsql STABLE ROWS 100
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
BEGIN
    RETURN QUERY
    -- A job's plan is its first batch. Scalar subqueries, because an EXISTS under OR may be hashed, which reads all open
    -- batches.
    SELECT j.id FROM predictq.jobs j
    WHERE j.owner = p_owner AND j.id < p_before AND j.kind = 'bulk' AND j.status IS NULL AND p_has_begun = (
        j.started_at IS NOT NULL
        OR (SELECT b.claimed_at FROM predictq.prediction_batches b WHERE b.id = j.first_batch_id) IS NOT NULL
        OR (SELECT true FROM predictq.prediction_batches b WHERE b.job_id = j.id AND b.status = 'running' LIMIT 1)
           IS NOT NULL
        OR (SELECT true FROM predictq.batch_outputs o
            WHERE o.job_id = j.id AND o.batch_id >= j.first_batch_id LIMIT 1) IS NOT NULL)
    ORDER BY j.id DESC LIMIT p_limit;
END $$;
COMMENT ON FUNCTION predictq.open_bulk_jobs IS 'The newest bulk jobs of an owner that have not ended, begun or not.';

CREATE FUNCTION predictq.running_single_jobs(p_owner text, p_before uuid, p_limit integer) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE ROWS 100
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    RETURN QUERY
    -- The rows of these batches, newest first, until enough of them are the owner's. LIMIT keeps PostgreSQL from reading
    -- all pages and all jobs to join them.
    SELECT o.id FROM (
        SELECT u.id FROM predictq.prediction_batches b
        CROSS JOIN LATERAL (SELECT r.job_ids FROM predictq.batch_requests r WHERE r.batch_id = b.id LIMIT 1) r
        CROSS JOIN LATERAL unnest(r.job_ids) AS u (id)
        WHERE b.status = 'running' AND b.queue = 'interactive' AND u.id < p_before
        ORDER BY u.id DESC
    ) u CROSS JOIN LATERAL (
        SELECT j.id FROM predictq.jobs j WHERE j.id = u.id AND j.owner = p_owner AND j.status IS NULL LIMIT 1
    ) o ORDER BY o.id DESC LIMIT p_limit;
END $$;
COMMENT ON FUNCTION predictq.running_single_jobs IS 'The newest single jobs of an owner in batches that run.';

CREATE FUNCTION predictq.queued_single_jobs(p_owner text, p_before uuid, p_limit integer) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE ROWS 100
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    RETURN QUERY
    SELECT o.id FROM (
        SELECT u.id FROM predictq.prediction_batches b
        CROSS JOIN LATERAL (SELECT r.job_ids FROM predictq.batch_requests r WHERE r.batch_id = b.id LIMIT 1) r
        CROSS JOIN LATERAL unnest(r.job_ids) AS u (id)
        WHERE b.status = 'queued' AND b.queue = 'interactive' AND u.id < p_before
        ORDER BY u.id DESC
    ) u CROSS JOIN LATERAL (
        SELECT j.id FROM predictq.jobs j WHERE j.id = u.id AND j.owner = p_owner AND j.status IS NULL LIMIT 1
    ) o ORDER BY o.id DESC LIMIT p_limit;
END $$;
COMMENT ON FUNCTION predictq.queued_single_jobs IS 'The newest single jobs of an owner in batches that wait.';
