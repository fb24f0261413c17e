-- Which bulk jobs a stream of events tells about. Asked every second for all owners who listen, so planned once.

CREATE INDEX jobs_bulk_newest ON predictq.jobs (owner, id) WHERE kind = 'bulk';

CREATE FUNCTION predictq.followed_jobs(p_owners text[], p_since uuid, p_limit integer) RETURNS TABLE (owner text, id uuid)
LANGUAGE plpgsql STABLE ROWS 100
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT o.owner, j.id FROM unnest(p_owners) o (owner) CROSS JOIN LATERAL (
        (SELECT n.id FROM predictq.jobs n WHERE n.owner = o.owner AND n.kind = 'bulk' AND n.id > p_since
         ORDER BY n.id DESC LIMIT p_limit)
        UNION
        (SELECT b.id FROM predictq.jobs b WHERE b.owner = o.owner AND b.kind = 'bulk' AND b.status IS NULL
         ORDER BY b.id DESC LIMIT p_limit)
    ) j;
END $$;
COMMENT ON FUNCTION predictq.followed_jobs IS
    'Of each of these owners the newest bulk jobs since an id, and the newest that have not ended.';
