-- Jobs, the batches that are open, and the pages that hold what was asked and what was answered.

CREATE TABLE predictq.jobs (
    -- What a single job has comes first, widest first: in another order each row would be 8 bytes longer.
    id uuid NOT NULL,
    batch_id bigint,
    request_count bigint CHECK (request_count >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    model_version_id integer NOT NULL,
    row_number integer CHECK (row_number >= 0),
    source_id integer,
    kind text NOT NULL CHECK (kind IN ('single', 'bulk')),
    owner text NOT NULL,
    status text CHECK (status IN ('succeeded', 'failed', 'cancelled')),
    cancelled_at timestamptz,
    cancelled_by text,  -- the actor, as the audit log names her
    started_at timestamptz,
    finished_at timestamptz,
    first_batch_id bigint,
    snapshots integer,
    succeeded bigint,
    failed bigint,
    cancelled bigint,
    selection jsonb,
    name text CHECK (length(name) <= 200),
    deadline timestamptz,
    error_code text,
    error_detail text,
    asked_for text CHECK (asked_for IN ('filter', 'all', 'list', 'upload', 'repeat', 'retry')),
    asked_job uuid,
    PRIMARY KEY (id),
    CONSTRAINT jobs_asked_again_has_its_job CHECK (
        (asked_job IS NOT NULL) = coalesce(asked_for IN ('repeat', 'retry'), false)),
    CONSTRAINT jobs_single_has_its_row CHECK (
        CASE kind
            WHEN 'single' THEN batch_id IS NOT NULL AND row_number IS NOT NULL AND request_count = 1
            ELSE batch_id IS NULL AND row_number IS NULL AND first_batch_id IS NOT NULL
        END),
    CONSTRAINT jobs_ended_has_time CHECK (status IS NULL OR finished_at IS NOT NULL),
    CONSTRAINT jobs_ended_bulk_has_counts CHECK (
        kind = 'single' OR status IS NULL OR succeeded + failed + cancelled = request_count),
    CONSTRAINT jobs_cancelled_has_time CHECK (status IS DISTINCT FROM 'cancelled' OR cancelled_at IS NOT NULL)
) PARTITION BY RANGE (id);
CREATE INDEX jobs_owner_newest ON predictq.jobs (owner, id);
CREATE INDEX jobs_ended_badly ON predictq.jobs (owner, status, id) WHERE status IN ('failed', 'cancelled');
CREATE INDEX jobs_with_errors ON predictq.jobs (owner, status, id) WHERE failed > 0;
CREATE INDEX jobs_deadline ON predictq.jobs (deadline) WHERE deadline IS NOT NULL AND status IS NULL;
CREATE INDEX jobs_selected ON predictq.jobs (id) WHERE selection IS NOT NULL;
COMMENT ON TABLE predictq.jobs IS
    'What one POST asked for. request_count is null while a selection is planned. status is written when a job fails, is '
    'cancelled, or is a bulk job that ends; a single job that succeeds has its page alone: see job_status.';

CREATE TABLE predictq.idempotency_keys (
    owner text NOT NULL,
    key text NOT NULL,
    payload_hash text,
    job_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_keys_age ON predictq.idempotency_keys (created_at);
COMMENT ON TABLE predictq.idempotency_keys IS
    'Which job a key led to. They live as long as their job, 30 days at least. An erasure keeps a hash of the key alone.';

CREATE SEQUENCE predictq.batch_ids AS bigint;

CREATE TABLE predictq.prediction_batches (
    id bigint PRIMARY KEY DEFAULT nextval('predictq.batch_ids'),
    queue text NOT NULL CHECK (queue IN ('interactive', 'plan', 'bulk')),
    requirements text NOT NULL DEFAULT '',
    job_id uuid,
    owner text NOT NULL DEFAULT '',
    model_version_id integer NOT NULL REFERENCES predictq.model_versions,
    request_count integer NOT NULL CHECK (request_count BETWEEN 0 AND 100000),
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running')),
    fence integer NOT NULL DEFAULT 0 CHECK (fence >= 0),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    lease_until timestamptz,
    worker text,
    last_error text,
    cancelled_rows integer[],
    erased_rows integer[],
    created_at timestamptz NOT NULL DEFAULT now(),
    claimed_at timestamptz,
    planned_key text,
    planned_rows bigint NOT NULL DEFAULT 0,
    reads_source boolean NOT NULL DEFAULT true,
    CONSTRAINT batches_running_has_lease CHECK ((status = 'running') = (lease_until IS NOT NULL)),
    CONSTRAINT batches_claimed_has_worker CHECK (fence = 0 OR worker IS NOT NULL),
    CONSTRAINT batches_of_a_job_have_its_owner CHECK ((job_id IS NULL) = (owner = '')),
    CONSTRAINT batches_only_plans_are_empty CHECK (queue = 'plan' OR request_count > 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 2000);
CREATE INDEX prediction_batches_job ON predictq.prediction_batches (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX prediction_batches_interactive ON predictq.prediction_batches (id)
    WHERE status = 'queued' AND queue = 'interactive';
CREATE INDEX prediction_batches_queued ON predictq.prediction_batches (queue, owner, model_version_id, id)
    WHERE status = 'queued' AND queue <> 'interactive';
CREATE INDEX prediction_batches_queued_with_features ON predictq.prediction_batches (queue, owner, model_version_id, id)
    WHERE status = 'queued' AND queue <> 'interactive' AND NOT reads_source;
CREATE INDEX prediction_batches_running ON predictq.prediction_batches (lease_until) WHERE status = 'running';
COMMENT ON TABLE predictq.prediction_batches IS
    'The work that is open: a batch leaves this table in the transaction that stores its answers or its cancellation.';

COMMENT ON COLUMN predictq.prediction_batches.reads_source IS
    'Whether its rows are looked up in their source: they came with a key alone. Such work waits while that is away.';

CREATE TABLE predictq.turns (
    queue text NOT NULL,
    owner text NOT NULL,
    model_version_id integer NOT NULL DEFAULT 0,
    served bigint NOT NULL,
    PRIMARY KEY (queue, owner, model_version_id)
) WITH (fillfactor = 50);
CREATE SEQUENCE predictq.turn_numbers AS bigint;
COMMENT ON TABLE predictq.turns IS 'When an owner, and a model of an owner, was last served: who comes next.';

CREATE TABLE predictq.batch_requests (
    batch_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    request_count integer NOT NULL CHECK (request_count BETWEEN 1 AND 100000),
    source_id integer,
    job_id uuid,
    job_ids uuid[],
    keys_int8 bigint[],
    keys_uuid uuid[],
    keys_text text[],
    spelled jsonb,
    given text[],
    gone_rows integer[],
    PRIMARY KEY (batch_id),
    CONSTRAINT batch_requests_have_their_jobs CHECK (
        (job_id IS NULL) <> (job_ids IS NULL) AND coalesce(cardinality(job_ids), request_count) = request_count),
    CONSTRAINT batch_requests_name_clients_or_give_features CHECK (
        num_nonnulls(keys_int8, keys_uuid, keys_text) <= 1
        AND num_nonnulls(keys_int8, keys_uuid, keys_text, given) >= 1
        AND coalesce(cardinality(keys_int8), cardinality(keys_uuid), cardinality(keys_text), request_count) = request_count
        AND coalesce(cardinality(given), request_count) = request_count)
) PARTITION BY RANGE (batch_id);
CREATE INDEX batch_requests_newest ON predictq.batch_requests (created_at);
CREATE INDEX batch_requests_job ON predictq.batch_requests (job_id, batch_id) WHERE job_id IS NOT NULL;
-- Integers in rising order would shrink to half by pglz, for 14 ms of CPU a page: most of what accepting it costs.
ALTER TABLE predictq.batch_requests ALTER COLUMN keys_int8 SET STORAGE EXTERNAL;
COMMENT ON TABLE predictq.batch_requests IS
    'One row per batch: the clients that were asked for, in order, or the features given in calls. Append-only.';

CREATE TABLE predictq.batch_outputs (
    batch_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    claimed_at timestamptz,
    threshold double precision,
    job_id uuid,
    model_version_id integer NOT NULL,
    fence integer NOT NULL CHECK (fence >= 0),
    attempts integer NOT NULL CHECK (attempts >= 0),
    request_count integer NOT NULL CHECK (request_count BETWEEN 1 AND 100000),
    succeeded integer NOT NULL CHECK (succeeded >= 0),
    failed integer NOT NULL CHECK (failed >= 0),
    cancelled integer NOT NULL CHECK (cancelled >= 0),
    worker text,
    "values" double precision[],
    labels smallint[],
    scores double precision[],
    error_rows integer[],
    error_codes text[],
    error_details text[],
    cancelled_rows integer[],
    erased_rows integer[],
    gone_rows integer[],
    features bytea,
    key_filter bytea,
    notes jsonb,
    seed bytea,
    PRIMARY KEY (batch_id),
    CONSTRAINT batch_outputs_account_for_each_row CHECK (
        succeeded + failed + cancelled + coalesce(cardinality(gone_rows), 0) = request_count),
    CONSTRAINT batch_outputs_answer_or_cancelled CHECK (
        CASE WHEN "values" IS NULL THEN cancelled + coalesce(cardinality(gone_rows), 0) = request_count
             ELSE cardinality("values") = request_count AND fence > 0 AND worker IS NOT NULL END),
    CONSTRAINT batch_outputs_state_their_errors CHECK (
        coalesce(cardinality(error_rows), 0) >= failed
        AND cardinality(error_rows) IS NOT DISTINCT FROM cardinality(error_codes)
        AND cardinality(error_rows) IS NOT DISTINCT FROM cardinality(error_details))
) PARTITION BY RANGE (batch_id);
CREATE INDEX batch_outputs_newest ON predictq.batch_outputs (created_at);
CREATE INDEX batch_outputs_job ON predictq.batch_outputs (job_id, batch_id) 
    INCLUDE (succeeded, failed, cancelled, claimed_at)
    WHERE job_id IS NOT NULL;
-- Where a client is looked for: in the filters, and in the keys themselves of the few pages that have none.
CREATE INDEX batch_outputs_filtered ON predictq.batch_outputs (batch_id) WHERE key_filter IS NOT NULL;
CREATE INDEX batch_outputs_unfiltered ON predictq.batch_outputs (batch_id)
    WHERE key_filter IS NULL AND (request_count >= 64 OR "values" IS NULL);
ALTER TABLE predictq.batch_outputs
    ALTER COLUMN features SET STORAGE EXTERNAL,
    ALTER COLUMN key_filter SET STORAGE EXTERNAL,
    ALTER COLUMN "values" SET STORAGE EXTERNAL;
COMMENT ON TABLE predictq.batch_outputs IS
    'One row per batch that has ended: the one answer or the one stated error of each row, and the features as they were '
    'scored (docs/page-format.md). Append-only.';

CREATE TABLE predictq.key_hashes (
    hash bigint NOT NULL,
    batch_id bigint NOT NULL
) PARTITION BY RANGE (batch_id);
CREATE INDEX key_hashes_hash ON predictq.key_hashes (hash);
COMMENT ON TABLE predictq.key_hashes IS 'Where a client is found in pages of fewer than 64 rows; larger ones carry a filter.';

CREATE TABLE predictq.partitions (
    name text PRIMARY KEY,
    parent text NOT NULL CHECK (parent IN ('jobs', 'batch_requests', 'batch_outputs', 'key_hashes')),
    first_batch_id bigint,
    end_batch_id bigint,
    first_week date,
    created_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    compacted_at timestamptz,
    needs_compaction boolean NOT NULL DEFAULT false,
    marked_xid xid8,
    leaving_at timestamptz
);
COMMENT ON TABLE predictq.partitions IS
    'Which partitions there are; made ahead and dropped by the upkeep process. From leaving_at on the rows of a partition '
    'count as gone: they are in daily_counts, and it is dropped as soon as nobody reads it.';
