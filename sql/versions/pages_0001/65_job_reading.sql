-- How jobs stand, for the gateway: many times a second, so planned once per connection. To plan it anew took 4 ms of
-- every read, and more with each partition.

-- A bulk job says when it has ended, and a batch that was claimed is running until it is gone.
CREATE INDEX jobs_open_bulk ON predictq.jobs (owner, id) WHERE kind = 'bulk' AND status IS NULL;
CREATE INDEX prediction_batches_job_begun ON predictq.prediction_batches (job_id)
    WHERE job_id IS NOT NULL AND status = 'running';

-- Of which features a row has a category that its model did not learn; null where the page does not say it of each row.
CREATE FUNCTION predictq.unknown_categories(p_notes jsonb, p_row integer) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN p_notes -> 'unknown_categories' IS NULL THEN '{}'
    WHEN p_notes -> 'unknown_rows' IS NOT NULL THEN ARRAY(
        SELECT feature FROM jsonb_each_text(p_notes -> 'unknown_rows') AS noted (feature, bits)
        WHERE get_bit(decode(bits, 'base64'), p_row) = 1 ORDER BY feature)
END;
COMMENT ON FUNCTION predictq.unknown_categories IS
    'The features of which a row of a page has a category that its model did not learn, out of the notes of the page.';

CREATE FUNCTION predictq.read_jobs(p_ids uuid[])
RETURNS TABLE (
    job_id uuid, kind text, owner text, status text, model text, model_version integer, total bigint, succeeded bigint,
    failed bigint, cancelled bigint, created_at timestamptz, started_at timestamptz, finished_at timestamptz,
    cancelled_at timestamptz, error_code text, error_detail text, snapshots integer, batch_id bigint, row_number integer,
    client_id bigint, client jsonb, key text, task text, value double precision, label jsonb,
    threshold double precision, classes jsonb, scores double precision[], name text, deadline timestamptz,
    asked_for text, asked_where jsonb, asked_job uuid, cancelled_by text, unknown_categories text[])
LANGUAGE plpgsql STABLE ROWS 10
-- Indexes alone: the plan is kept, and the tables that it was made for may have been empty.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    -- Between which the ids lie, and the batches of these jobs: said as bounds, they keep the executor from opening every
    -- partition of five tables, which took most of the time. Each row is asked for by itself, with LIMIT 1: else all that
    -- lies between the bounds may be read.
    v_first_id uuid;
    v_last_id uuid;
    v_first_batch bigint;
    v_last_batch bigint;
    v_first_bulk bigint;
