"""Guards: append-only tables, the history of clients, and set-based referential checks."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FEATURES = (
    "age, business_travel, daily_rate, department, distance_from_home, education, education_field, "
    "environment_satisfaction, gender, hourly_rate, job_involvement, job_level, job_role, job_satisfaction, "
    "marital_status, monthly_income, monthly_rate, num_companies_worked, over_time, percent_salary_hike, "
    "performance_rating, relationship_satisfaction, stock_option_level, total_working_years, "
    "training_times_last_year, work_life_balance, years_at_company, years_in_current_role, "
    "years_since_last_promotion, years_with_curr_manager"
)


def upgrade() -> None:
    _append_only()
    _client_versions()
    _model_versions()
    _references()


def _append_only() -> None:
    op.execute("""
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: the table is append-only, answers must stay traceable', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
""")
    for table in ("prediction_requests", "prediction_outputs", "clients_history"):
        op.execute(f"""
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
""")
    for table in ("clients", "jobs", "prediction_batches", "model_versions"):
        op.execute(f"""
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
""")
    for table in ("jobs", "prediction_batches", "model_versions"):
        op.execute(f"""
CREATE TRIGGER no_delete BEFORE DELETE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
""")


def _client_versions() -> None:
    old_features = ", ".join(f"OLD.{name}" for name in FEATURES.split(", "))
    op.execute(f"""
CREATE FUNCTION number_new_client() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A client that was deleted and comes back must not reuse a version that an old answer names.
    SELECT coalesce(max(version), 0) + 1 INTO NEW.version FROM clients_history WHERE client_id = NEW.client_id;
    NEW.updated_at = now();
    RETURN NEW;
END $$;
CREATE TRIGGER version_on_insert BEFORE INSERT ON clients FOR EACH ROW EXECUTE FUNCTION number_new_client();

CREATE FUNCTION keep_client_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.client_id <> OLD.client_id THEN
            RAISE EXCEPTION 'a client_id never changes: delete client % and insert client %',
                OLD.client_id, NEW.client_id USING ERRCODE = 'restrict_violation';
        END IF;
        NEW.version = OLD.version;
        NEW.updated_at = OLD.updated_at;
        IF NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NEW;  -- nothing changed, so the version stays
        END IF;
        NEW.version = OLD.version + 1;
        NEW.updated_at = now();
    END IF;
    INSERT INTO clients_history (client_id, version, updated_at, {FEATURES}, operation)
    VALUES (OLD.client_id, OLD.version, OLD.updated_at, {old_features}, TG_OP);
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER version_on_change BEFORE UPDATE OR DELETE ON clients
    FOR EACH ROW EXECUTE FUNCTION keep_client_version();
""")


def _model_versions() -> None:
    op.execute("""
CREATE FUNCTION refuse_model_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.version, NEW.name, NEW.sha256, NEW.signature, NEW.threshold, NEW.metadata, NEW.artefact, NEW.created_at)
       IS DISTINCT FROM
       (OLD.version, OLD.name, OLD.sha256, OLD.signature, OLD.threshold, OLD.metadata, OLD.artefact, OLD.created_at)
    THEN
        RAISE EXCEPTION 'model version % is immutable: register a new version instead', OLD.version
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER immutable_model BEFORE UPDATE ON model_versions FOR EACH ROW EXECUTE FUNCTION refuse_model_change();
""")


def _references() -> None:
    # A foreign key would look up, and lock, one row per inserted row. These checks do the same work once per
    # statement, with one join: at a million rows that is the difference between seconds and a fraction of one.
    op.execute("""
CREATE FUNCTION batch_of(request_id bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN request_id / 100000;

CREATE FUNCTION check_new_requests() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE stray record;
BEGIN
    SELECT n.* INTO stray
    FROM (SELECT DISTINCT job_id, batch_of(request_id) AS batch_id FROM added) n
    LEFT JOIN prediction_batches b ON b.id = n.batch_id
    LEFT JOIN jobs j ON j.id = n.job_id
    WHERE b.id IS NULL OR j.id IS NULL OR b.job_id <> j.id
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'request of job % and batch % has no such job and batch', stray.job_id, stray.batch_id
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER request_has_job AFTER INSERT ON prediction_requests REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION check_new_requests();

CREATE FUNCTION check_new_outputs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    lowest bigint; highest bigint; outputs bigint; requests bigint; stray record;
BEGIN
    SELECT min(request_id), max(request_id), count(*) INTO lowest, highest, outputs FROM added;
    -- The range lets the planner hash both sides rather than look up each output's request.
    SELECT count(*) INTO requests FROM added a JOIN prediction_requests r ON r.request_id = a.request_id
    WHERE r.request_id BETWEEN lowest AND highest;
    SELECT n.* INTO stray
    FROM (SELECT DISTINCT batch_of(request_id) AS batch_id, fence, model_version FROM added) n
    LEFT JOIN prediction_batches b ON b.id = n.batch_id
    WHERE b.fence IS DISTINCT FROM n.fence OR b.model_version <> n.model_version
    LIMIT 1;
    IF FOUND OR requests <> outputs THEN
        RAISE EXCEPTION 'of % outputs from % on, % have no such request, or their batch has another fence or model',
            outputs, lowest, outputs - requests USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER output_has_request AFTER INSERT ON prediction_outputs REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION check_new_outputs();
""")
