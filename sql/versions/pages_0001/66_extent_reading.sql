-- How far the results of a job can be read: asked for each part that a caller reads, so planned once per connection. To
-- plan it anew took most of its time, and more with each partition.

CREATE FUNCTION predictq.read_extent(p_id uuid)
RETURNS TABLE (
    kind text, batch_id bigint, is_answered boolean, last_batch_id bigint, first_open bigint, is_open boolean)
LANGUAGE plpgsql STABLE ROWS 1
-- Indexes alone: the plan is kept, and the tables that it was made for may have been empty.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    -- Where the job's batches lie: said as bounds, they keep the executor from opening every partition.
    v_batch bigint;
    v_first_batch bigint;
BEGIN
    SELECT j.batch_id, j.first_batch_id INTO v_batch, v_first_batch FROM predictq.jobs j WHERE j.id = p_id;
    RETURN QUERY
    SELECT j.kind, j.batch_id, s.batch_id IS NOT NULL, l.batch_id, b.first_open, b.is_open
    FROM predictq.jobs j
    LEFT JOIN predictq.batch_outputs s ON s.batch_id = v_batch
    LEFT JOIN LATERAL (
        SELECT o.batch_id FROM predictq.batch_outputs o
        WHERE o.job_id = j.id AND o.batch_id >= v_first_batch ORDER BY o.batch_id DESC LIMIT 1
    ) l ON true
    CROSS JOIN LATERAL (
        SELECT min(b.id) FILTER (WHERE b.queue <> 'plan') AS first_open, count(*) > 0 AS is_open
        FROM predictq.prediction_batches b WHERE b.job_id = j.id
    ) b
    WHERE j.id = p_id;
END $$;
COMMENT ON FUNCTION predictq.read_extent IS
    'The last batch of a job that has its answers, and the first that is still open: what is before it can be read.';
