-- Claims, and the end of a job. In the database, because each is several statements that must cost one round trip.

CREATE FUNCTION predictq.is_paused(p_queue text, p_model_version_id integer, p_reads_source boolean)
RETURNS boolean LANGUAGE sql STABLE
    RETURN EXISTS (
        SELECT FROM predictq.pauses p
        WHERE (p.queue IS NULL OR p.queue = p_queue)
          AND (p.model IS NULL OR p.model = (SELECT v.model FROM predictq.model_versions v WHERE v.id = p_model_version_id))
    ) OR p_reads_source AND EXISTS (
        SELECT FROM predictq.sources s
        WHERE s.probe_at > clock_timestamp() AND NOT s.is_given_up
          AND s.id = (SELECT v.source_id FROM predictq.model_versions v WHERE v.id = p_model_version_id));

COMMENT ON FUNCTION predictq.is_paused IS
    'Whether work waits: somebody has paused it, or it reads a source that is away until the next probe.';

CREATE FUNCTION predictq.waits_since(p_queue text, p_model_version_id integer, p_created_at timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE
    RETURN greatest(p_created_at, (
        SELECT max(r.at) FROM predictq.resumptions r
        WHERE (r.queue IS NULL OR r.queue = p_queue)
          AND (r.model IS NULL OR r.model = (SELECT v.model FROM predictq.model_versions v WHERE v.id = p_model_version_id))));
COMMENT ON FUNCTION predictq.waits_since IS 'Since when a batch waits: a pause that it was under does not count.';

CREATE FUNCTION predictq.next_batches(p_queue text, p_requirements text[], p_models text[], p_most integer)
RETURNS bigint[] LANGUAGE plpgsql
-- By indexes alone, and planned once per connection: to plan it anew for each batch took more than to carry it out.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    found_ids bigint[];
    away integer[];
    turn record;
BEGIN
    -- A claim whose lease ran out comes first, and alone: its rows may be what ended its worker.
    SELECT ARRAY[b.id] INTO found_ids FROM predictq.prediction_batches b
    WHERE b.status = 'running' AND b.lease_until < clock_timestamp() AND b.queue = p_queue
      AND b.requirements = ANY (p_requirements)
      AND (p_models IS NULL OR EXISTS (SELECT FROM predictq.model_versions v
                                       WHERE v.id = b.model_version_id AND v.model = ANY (p_models)))
      AND NOT predictq.is_paused(b.queue, b.model_version_id, b.reads_source)
    ORDER BY b.lease_until LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        RETURN found_ids;
    END IF;
    IF p_queue = 'interactive' THEN
        -- Found once: thousands of calls may wait for a source that is away.
        away := ARRAY(
            SELECT v.id FROM predictq.sources s JOIN predictq.model_versions v ON v.source_id = s.id
            WHERE s.probe_at > clock_timestamp() AND NOT s.is_given_up);
        RETURN ARRAY(
            SELECT b.id FROM predictq.prediction_batches b
            WHERE b.status = 'queued' AND b.queue = 'interactive' AND b.requirements = ANY (p_requirements)
              AND (p_models IS NULL OR EXISTS (SELECT FROM predictq.model_versions v
                                               WHERE v.id = b.model_version_id AND v.model = ANY (p_models)))
              AND NOT (b.reads_source AND b.model_version_id = ANY (away))
              AND NOT predictq.is_paused(b.queue, b.model_version_id, false)
            ORDER BY b.id LIMIT p_most FOR UPDATE SKIP LOCKED);
    END IF;
    -- Owners in turns, models of an owner in turns, then age.
    FOR turn IN
        WITH RECURSIVE waiting AS (
            (SELECT b.owner, b.model_version_id FROM predictq.prediction_batches b
             WHERE b.status = 'queued' AND b.queue = p_queue AND b.queue <> 'interactive'
             ORDER BY b.owner, b.model_version_id LIMIT 1)
            UNION ALL
            SELECT n.owner, n.model_version_id FROM waiting w CROSS JOIN LATERAL (
                SELECT b.owner, b.model_version_id FROM predictq.prediction_batches b
                WHERE b.status = 'queued' AND b.queue = p_queue AND b.queue <> 'interactive'
                  AND (b.owner, b.model_version_id) > (w.owner, w.model_version_id)
                ORDER BY b.owner, b.model_version_id LIMIT 1) n
        )
        SELECT w.owner, w.model_version_id FROM waiting w
        JOIN predictq.model_versions v ON v.id = w.model_version_id
        LEFT JOIN predictq.turns o ON o.queue = p_queue AND o.owner = w.owner AND o.model_version_id = 0
        LEFT JOIN predictq.turns m
            ON m.queue = p_queue AND m.owner = w.owner AND m.model_version_id = w.model_version_id
        WHERE v.requirements = ANY (p_requirements) AND (p_models IS NULL OR v.model = ANY (p_models))
          AND NOT predictq.is_paused(p_queue, w.model_version_id, false)
        ORDER BY o.served NULLS FIRST, m.served NULLS FIRST, w.owner, w.model_version_id
    LOOP
        IF predictq.is_paused(p_queue, turn.model_version_id, true) THEN
            -- Her source is away: what came with its features goes on.
            SELECT ARRAY[b.id] INTO found_ids FROM predictq.prediction_batches b
            WHERE b.status = 'queued' AND b.queue = p_queue AND b.queue <> 'interactive' AND NOT b.reads_source
              AND b.owner = turn.owner AND b.model_version_id = turn.model_version_id
            ORDER BY b.id LIMIT 1 FOR UPDATE SKIP LOCKED;
        ELSE
            SELECT ARRAY[b.id] INTO found_ids FROM predictq.prediction_batches b
            WHERE b.status = 'queued' AND b.queue = p_queue AND b.queue <> 'interactive'
              AND b.owner = turn.owner AND b.model_version_id = turn.model_version_id
            ORDER BY b.id LIMIT 1 FOR UPDATE SKIP LOCKED;
        END IF;
        IF FOUND THEN
            INSERT INTO predictq.turns AS t (queue, owner, model_version_id, served)
            SELECT p_queue, turn.owner, n.id, nextval('predictq.turn_numbers')
            FROM unnest(ARRAY[0, turn.model_version_id]) AS n (id)
            ON CONFLICT (queue, owner, model_version_id) DO UPDATE SET served = excluded.served;
            RETURN found_ids;
        END IF;
    END LOOP;
    RETURN '{}';
END $$;
COMMENT ON FUNCTION predictq.next_batches IS
    'Lock what a worker that meets these requirements takes next: an expired claim, else waiting single predictions, '
    'else a batch of the owner, and of her model, that was served longest ago.';

CREATE FUNCTION predictq.claim(
    p_queue text, p_requirements text[], p_models text[], p_worker text, p_lease double precision, p_most integer)
RETURNS TABLE (
    batch_id bigint, fence integer, attempts integer, model_version_id integer, request_count integer, job_id text,
    waited double precision, source_id integer, keys_int8 text, keys_uuid text, keys_text text[], given text[],
    planned_key text, planned_rows bigint)
LANGUAGE plpgsql
-- As above.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    -- Once, and not in the condition below, where it would be asked for each row.
    picked bigint[] := predictq.next_batches(p_queue, p_requirements, p_models, p_most);
BEGIN
    RETURN QUERY
    WITH claimed AS (
        UPDATE predictq.prediction_batches b
        SET status = 'running', fence = b.fence + 1, attempts = b.attempts + 1, worker = p_worker,
            lease_until = clock_timestamp() + make_interval(secs => p_lease),
            claimed_at = coalesce(b.claimed_at, clock_timestamp())
        WHERE b.id = ANY (picked)
        RETURNING b.*
    )
    SELECT c.id, c.fence, c.attempts, c.model_version_id, c.request_count, c.job_id::text,
           extract(epoch FROM clock_timestamp()
                   - predictq.waits_since(c.queue, c.model_version_id, c.created_at))::double precision,
           r.source_id, r.keys_int8::text, r.keys_uuid::text, r.keys_text, r.given, c.planned_key, c.planned_rows
    FROM claimed c LEFT JOIN predictq.batch_requests r ON r.batch_id = c.id
    ORDER BY c.id;
END $$;
COMMENT ON FUNCTION predictq.claim IS
    'Claim work of a queue under a lease: each claim raises the fence, and only the newest fence may finish.';

CREATE FUNCTION predictq.end_job(p_job_id uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job record;
    ended text;
BEGIN
    -- Many open batches: somebody else ends the job. Few: whoever takes the lock last sees that none is left.
    IF (SELECT count(*) FROM (SELECT FROM predictq.prediction_batches b WHERE b.job_id = p_job_id LIMIT 257) o) > 256 THEN
        RETURN NULL;
    END IF;
    SELECT j.id, j.first_batch_id INTO job FROM predictq.jobs j
    WHERE j.id = p_job_id AND j.kind = 'bulk' AND j.status IS NULL FOR UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM predictq.prediction_batches b WHERE b.job_id = p_job_id) THEN
        RETURN NULL;
    END IF;
    UPDATE predictq.jobs j
    SET succeeded = o.succeeded, failed = o.failed, cancelled = o.cancelled, request_count = o.rows,
        started_at = least(j.started_at, o.started_at), finished_at = clock_timestamp(),
        status = CASE
            WHEN j.cancelled_at IS NOT NULL THEN 'cancelled'
            WHEN j.error_code <> 'deadline_passed' THEN 'failed'
            WHEN (o.rows > 0 OR j.error_code IS NOT NULL) AND o.succeeded = 0 THEN 'failed'
            ELSE 'succeeded'
        END
    FROM (
        SELECT coalesce(sum(b.succeeded), 0) AS succeeded, coalesce(sum(b.failed), 0) AS failed,
               coalesce(sum(b.cancelled), 0) AS cancelled, coalesce(sum(b.request_count), 0) AS rows,
               min(b.claimed_at) AS started_at
        FROM predictq.batch_outputs b WHERE b.job_id = p_job_id AND b.batch_id >= job.first_batch_id
    ) o
    WHERE j.id = p_job_id
    RETURNING j.status INTO ended;
    RETURN ended;
END $$;
COMMENT ON FUNCTION predictq.end_job IS
    'Write the end and the counts of a bulk job once its plan has ended and no batch of it is open. Returns its status.';

CREATE FUNCTION predictq.data_directory() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT setting FROM pg_settings WHERE name = 'data_directory'
$$;
COMMENT ON FUNCTION predictq.data_directory IS
    'Where the server has its data, so that somebody can say when that disk is full; null where the owner may not know.';
REVOKE EXECUTE ON FUNCTION predictq.data_directory FROM PUBLIC;
