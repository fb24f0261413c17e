-- What must not happen by mistake, the database refuses. Retention, erasure and compaction say that they are at work
-- (SET LOCAL predictq.upkeep = on); a role of their own makes a right of it.

CREATE FUNCTION predictq.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('predictq.upkeep', true) = 'on' AND TG_OP <> 'TRUNCATE' THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION '% on % is refused: the table is append-only, answers must stay traceable', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON predictq.batch_requests
    FOR EACH ROW EXECUTE FUNCTION predictq.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON predictq.batch_outputs
    FOR EACH ROW EXECUTE FUNCTION predictq.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON predictq.audit_log
    FOR EACH ROW EXECUTE FUNCTION predictq.refuse_change();
CREATE TRIGGER no_delete BEFORE DELETE ON predictq.jobs FOR EACH ROW EXECUTE FUNCTION predictq.refuse_change();
CREATE TRIGGER no_delete BEFORE DELETE ON predictq.model_versions
    FOR EACH ROW EXECUTE FUNCTION predictq.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON predictq.batch_requests
    FOR EACH STATEMENT EXECUTE FUNCTION predictq.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON predictq.batch_outputs
    FOR EACH STATEMENT EXECUTE FUNCTION predictq.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON predictq.jobs
    FOR EACH STATEMENT EXECUTE FUNCTION predictq.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON predictq.prediction_batches
    FOR EACH STATEMENT EXECUTE FUNCTION predictq.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON predictq.model_versions
    FOR EACH STATEMENT EXECUTE FUNCTION predictq.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON predictq.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION predictq.refuse_change();

-- Whose a job is, is not changed by anybody, not by retention or erasure either: its answers would be another owner's.
CREATE FUNCTION predictq.refuse_other_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the owner of a job is refused another: its answers are for whoever asked'
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER same_owner BEFORE UPDATE OF owner ON predictq.jobs
    FOR EACH ROW EXECUTE FUNCTION predictq.refuse_other_owner();

CREATE FUNCTION predictq.refuse_model_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.model, NEW.version, NEW.title, NEW.sha256, NEW.digest, NEW.signature, NEW.classes, NEW.threshold,
        NEW.requirements, NEW.metadata, NEW.created_at, NEW.task, NEW.source_id, NEW.file_format,
        NEW.code_sha256)
       IS DISTINCT FROM
       (OLD.id, OLD.model, OLD.version, OLD.title, OLD.sha256, OLD.digest, OLD.signature, OLD.classes, OLD.threshold,
        OLD.requirements, OLD.metadata, OLD.created_at, OLD.task, OLD.source_id, OLD.file_format,
        OLD.code_sha256)
       OR (NEW.retired_at IS NULL AND (NEW.artefact, NEW.code) IS DISTINCT FROM (OLD.artefact, OLD.code))
    THEN
        RAISE EXCEPTION 'model version %:% is immutable: register a new version instead', OLD.model, OLD.version
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER immutable_model BEFORE UPDATE ON predictq.model_versions
    FOR EACH ROW EXECUTE FUNCTION predictq.refuse_model_change();
