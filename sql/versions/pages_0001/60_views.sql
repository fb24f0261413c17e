-- Rows for people and BI tools, out of pages. Quick by created_at, batch_id and, of bulk jobs, job_id; one answer by
-- its id is the functions' work: no view could be quick by a computed id.

-- What a client key is in JSON where nobody has spelled it otherwise: a text, or an object for a composite key.
CREATE FUNCTION predictq.natural_key(key_columns jsonb, canonical text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
    SELECT CASE WHEN canonical IS NULL THEN NULL
                WHEN coalesce(jsonb_array_length(key_columns), 1) = 1 THEN to_jsonb(canonical)
                ELSE (SELECT jsonb_object_agg(c.value ->> 'name',
                          CASE WHEN c.value ->> 'type' IN ('smallint', 'integer', 'bigint')
                               THEN to_jsonb((k.value #>> '{}')::bigint) ELSE k.value END)
                      FROM jsonb_array_elements(key_columns) WITH ORDINALITY c (value, n)
                      JOIN jsonb_array_elements(canonical::jsonb) WITH ORDINALITY k (value, n) USING (n)) END
$$;
COMMENT ON FUNCTION predictq.natural_key IS
    'A canonical text key as it is shown in JSON: the text itself, or an object of the key''s columns.';

CREATE FUNCTION predictq.request_rows(
    job_ids uuid[], keys_int8 bigint[], keys_uuid uuid[], keys_text text[], given text[])
RETURNS TABLE (row_number integer, single_job_id uuid, client_id text, features text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000 SET search_path = '' AS $$
    -- One unnest of all arrays: a subscript would open an array anew for each row.
    SELECT (u.n - 1)::integer, u.job_id, coalesce(u.key_int8::text, u.key_uuid::text, u.key_text), u.given
    FROM ROWS FROM (
        unnest(job_ids), unnest(keys_int8), unnest(keys_uuid), unnest(keys_text), unnest(given)
    ) WITH ORDINALITY AS u (job_id, key_int8, key_uuid, key_text, given, n)
$$;
COMMENT ON FUNCTION predictq.request_rows IS 'The rows of a page of requests.';

CREATE FUNCTION predictq.output_rows(
    "values" double precision[], labels smallint[], error_rows integer[], error_codes text[], error_details text[],
    cancelled_rows integer[])
RETURNS TABLE (row_number integer, value double precision, label_number smallint, error_code text, error_detail text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000 SET search_path = '' AS $$
    SELECT u.n - 1, u.value, u.label_number, e.code, e.detail
    FROM (
        SELECT v.value, v.label_number, v.n::integer
        FROM ROWS FROM (unnest("values"), unnest(labels)) WITH ORDINALITY AS v (value, label_number, n)
    ) u
    LEFT JOIN ROWS FROM (unnest(error_rows), unnest(error_codes), unnest(error_details)) AS e (row_number, code, detail)
        ON e.row_number = u.n - 1
    WHERE (cancelled_rows IS NULL OR u.n - 1 <> ALL (cancelled_rows))
$$;
COMMENT ON FUNCTION predictq.output_rows IS 'The rows of a page of answers, cancelled ones left out.';

CREATE FUNCTION predictq.label_of(classes jsonb, value double precision, threshold double precision, label_number smallint)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN value IS NULL THEN NULL
        WHEN label_number IS NOT NULL THEN classes ->> label_number::integer
        WHEN threshold IS NOT NULL THEN classes ->> (value >= threshold)::integer
    END;
COMMENT ON FUNCTION predictq.label_of IS 'The class of an answer, as text: by its number, or by the threshold.';

-- job_id is the page's own, and so found by an index. That of a single job is one of many in its page, where no condition
-- reaches it: a column of its own says so. With both in one column a bulk job's rows would be looked for in all pages.
CREATE VIEW predictq.prediction_requests AS
SELECT p.batch_id || '-' || r.row_number AS request_id, p.job_id, r.single_job_id, r.client_id, r.features, p.created_at,
       p.batch_id, r.row_number
FROM predictq.batch_requests p
CROSS JOIN LATERAL predictq.request_rows(p.job_ids, p.keys_int8, p.keys_uuid, p.keys_text, p.given) r
WHERE p.gone_rows IS NULL OR r.row_number <> ALL (p.gone_rows);
COMMENT ON VIEW predictq.prediction_requests IS
    'Each row that was asked for. job_id is that of a bulk job; a single job is found in job_status, which has its '
    'request_id.';

CREATE VIEW predictq.prediction_outputs AS
SELECT o.batch_id || '-' || r.row_number AS request_id,
       CASE WHEN v.task <> 'regression' THEN r.value END AS probability,
       predictq.label_of(v.classes, r.value, o.threshold, r.label_number) AS label,
       CASE WHEN r.value IS NOT NULL THEN o.threshold END AS threshold,
       CASE WHEN v.task = 'regression' THEN r.value END AS value, v.model, v.version AS model_version,
       r.error_code, r.error_detail, o.fence, o.created_at, o.job_id, o.batch_id, r.row_number
FROM predictq.batch_outputs o
JOIN predictq.model_versions v ON v.id = o.model_version_id
CROSS JOIN LATERAL predictq.output_rows(
    o."values", o.labels, o.error_rows, o.error_codes, o.error_details, o.cancelled_rows || o.gone_rows) r;
COMMENT ON VIEW predictq.prediction_outputs IS
    'The one answer or the one stated error of each row. job_id is that of a bulk job; null where single jobs share a batch.';

CREATE VIEW predictq.prediction_trace AS
SELECT o.batch_id || '-' || r.row_number AS request_id, o.job_id, q.single_job_id,
       CASE WHEN o.job_id IS NULL THEN 'single' ELSE 'bulk' END AS job_kind, q.client_id,
       CASE WHEN v.task <> 'regression' THEN r.value END AS probability,
       predictq.label_of(v.classes, r.value, o.threshold, r.label_number) AS label,
       CASE WHEN r.value IS NOT NULL THEN o.threshold END AS threshold,
       CASE WHEN v.task = 'regression' THEN r.value END AS value, r.error_code, r.error_detail,
       v.model, v.version AS model_version, v.sha256 AS model_sha256, v.digest AS version_digest,
       o.batch_id, r.row_number, o.worker, o.fence, o.attempts, p.created_at AS accepted_at, o.claimed_at,
       o.created_at AS answered_at
FROM predictq.batch_outputs o
JOIN predictq.batch_requests p ON p.batch_id = o.batch_id
JOIN predictq.model_versions v ON v.id = o.model_version_id
CROSS JOIN LATERAL predictq.output_rows(
    o."values", o.labels, o.error_rows, o.error_codes, o.error_details, o.cancelled_rows || o.gone_rows) r
JOIN LATERAL predictq.request_rows(p.job_ids, p.keys_int8, p.keys_uuid, p.keys_text, p.given) q
    ON q.row_number = r.row_number;
COMMENT ON VIEW predictq.prediction_trace IS
    'Each answer with its request and its model. The features as scored are in the page: predictq trace ID shows them.';

-- What is no id names no answer, as an id that nobody has.
CREATE FUNCTION predictq.is_request_id(request_id text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN request_id ~ '^[0-9]{1,18}-[0-9]{1,9}$';
CREATE FUNCTION predictq.batch_of(request_id text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN predictq.is_request_id(request_id) THEN split_part(request_id, '-', 1)::bigint END;
CREATE FUNCTION predictq.row_of(request_id text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN predictq.is_request_id(request_id) THEN split_part(request_id, '-', 2)::integer END;

CREATE FUNCTION predictq.prediction(request_id text) RETURNS SETOF predictq.prediction_outputs
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 AS $$
DECLARE
    wanted_batch bigint := predictq.batch_of($1);
    wanted_row integer := predictq.row_of($1);
BEGIN
    RETURN QUERY SELECT o.* FROM predictq.prediction_outputs o
        WHERE o.batch_id = wanted_batch AND o.row_number = wanted_row;
END $$;
COMMENT ON FUNCTION predictq.prediction IS 'One answer by its id: SELECT * FROM predictq.prediction(''1042-7'').';

CREATE FUNCTION predictq.prediction_trace(request_id text) RETURNS SETOF predictq.prediction_trace
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 AS $$
DECLARE
    wanted_batch bigint := predictq.batch_of($1);
    wanted_row integer := predictq.row_of($1);
BEGIN
    RETURN QUERY SELECT t.* FROM predictq.prediction_trace t
        WHERE t.batch_id = wanted_batch AND t.row_number = wanted_row;
END $$;
COMMENT ON FUNCTION predictq.prediction_trace IS 'What made one answer: SELECT * FROM predictq.prediction_trace(''1042-7'').';

CREATE VIEW predictq.job_status AS
SELECT j.id AS job_id, j.kind, j.owner, j.name, v.model, v.version AS model_version, j.model_version_id, j.request_count,
       j.batch_id, j.row_number, j.batch_id || '-' || j.row_number AS request_id, j.created_at, j.cancelled_at,
       p.started_at, p.succeeded, p.failed, p.cancelled, p.finished_at, j.error_code, j.error_detail, j.snapshots,
       p.is_planning,
       CASE
           WHEN j.status IS NOT NULL THEN j.status
           WHEN p.succeeded = 1 AND j.kind = 'single' THEN 'succeeded'
           WHEN p.started_at IS NOT NULL THEN 'running'
           ELSE 'queued'
       END AS status
FROM predictq.jobs j
JOIN predictq.model_versions v ON v.id = j.model_version_id
CROSS JOIN LATERAL (
    -- A bulk job that has ended says so itself.
    SELECT j.started_at, j.finished_at, j.succeeded, j.failed, j.cancelled, false AS is_planning
    WHERE j.kind = 'bulk' AND j.status IS NOT NULL
    UNION ALL
    SELECT least(j.started_at, o.started_at, b.started_at), NULL, o.succeeded, o.failed, o.cancelled, b.is_planning
    FROM (SELECT min(b.claimed_at) AS started_at, coalesce(bool_or(b.queue = 'plan'), false) AS is_planning
          FROM predictq.prediction_batches b WHERE b.job_id = j.id) b,
         (SELECT min(o.claimed_at) AS started_at, coalesce(sum(o.succeeded), 0) AS succeeded,
                 coalesce(sum(o.failed), 0) AS failed, coalesce(sum(o.cancelled), 0) AS cancelled
          FROM predictq.batch_outputs o WHERE o.job_id = j.id AND o.batch_id >= j.first_batch_id) o
    WHERE j.kind = 'bulk' AND j.status IS NULL
    UNION ALL
    -- A single job has one row, in a batch that it shares.
    SELECT coalesce(o.claimed_at, b.claimed_at), coalesce(j.finished_at, o.created_at),
           (j.status IS NULL AND o.batch_id IS NOT NULL)::integer, (j.status IS NOT DISTINCT FROM 'failed')::integer,
           (j.status IS NOT DISTINCT FROM 'cancelled')::integer, false
    FROM (SELECT) one
    LEFT JOIN predictq.batch_outputs o ON o.batch_id = j.batch_id
    LEFT JOIN predictq.prediction_batches b ON b.id = j.batch_id
    WHERE j.kind = 'single'
) p;
COMMENT ON VIEW predictq.job_status IS 'Each job with its status and counts.';
