-- Partitions are made beside their parents and then attached: CREATE … PARTITION OF would lock the parent against
-- readers and queue behind a long download.
--
-- To make and to drop one takes the owner of its parent, which the upkeep process is not. So each such step is a function
-- that runs as the owner (SECURITY DEFINER), finds nothing by a search path of the caller's, and does this one thing.

CREATE FUNCTION predictq.take_no_samples(table_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    column_name text;
BEGIN
    -- What PostgreSQL samples of a column it keeps in pg_statistic, where no erasure would reach it.
    FOR column_name IN
        SELECT attname FROM pg_attribute
        WHERE attrelid = format('predictq.%I', table_name)::regclass AND NOT attisdropped AND attname IN (
            'keys_int8', 'keys_uuid', 'keys_text', 'spelled', 'given', 'features', 'key_filter', 'error_details',
            'selection', 'error_detail', 'values', 'scores', 'labels', 'hash', 'planned_key', 'last_error',
            'client_key', 'wanted', 'key', 'payload_hash', 'arguments', 'result', 'content', 'answer')
    LOOP
        EXECUTE format('ALTER TABLE predictq.%I ALTER COLUMN %I SET STATISTICS 0', table_name, column_name);
    END LOOP;
END $$;
COMMENT ON FUNCTION predictq.take_no_samples IS 'Keep what could name a client out of pg_statistic.';

SELECT predictq.take_no_samples(c.relname) FROM pg_class c
WHERE c.relnamespace = 'predictq'::regnamespace AND c.relkind IN ('r', 'p');

CREATE FUNCTION predictq.share_rights(parent text, name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT string_agg(a.privilege_type, ', ') AS rights, a.grantee::regrole AS role_name
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.oid = format('predictq.%I', parent)::regclass AND a.grantee NOT IN (0, c.relowner) GROUP BY a.grantee
    LOOP
        EXECUTE format('GRANT %s ON predictq.%I TO %s', granted.rights, name, granted.role_name);
    END LOOP;
END $$;
COMMENT ON FUNCTION predictq.share_rights IS 'Give the database roles the same rights on a partition as on its parent.';

CREATE FUNCTION predictq.add_partition(parent text, name text, lowest text, highest text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass(format('predictq.%I', name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE predictq.%I (LIKE predictq.%I INCLUDING ALL)', name, parent);
    PERFORM predictq.take_no_samples(name);
    IF parent <> 'key_hashes' THEN
        EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON predictq.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION predictq.refuse_change()', name);
    END IF;
    EXECUTE format('ALTER TABLE predictq.%I ATTACH PARTITION predictq.%I FOR VALUES FROM (%L) TO (%L)',
                   parent, name, lowest, highest);
    PERFORM predictq.share_rights(parent, name);
    RETURN true;
END $$;

CREATE FUNCTION predictq.first_uuid_of(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN (rpad(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0'), 32, '0'))::uuid;
COMMENT ON FUNCTION predictq.first_uuid_of IS 'The lowest UUIDv7 of a moment: job ids are ordered by time.';

CREATE FUNCTION predictq.time_of(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE
    RETURN to_timestamp(('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0);
COMMENT ON FUNCTION predictq.time_of IS 'The moment that a UUIDv7 says it was made.';

CREATE FUNCTION predictq.make_job_partitions(ahead interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    week timestamptz := date_trunc('week', now() AT TIME ZONE 'UTC' - interval '1 week') AT TIME ZONE 'UTC';
    made integer := 0;
BEGIN
    WHILE week <= now() + ahead LOOP
        IF predictq.add_partition('jobs', 'jobs_' || to_char(week AT TIME ZONE 'UTC', 'IYYY"w"IW'),
                                  predictq.first_uuid_of(week)::text,
                                  predictq.first_uuid_of(week + interval '7 days')::text) THEN
            INSERT INTO predictq.partitions (name, parent, first_week)
            VALUES ('jobs_' || to_char(week AT TIME ZONE 'UTC', 'IYYY"w"IW'), 'jobs', (week AT TIME ZONE 'UTC')::date);
            made := made + 1;
        END IF;
        week := week + interval '7 days';
    END LOOP;
    RETURN made;
END $$;

CREATE FUNCTION predictq.make_batch_partitions(ahead integer, width bigint DEFAULT 1000000) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    reached bigint := (SELECT last_value FROM predictq.batch_ids);
    lowest bigint := coalesce((SELECT max(end_batch_id) FROM predictq.partitions), 0);
    next_name text;
    table_name text;
    made integer := 0;
BEGIN
    WHILE (SELECT count(*) FROM predictq.partitions
           WHERE parent = 'batch_outputs' AND end_batch_id > reached) <= ahead LOOP
        FOREACH table_name IN ARRAY ARRAY['batch_requests', 'batch_outputs', 'key_hashes'] LOOP
            next_name := table_name || '_' || lowest;
            PERFORM predictq.add_partition(table_name, next_name, lowest::text, (lowest + width)::text);
            INSERT INTO predictq.partitions (name, parent, first_batch_id, end_batch_id)
            VALUES (next_name, table_name, lowest, lowest + width);
        END LOOP;
        lowest := lowest + width;
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

CREATE FUNCTION predictq.note_full_partitions() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH closed AS (
        UPDATE predictq.partitions SET closed_at = clock_timestamp()
        WHERE closed_at IS NULL AND end_batch_id <= (SELECT last_value FROM predictq.batch_ids) RETURNING name)
    SELECT count(*)::integer FROM closed
$$;
COMMENT ON FUNCTION predictq.note_full_partitions IS 'Note as closed what batch ids have gone beyond by themselves.';

CREATE FUNCTION predictq.close_batch_partition() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    next_id bigint;
    next_first bigint;
BEGIN
    -- One after the other: who had read before another's closing would set the ids back to before it.
    PERFORM pg_advisory_xact_lock(1886545155);
    next_id := (SELECT last_value + is_called::integer FROM predictq.batch_ids);
    next_first := (SELECT min(first_batch_id) FROM predictq.partitions
                   WHERE parent = 'batch_outputs' AND first_batch_id >= next_id);
    IF next_first IS NULL THEN
        RETURN NULL;
    END IF;
    -- Never set back: behind an id that others draw meanwhile. Near the end of the range they are drawn one by one.
    PERFORM setval('predictq.batch_ids', next_first) FROM predictq.batch_ids WHERE last_value < next_first - 10000;
    IF NOT FOUND THEN
        PERFORM nextval('predictq.batch_ids')
        FROM predictq.batch_ids, generate_series(last_value + is_called::integer, next_first);
    END IF;
    PERFORM predictq.note_full_partitions();
    RETURN next_first;
END $$;
COMMENT ON FUNCTION predictq.close_batch_partition IS
    'Go on in the next partition: batch ids are drawn from its range from now on.';

CREATE FUNCTION predictq.drop_leaving_partition(p_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent_name text;
BEGIN
    SELECT p.parent INTO parent_name FROM predictq.partitions p WHERE p.name = p_name AND p.leaving_at IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'partition % is not marked as leaving', p_name USING ERRCODE = 'restrict_violation';
    END IF;
    EXECUTE format('LOCK TABLE predictq.%I IN ACCESS EXCLUSIVE MODE', parent_name);  -- first, as everybody else does
    EXECUTE format('DROP TABLE IF EXISTS predictq.%I', p_name);
    DELETE FROM predictq.partitions p WHERE p.name = p_name;
END $$;
COMMENT ON FUNCTION predictq.drop_leaving_partition IS
    'Drop a partition that retention has marked as leaving, and no other. Locks its parent: for a moment, or not at all '
    'by the lock_timeout of the caller.';

CREATE FUNCTION predictq.rewrite_table(p_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    index_name text := (
        SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'predictq'::regnamespace AND c.relname = p_name AND c.relkind = 'r'
          AND i.indisvalid AND i.indpred IS NULL
        ORDER BY i.indisprimary DESC, x.relname LIMIT 1);
BEGIN
    IF index_name IS NULL THEN
        RAISE EXCEPTION '% is no table that can be written anew', p_name USING ERRCODE = 'undefined_table';
    END IF;
    EXECUTE format('CLUSTER (VERBOSE) predictq.%I USING %I', p_name, index_name);
    EXECUTE format('ALTER TABLE predictq.%I SET WITHOUT CLUSTER', p_name);
END $$;
COMMENT ON FUNCTION predictq.rewrite_table IS
    'Write a table and its indexes anew, so that no old byte stays in their files. As VACUUM FULL does, which only the '
    'owner may, and only outside of a function; that it goes by an index is by the way.';

REVOKE EXECUTE ON FUNCTION
    predictq.take_no_samples, predictq.share_rights, predictq.add_partition, predictq.make_job_partitions,
    predictq.make_batch_partitions, predictq.note_full_partitions, predictq.close_batch_partition,
    predictq.drop_leaving_partition, predictq.rewrite_table
FROM PUBLIC;
