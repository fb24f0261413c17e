-- Who may do what, as a table. `predictq migrate --roles` reads it, and each migration after that reads it anew.
--
-- The owner has made all of this and may all of it: it migrates, and no service runs as it. What is not in the table is
-- not allowed. Nobody but the owner may alter, truncate or drop anything, and nobody may change the audit log.
-- `update (a, b)` is of these columns alone. Rights on a partitioned table are those on its partitions, too.

CREATE TEMPORARY TABLE rights (object text PRIMARY KEY, gateway text, worker text, upkeep text) ON COMMIT DROP;
INSERT INTO pg_temp.rights VALUES
-- what there is            gateway                          worker                          upkeep
('alembic_version',         'select',                        'select',                       'select'),
('installation',            'select',                        'select',                       'select'),
('database_roles',          'select',                        'select',                       'select'),
-- sources and models
('sources',                 'select, insert, update',        'select, insert, update',       'select'),
('models',                  'select, update',                'select, insert, update',       'select'),
('model_versions',          'select, update',                'select, insert, update',       'select'),
('model_seals',             'select, insert',                'select, insert',               'select'),
('promotions',              'select, insert',                'select, insert',               'select'),
('reference_rows',          '',                              'select, insert',               ''),
-- callers and people
('api_keys',                'select, insert, update (revoked_at, expires_at, rotated_to, last_used_at)',
                                             'select (owner, max_waiting_rows, revoked_at, expires_at)', ''),
-- without `at` and `xid`: when it was, and in which transaction, is what the server says
('audit_log',
    'select, insert (actor_kind, actor, key_id, address, action, object, before, after, reason, call_id, epoch)',
    'insert (actor_kind, actor, key_id, address, action, object, before, after, reason, call_id, epoch)',
    'select, insert (actor_kind, actor, key_id, address, action, object, before, after, reason, call_id, epoch)'),
('sessions',                'select, insert, delete',        '',                             'select, delete'),
('sign_in_links',           'select, insert, delete',        '',                             'select, delete'),
('pauses',                  'select, insert, update, delete', 'select',                      'select'),
('resumptions',             'select, insert, update',        'select',                       'select'),
-- what was asked
('jobs',                    'select, insert, update',        'select, update',               'select, update, delete'),
('idempotency_keys',        'select, insert',                '',                             'select, update, delete'),
('prediction_batches',      'select, insert, update, delete', 'select, insert, update, delete',
                                                                                    'select, update, delete'),
('batch_requests',          'select, insert',                'select, insert',               'select, update, delete'),
('batch_ids',               'usage, select',                 'usage, select',                'select'),
('turns',                   'select',                        'select, insert, update',       ''),
('turn_numbers',            '',                              'usage',                        ''),
('workers',                 'select',                        'select, insert, update, delete', 'select, update, delete'),
('warm_ups',                'select, insert, update, delete', 'select, insert, update, delete', 'select, update, delete'),
-- what was answered
('batch_outputs',           'select, insert',                'select, insert',       'select, insert, update, delete'),
('key_hashes',              'select',                        'select, insert',               'select, insert, delete'),
('prediction_requests',     'select',                        'select',                       'select'),
('prediction_outputs',      'select',                        'select',                       'select'),
('prediction_trace',        'select',                        'select',                       'select'),
('job_status',              'select',                        'select',                       'select'),
-- files and errands
('uploads',                 'select, insert, update, delete', 'select, update, delete',      'select, update, delete'),
('upload_pieces',           'select, insert',                'select',                       'select, delete'),
('exports',                 'select, insert, update, delete', 'select, insert, update, delete', 'select, update, delete'),
('export_pieces',           'select',                        'select, insert',               'select, delete'),
('errands',                 'select, insert, update, delete', 'select, update',              'select, update, delete'),
-- what goes, and what must not
('retention_default',       'select, update',                '',                             'select'),
('retention_runs',          'select, insert',                '',                             'select, update, delete'),
('holds',                   'select, insert, update',        '',                             'select, update'),
('erasures',                'select, insert, update',        '',                             'select, insert, update'),
('erasure_jobs',            'select',                        '',                             'select, insert, delete'),
('daily_counts',            'select',                        '',                             'select, insert, update'),
('partitions',              'select',                        'select',                       'select, update, delete'),
('duties',                  'select',                        '',                             'select, insert, update'),
('samples',                 'select',                        '',                        'select, insert, update, delete'),
-- What needs the owner's rights, in functions that do one thing each: partitions are made, left and dropped by these.
('make_job_partitions(interval)',         '', '', 'execute'),
('make_batch_partitions(integer, bigint)', '', '', 'execute'),
('note_full_partitions()',                '', '', 'execute'),
('close_batch_partition()',               '', '', 'execute'),
('drop_leaving_partition(text)',          '', '', 'execute'),
('rewrite_table(text)',                   '', '', 'execute'),
('data_directory()',                      'execute', '', 'execute');