BEGIN
    SELECT w.id INTO v_first_id FROM unnest(p_ids) AS w (id) ORDER BY w.id LIMIT 1;
    SELECT w.id INTO v_last_id FROM unnest(p_ids) AS w (id) ORDER BY w.id DESC LIMIT 1;
    SELECT min(j.batch_id), max(j.batch_id), min(j.first_batch_id) FILTER (WHERE j.status IS NULL)
    INTO v_first_batch, v_last_batch, v_first_bulk
    FROM unnest(p_ids) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT j.* FROM predictq.jobs j WHERE j.id = wanted.id AND j.id >= v_first_id AND j.id <= v_last_id LIMIT 1
    ) j;
    RETURN QUERY
    -- A single job is one row of a page that it shares.
    SELECT j.id, j.kind, j.owner,
           CASE WHEN j.status IS NOT NULL THEN j.status WHEN o.batch_id IS NOT NULL THEN 'succeeded'
                WHEN b.claimed_at IS NOT NULL THEN 'running' ELSE 'queued' END,
           v.model, v.version, j.request_count, (j.status IS NULL AND o.batch_id IS NOT NULL)::integer::bigint,
           (j.status IS NOT DISTINCT FROM 'failed')::integer::bigint,
           (j.status IS NOT DISTINCT FROM 'cancelled')::integer::bigint,
           j.created_at, coalesce(o.claimed_at, b.claimed_at), coalesce(j.finished_at, o.created_at), j.cancelled_at,
           coalesce(j.error_code, o.error_codes[a.error]), coalesce(j.error_detail, o.error_details[a.error]),
           j.snapshots, j.batch_id, j.row_number, k.key_int8,
           -- An integer that was written as one is all there is to say of it.
           CASE WHEN k.spelled IS NOT NULL THEN k.spelled
                WHEN k.key_text IS NOT NULL THEN predictq.natural_key(s.key_columns, k.key_text)
                WHEN k.key_uuid IS NOT NULL THEN to_jsonb(k.key_uuid) END,
           CASE WHEN k.spelled IS NOT NULL THEN coalesce(k.key_int8::text, k.key_uuid::text, k.key_text) END,
           v.task, a.value,
           CASE WHEN a.value IS NOT NULL THEN
               v.classes -> coalesce(o.labels[j.row_number + 1], (a.value >= o.threshold)::integer)::integer END,
           CASE WHEN a.value IS NOT NULL THEN o.threshold END,
           CASE WHEN v.task = 'multiclass' THEN v.classes END,
           CASE WHEN v.task = 'multiclass' AND a.value IS NOT NULL THEN
               o.scores[j.row_number * jsonb_array_length(v.classes) + 1
                        : (j.row_number + 1) * jsonb_array_length(v.classes)] END,
           j.name, j.deadline, NULL::text, NULL::jsonb, NULL::uuid, j.cancelled_by,
           CASE WHEN o.notes IS NOT NULL AND a.value IS NOT NULL THEN
               predictq.unknown_categories(o.notes, j.row_number) END
    FROM unnest(p_ids) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT j.* FROM predictq.jobs j WHERE j.id = wanted.id AND j.id >= v_first_id AND j.id <= v_last_id LIMIT 1
    ) j
    JOIN predictq.model_versions v ON v.id = j.model_version_id
    LEFT JOIN LATERAL (
        SELECT r.* FROM predictq.batch_requests r
        WHERE r.batch_id = j.batch_id AND r.batch_id >= v_first_batch AND r.batch_id <= v_last_batch LIMIT 1
    ) r ON true
    LEFT JOIN predictq.sources s ON s.id = r.source_id
    LEFT JOIN predictq.prediction_batches b ON b.id = j.batch_id
    LEFT JOIN LATERAL (
        SELECT o.* FROM predictq.batch_outputs o
        WHERE o.batch_id = j.batch_id AND o.batch_id >= v_first_batch AND o.batch_id <= v_last_batch LIMIT 1
    ) o ON true
    CROSS JOIN LATERAL (
        SELECT r.keys_int8[j.row_number + 1] AS key_int8, r.keys_uuid[j.row_number + 1] AS key_uuid,
               r.keys_text[j.row_number + 1] AS key_text, r.spelled -> j.row_number::text AS spelled
    ) k
    LEFT JOIN LATERAL (
        SELECT o."values"[j.row_number + 1] AS value, array_position(o.error_rows, j.row_number) AS error
        WHERE j.status IS DISTINCT FROM 'cancelled'
    ) a ON true
    WHERE j.kind = 'single'
    UNION ALL
    SELECT j.id, j.kind, j.owner,
           CASE WHEN j.status IS NOT NULL THEN j.status
                WHEN least(j.started_at, o.started_at, b.started_at) IS NOT NULL THEN 'running' ELSE 'queued' END,
           v.model, v.version, j.request_count, coalesce(j.succeeded, o.succeeded), coalesce(j.failed, o.failed),
           coalesce(j.cancelled, o.cancelled), j.created_at, least(j.started_at, o.started_at, b.started_at),
           j.finished_at, j.cancelled_at, j.error_code, j.error_detail, j.snapshots,
           NULL::bigint, NULL::integer, NULL::bigint, NULL::jsonb, NULL::text, v.task, NULL::double precision, NULL::jsonb,
           NULL::double precision, NULL::jsonb, NULL::double precision[], j.name, j.deadline, j.asked_for,
           -- A filter may have ten thousand values: then whoever asks how the job stands is spared them.
           CASE WHEN pg_column_size(j.selection) <= 2000 THEN nullif(j.selection -> 'where', '{}') END, j.asked_job,
           j.cancelled_by, NULL::text[]
    FROM unnest(p_ids) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT j.* FROM predictq.jobs j WHERE j.id = wanted.id AND j.id >= v_first_id AND j.id <= v_last_id LIMIT 1
    ) j
    JOIN predictq.model_versions v ON v.id = j.model_version_id
    CROSS JOIN LATERAL (
        -- The first batch of a selection is its plan: once claimed, the job stays running when the plan is given back.
        SELECT least(min(b.claimed_at), (
            SELECT f.claimed_at FROM predictq.prediction_batches f WHERE f.id = j.first_batch_id)) AS started_at
        FROM predictq.prediction_batches b WHERE b.job_id = j.id AND b.status = 'running' AND j.status IS NULL
    ) b
    CROSS JOIN LATERAL (
        SELECT min(o.claimed_at) AS started_at, coalesce(sum(o.succeeded), 0)::bigint AS succeeded,
               coalesce(sum(o.failed), 0)::bigint AS failed, coalesce(sum(o.cancelled), 0)::bigint AS cancelled
        FROM predictq.batch_outputs o
        WHERE o.job_id = j.id AND o.batch_id >= j.first_batch_id AND o.batch_id >= v_first_bulk AND j.status IS NULL
    ) o
    WHERE j.kind = 'bulk';
END $$;
COMMENT ON FUNCTION predictq.read_jobs IS
    'Jobs by their ids as they stand now, with the answer of single ones: what job_status shows to people, in one plan.';
