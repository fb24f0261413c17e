-- The end of a batch: its answers stored and its row of open work gone, in one statement, under the newest fence.

CREATE FUNCTION predictq.finish(
    p_batch_id bigint, p_fence integer, p_values double precision[], p_labels smallint[], p_scores double precision[],
    p_threshold double precision, p_error_rows integer[], p_error_codes text[], p_error_details text[], p_features bytea,
    p_key_filter bytea, p_key_hashes bigint[], p_notes jsonb, p_seed bytea)
RETURNS TABLE (batch_id bigint, succeeded integer, failed integer)
LANGUAGE plpgsql AS $$
DECLARE
    batch record;
    all_values double precision[] := p_values;
    cancelled_row integer;
    erased_row integer;
    cancelled_count integer := 0;
    failed_count integer := 0;
BEGIN
    -- The row lock holds off a cancel, a new claim and an erasure until this transaction has ended.
    DELETE FROM predictq.prediction_batches b
    WHERE b.id = p_batch_id AND b.fence = p_fence AND b.status = 'running' RETURNING * INTO batch;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF batch.erased_rows IS NOT NULL THEN
        -- Clients that were erased while the batch was open: whatever a worker says of their rows, this is their error.
        SELECT array_agg(e.number ORDER BY e.number), array_agg(e.code ORDER BY e.number),
               array_agg(e.detail ORDER BY e.number) INTO p_error_rows, p_error_codes, p_error_details
        FROM (
            SELECT u.number, u.code, u.detail FROM unnest(p_error_rows, p_error_codes, p_error_details)
                u (number, code, detail) WHERE u.number <> ALL (batch.erased_rows)
            UNION ALL SELECT n, 'erased', 'the client was erased' FROM unnest(batch.erased_rows) n
        ) e;
        FOREACH erased_row IN ARRAY batch.erased_rows LOOP
            all_values[erased_row + 1] := NULL;
            IF p_labels IS NOT NULL THEN
                p_labels[erased_row + 1] := NULL;
            END IF;
        END LOOP;
    END IF;
    failed_count := coalesce(cardinality(p_error_rows), 0);
    IF batch.cancelled_rows IS NOT NULL THEN
        cancelled_count := cardinality(batch.cancelled_rows);
        FOREACH cancelled_row IN ARRAY batch.cancelled_rows LOOP
            all_values[cancelled_row + 1] := NULL;
            IF p_labels IS NOT NULL THEN
                p_labels[cancelled_row + 1] := NULL;
            END IF;
            FOR class_number IN 1..coalesce(cardinality(p_scores), 0) / batch.request_count LOOP
                p_scores[cancelled_row * (cardinality(p_scores) / batch.request_count) + class_number] := NULL;
            END LOOP;
        END LOOP;
        SELECT count(*) INTO failed_count FROM unnest(p_error_rows) e (number) WHERE e.number <> ALL (batch.cancelled_rows);
    END IF;
    INSERT INTO predictq.batch_outputs (
        batch_id, created_at, job_id, model_version_id, fence, attempts, request_count, succeeded, failed, cancelled,
        claimed_at, threshold, worker, "values", labels, scores, error_rows, error_codes, error_details, cancelled_rows,
        erased_rows, features, key_filter, notes, seed)
    VALUES (
        batch.id, clock_timestamp(), batch.job_id, batch.model_version_id, batch.fence, batch.attempts,
        batch.request_count, batch.request_count - failed_count - cancelled_count, failed_count, cancelled_count,
        batch.claimed_at, p_threshold, batch.worker, all_values, p_labels, p_scores, p_error_rows, p_error_codes,
        p_error_details, batch.cancelled_rows, batch.erased_rows, p_features, p_key_filter, p_notes, p_seed);
    IF p_key_hashes IS NOT NULL THEN
        INSERT INTO predictq.key_hashes (hash, batch_id) SELECT DISTINCT h, p_batch_id FROM unnest(p_key_hashes) h;
    END IF;
    IF batch.job_id IS NOT NULL THEN
        PERFORM predictq.end_job(batch.job_id);
    ELSIF failed_count > 0 THEN
        -- A single job that failed says so itself, so that a list of failures reads an index and not all pages.
        UPDATE predictq.jobs j SET status = 'failed', finished_at = clock_timestamp()
        FROM predictq.batch_requests r CROSS JOIN LATERAL unnest(p_error_rows) e (number)
        WHERE r.batch_id = p_batch_id AND j.id = r.job_ids[e.number + 1] AND j.status IS NULL;
    END IF;
    RETURN QUERY SELECT batch.id::bigint, batch.request_count - failed_count - cancelled_count, failed_count;
END $$;
COMMENT ON FUNCTION predictq.finish IS
    'Store the answers of a batch and end it, if this claim is still the newest; else no row comes back and nothing is kept.';