-- From here on no more is decided.
DO $$
DECLARE
    role_name text;
    part text;
    wanted record;
    of_owner regprocedure;
BEGIN
    -- As when they were made: a dump that was restored without its privileges lets everybody call them.
    FOR of_owner IN SELECT oid FROM pg_proc WHERE pronamespace = 'predictq'::regnamespace AND prosecdef LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', of_owner);
    END LOOP;
    FOR role_name IN SELECT d.name FROM predictq.database_roles d LOOP
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA predictq FROM %I', role_name);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA predictq FROM %I', role_name);
        EXECUTE format('REVOKE ALL ON SCHEMA predictq FROM %I', role_name);
        EXECUTE format('GRANT USAGE ON SCHEMA predictq TO %I', role_name);
    END LOOP;
    FOR wanted IN
        SELECT d.name, r.object, p.oid AS function_id, c.oid AS table_id, c.relkind,
               CASE d.duty WHEN 'gateway' THEN r.gateway WHEN 'worker' THEN r.worker ELSE r.upkeep END AS rights
        FROM pg_temp.rights r CROSS JOIN predictq.database_roles d
        LEFT JOIN pg_proc p ON p.oid = to_regprocedure(CASE WHEN r.object LIKE '%(%' THEN 'predictq.' || r.object END)
        LEFT JOIN pg_class c ON c.relname = r.object AND c.relnamespace = 'predictq'::regnamespace
    LOOP
        IF wanted.function_id IS NULL AND wanted.table_id IS NULL THEN
            RAISE EXCEPTION 'the table of rights names %, which is not there', wanted.object;
        ELSIF wanted.function_id IS NOT NULL THEN
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', wanted.function_id::regprocedure, wanted.name);
            IF wanted.rights <> '' THEN
                EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', wanted.function_id::regprocedure, wanted.name);
            END IF;
        ELSIF wanted.rights <> '' AND wanted.relkind = 'S' THEN
            EXECUTE format('GRANT %s ON SEQUENCE predictq.%I TO %I', wanted.rights, wanted.object, wanted.name);
        ELSIF wanted.rights <> '' THEN
            FOR part IN  -- itself, and its partitions
                SELECT c.relname FROM pg_class c
                WHERE c.oid = wanted.table_id
                   OR c.oid IN (SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = wanted.table_id)
            LOOP
                EXECUTE format('GRANT %s ON TABLE predictq.%I TO %I', wanted.rights, part, wanted.name);
            END LOOP;
        END IF;
    END LOOP;
    -- Tables that `predictq clients import` and the examples make are there to be read. Others need the lines that
    -- `predictq sources add` prints.
    CREATE SCHEMA IF NOT EXISTS predictq_data;
    FOR role_name IN SELECT d.name FROM predictq.database_roles d WHERE d.duty IN ('gateway', 'worker') LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA predictq_data TO %I', role_name);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA predictq_data TO %I', role_name);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA predictq_data GRANT SELECT ON TABLES TO %I', role_name);
    END LOOP;
END $$;
