-- What something depends on is not dropped without CASCADE. A script of somebody's own that begins with
-- DROP TABLE IF EXISTS samples, in a shell whose search_path leads here, is refused and loses nothing.

DO $$
BEGIN
    EXECUTE (
        SELECT 'CREATE VIEW predictq.kept AS SELECT FROM '
            || string_agg(format('predictq.%I', relname), ', ' ORDER BY relname) || ' WHERE false'
        FROM pg_class
        WHERE relnamespace = 'predictq'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition);
END $$;
COMMENT ON VIEW predictq.kept IS 'Has no rows and no columns: it keeps predictq''s tables from being dropped by mistake.';
