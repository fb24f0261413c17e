-- On a server that is ours alone, whatever the owner has made or will make outside predictq's own schema is there to be
-- read: gateway and worker may SELECT from it. Nothing in the schema predictq is touched: rights.sql decides there.
DO $$
DECLARE
    role_name text;
    place text;
    relation record;
BEGIN
    FOR role_name IN SELECT d.name FROM predictq.database_roles d WHERE d.duty IN ('gateway', 'worker') LOOP
        -- What is made from now on. A partition of predictq's gets this, too: its parents are all readable by both.
        EXECUTE format('ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO %I', role_name);
        EXECUTE format('ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO %I', role_name);
        -- What was made before, or under another role's default privileges.
        FOR place IN
            SELECT n.nspname FROM pg_namespace n
            WHERE pg_has_role(n.nspowner, 'USAGE') AND n.nspname NOT IN ('predictq', 'information_schema')
              AND n.nspname NOT LIKE 'pg\_%' AND NOT has_schema_privilege(role_name, n.oid, 'USAGE')
        LOOP
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', place, role_name);
        END LOOP;
        FOR relation IN
            SELECT n.nspname AS place, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE pg_has_role(c.relowner, 'USAGE') AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
              AND n.nspname NOT IN ('predictq', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
              AND NOT has_table_privilege(role_name, c.oid, 'SELECT')
        LOOP
            EXECUTE format('GRANT SELECT ON %I.%I TO %I', relation.place, relation.name, role_name);
        END LOOP;
    END LOOP;
END $$;
