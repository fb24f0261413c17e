-- What the service knows about itself, its callers, its sources and its models.

CREATE TABLE predictq.installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch integer NOT NULL DEFAULT 1,
    system_identifier text NOT NULL,
    hash_secret bytea NOT NULL CHECK (length(hash_secret) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE predictq.installation IS
    'One row: the epoch within which xid8 values can be compared, and the secret that client keys are hashed with.';

CREATE TABLE predictq.database_roles (
    duty text PRIMARY KEY CHECK (duty IN ('gateway', 'worker', 'upkeep')),
    name name NOT NULL UNIQUE
);
COMMENT ON TABLE predictq.database_roles IS
    'The database roles of the services, where there are any (predictq migrate --roles); sql/rights.sql says what each may.';

CREATE TABLE predictq.sources (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Which characters beyond ASCII are letters depends on the locale of the database: the program tells.
    name text NOT NULL UNIQUE CHECK (
        (name ~ '^[A-Za-z]' OR ascii(name) > 127) AND length(name) <= 100 AND name !~ '[[:cntrl:]]'
    ),
    url_variable text,
    relation_schema text NOT NULL,
    relation_name text NOT NULL,
    key_columns jsonb NOT NULL,
    key_storage text NOT NULL CHECK (key_storage IN ('int8', 'uuid', 'text')),
    columns jsonb NOT NULL DEFAULT '[]',
    filters jsonb NOT NULL DEFAULT '[]',
    settings jsonb NOT NULL DEFAULT '{}',
    measured jsonb NOT NULL DEFAULT '{}',
    is_scan boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz,
    away_since timestamptz,
    probe_at timestamptz,
    probes integer NOT NULL DEFAULT 0,
    is_given_up boolean NOT NULL DEFAULT false,
    refused_since timestamptz
);
COMMENT ON TABLE predictq.sources IS
    'Where features come from: a relation, its key and its columns. url_variable names the environment variable that '
    'holds the address of a source elsewhere; null means this database. Of one that does not answer, away_since says since '
    'when, and nothing of it is claimed before probe_at. Of one of which a right, the relation or a column is gone '
    'or has changed, refused_since says since when.';

CREATE TABLE predictq.models (
    name text PRIMARY KEY CHECK (
        (name ~ '^[A-Za-z]' OR ascii(name) > 127) AND length(name) <= 100 AND name !~ '[[:cntrl:]]'
    ),
    task text NOT NULL CHECK (task IN ('binary', 'multiclass', 'regression')),
    source_id integer REFERENCES predictq.sources,
    live_version_id integer,
    is_default boolean NOT NULL DEFAULT false,
    description text NOT NULL DEFAULT '' CHECK (length(description) <= 2000),
    retention interval CHECK (retention > interval '0'),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX models_one_default ON predictq.models (is_default) WHERE is_default;
COMMENT ON TABLE predictq.models IS 'What a caller names. Its versions are numbered; one of them may be live.';

CREATE TABLE predictq.model_versions (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL REFERENCES predictq.models,
    version integer NOT NULL CHECK (version > 0),
    title text NOT NULL,
    state text NOT NULL DEFAULT 'registered' CHECK (state IN ('registered', 'checked', 'retired')),
    task text NOT NULL CHECK (task IN ('binary', 'multiclass', 'regression')),
    source_id integer REFERENCES predictq.sources,
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    signature jsonb NOT NULL,
    classes jsonb NOT NULL DEFAULT '[]',
    threshold double precision CHECK (threshold BETWEEN 0 AND 1),
    requirements text NOT NULL DEFAULT '',
    file_format text NOT NULL DEFAULT 'joblib',
    metadata jsonb NOT NULL,
    artefact bytea,
    code bytea,
    code_sha256 text CHECK (code_sha256 ~ '^[0-9a-f]{64}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    checked_at timestamptz,
    promoted_at timestamptz,
    retired_at timestamptz,
    UNIQUE (model, version),
    UNIQUE (model, digest),
    CONSTRAINT model_versions_bytes_until_retired CHECK ((artefact IS NULL) = (retired_at IS NOT NULL)),
    CONSTRAINT model_versions_code_until_retired
        CHECK ((code IS NULL) = (code_sha256 IS NULL OR retired_at IS NOT NULL)),
    CONSTRAINT model_versions_answer_by_task CHECK (
        CASE task WHEN 'binary' THEN jsonb_array_length(classes) = 2 AND threshold IS NOT NULL
                  WHEN 'multiclass' THEN jsonb_array_length(classes) > 2 AND threshold IS NULL
                  ELSE jsonb_array_length(classes) = 0 AND threshold IS NULL END)
);
ALTER TABLE predictq.models ADD CONSTRAINT models_live_version_id_fkey
    FOREIGN KEY (live_version_id) REFERENCES predictq.model_versions (id);
COMMENT ON TABLE predictq.model_versions IS
    'Every registered version with its artefact and the code that it brings. What makes an answer never changes; digest '
    'covers all of it. classes are the words of the labels: of a binary model the negative one, then the positive one.';

CREATE TABLE predictq.promotions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL REFERENCES predictq.models,
    model_version_id integer NOT NULL REFERENCES predictq.model_versions,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text,
    reason text
);
CREATE INDEX promotions_model ON predictq.promotions (model, id);
COMMENT ON TABLE predictq.promotions IS 'Which version of a model went live when, and by whom: where a rollback goes back to.';

CREATE TABLE predictq.reference_rows (
    model_version_id integer NOT NULL REFERENCES predictq.model_versions,
    row_number integer NOT NULL CHECK (row_number >= 0),
    features bytea NOT NULL,
    answer jsonb NOT NULL,
    PRIMARY KEY (model_version_id, row_number)
);
COMMENT ON TABLE predictq.reference_rows IS 'Made-up rows that a version was asked at its registration, and what it answered then.';

CREATE TABLE predictq.model_seals (
    model_version_id integer NOT NULL REFERENCES predictq.model_versions,
    key text NOT NULL CHECK (key ~ '^[0-9a-f]{32}$'),
    seal jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model_version_id, key)
);
COMMENT ON TABLE predictq.model_seals IS 'Who has signed the file of a version, and what they said of it. Checked at each load.';

CREATE TABLE predictq.api_keys (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL CHECK (length(owner) BETWEEN 1 AND 100 AND owner !~ '[[:cntrl:]]'),
    prefix text NOT NULL,
    key_hash text NOT NULL UNIQUE CHECK (key_hash ~ '^[0-9a-f]{64}$'),
    roles text[] NOT NULL DEFAULT '{read,predict,bulk}'
        CHECK (cardinality(roles) > 0 AND roles <@ '{read,predict,bulk,features,operate,admin}'::text[]),
    models text[] CHECK (cardinality(models) > 0),
    max_waiting_rows bigint CHECK (max_waiting_rows > 0),
    note text CHECK (length(note) <= 200 AND note !~ '[[:cntrl:]]'),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    rotated_to integer REFERENCES predictq.api_keys,
    CONSTRAINT api_keys_of_admins_are_for_all_models CHECK (models IS NULL OR NOT 'admin' = ANY (roles))
);
COMMENT ON TABLE predictq.api_keys IS
    'API keys as SHA-256 hashes, with what they may do; prefix is what people tell them apart by. models null means all; '
    'rotated_to is the key that took the place of one.';

CREATE TABLE predictq.workers (
    name text PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    processes integer NOT NULL DEFAULT 1,
    queues text[] NOT NULL DEFAULT '{}',
    models text[],
    requirements text[] NOT NULL DEFAULT '{}',
    libraries jsonb NOT NULL DEFAULT '{}',
    loaded_versions integer[] NOT NULL DEFAULT '{}',
    current_batches bigint[] NOT NULL DEFAULT '{}',
    rows_per_second double precision
);
COMMENT ON TABLE predictq.workers IS 'Who is alive and what they can load; models null means all.';

CREATE TABLE predictq.warm_ups (
    model_version_id integer NOT NULL REFERENCES predictq.model_versions,
    process text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    is_loaded boolean NOT NULL DEFAULT false,
    error text,
    PRIMARY KEY (model_version_id, process)
);
COMMENT ON TABLE predictq.warm_ups IS
    'Versions that processes load before they go live, and how far each process is; without a process: that it is wanted.';

CREATE TABLE predictq.pauses (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text,
    model text REFERENCES predictq.models,
    reason text NOT NULL DEFAULT '',
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (queue, model),
    CONSTRAINT pauses_name_something CHECK (queue IS NOT NULL OR model IS NOT NULL)
);
COMMENT ON TABLE predictq.pauses IS 'Work that is held back. The claim asks; accepted jobs wait and lose nothing.';

CREATE TABLE predictq.resumptions (
    queue text,
    model text REFERENCES predictq.models,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (queue, model)
);
COMMENT ON TABLE predictq.resumptions IS
    'When a pause of this kind ended last: no wait counts from earlier, so that none ends in an error for having been paused.';

CREATE TABLE predictq.audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_kind text NOT NULL,
    actor text NOT NULL,
    key_id integer,
    address text,
    action text NOT NULL,
    object text,
    before jsonb,
    after jsonb,
    reason text,
    call_id text,
    epoch integer NOT NULL DEFAULT 1,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX audit_log_committed ON predictq.audit_log (epoch, xid, id);
COMMENT ON TABLE predictq.audit_log IS
    'Each act of a person or an API key, and each look at the features of a client; key_id is the API key that was used. '
    'Append-only; no client key ever.';

CREATE TABLE predictq.samples (
    at timestamptz NOT NULL,
    name text NOT NULL,
    queue text NOT NULL DEFAULT '',
    model text NOT NULL DEFAULT '',
    value double precision NOT NULL,
    PRIMARY KEY (at, name, queue, model)
);
COMMENT ON TABLE predictq.samples IS 'The last hours in figures, written by the upkeep process.';

CREATE TABLE predictq.uploads (
    id uuid PRIMARY KEY,
    owner text NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL DEFAULT 0,
    sha256 text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE TABLE predictq.upload_pieces (
    upload_id uuid NOT NULL REFERENCES predictq.uploads ON DELETE CASCADE,
    number integer NOT NULL,
    content bytea NOT NULL CHECK (length(content) <= 1048576),
    PRIMARY KEY (upload_id, number)
);
CREATE TABLE predictq.exports (
    id uuid PRIMARY KEY,
    job_id uuid,
    owner text NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL DEFAULT 0,
    row_count bigint NOT NULL DEFAULT 0,
    is_complete boolean NOT NULL DEFAULT false,
    is_whole boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE TABLE predictq.export_pieces (
    export_id uuid NOT NULL REFERENCES predictq.exports ON DELETE CASCADE,
    number integer NOT NULL,
    content bytea NOT NULL CHECK (length(content) <= 1048576),
    PRIMARY KEY (export_id, number)
);
CREATE INDEX exports_job ON predictq.exports (job_id);
CREATE TABLE predictq.errands (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    owner text NOT NULL,
    arguments jsonb NOT NULL,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
    fence integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    worker text,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX errands_open ON predictq.errands (created_at) WHERE status IN ('queued', 'running');
COMMENT ON TABLE predictq.uploads IS 'Files on their way in; a worker opens them. Removed when they expire.';
COMMENT ON TABLE predictq.upload_pieces IS 'The bytes of an upload.';
COMMENT ON TABLE predictq.exports IS
    'Files on their way out, written by a worker. is_whole: with all answers that the job will have. Removed when they expire.';
COMMENT ON TABLE predictq.export_pieces IS 'The bytes of an export.';
COMMENT ON TABLE predictq.errands IS 'What a worker does for a caller who waits. Kept for an hour.';

CREATE TABLE predictq.retention_default (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    keep_for interval CHECK (keep_for > interval '0'),
    floor interval NOT NULL DEFAULT interval '6 months' CHECK (floor >= interval '30 days')
);
INSERT INTO predictq.retention_default DEFAULT VALUES;
COMMENT ON TABLE predictq.retention_default IS
    'How long answers are kept where their model does not say (null: for ever), and what nothing may go below. The floor '
    'is no less than the life of an idempotency key, which leads to its job.';

CREATE TABLE predictq.retention_runs (
    id uuid PRIMARY KEY,
    actor text NOT NULL,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
    report jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX retention_runs_open ON predictq.retention_runs (created_at) WHERE status IN ('queued', 'running');
COMMENT ON TABLE predictq.retention_runs IS 'Runs of retention that somebody asked for, and what went. Kept for a year.';

CREATE TABLE predictq.holds (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text REFERENCES predictq.models,
    job_id uuid,
    source_id integer REFERENCES predictq.sources,
    client_key text,
    reason text NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    released_at timestamptz,
    CONSTRAINT holds_name_one_thing CHECK (
        CASE WHEN released_at IS NULL THEN num_nonnulls(model, job_id, client_key) = 1 ELSE client_key IS NULL END)
);
ALTER TABLE predictq.holds ALTER COLUMN client_key SET STATISTICS 0;
COMMENT ON TABLE predictq.holds IS
    'Legal holds on a model, a job or a client: nothing of it goes by age or is erased. A hold that is released forgets '
    'its client key.';

CREATE TABLE predictq.erasures (
    id uuid PRIMARY KEY,
    kind text NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'replay')),
    source_id integer REFERENCES predictq.sources,
    client_key text,
    wanted text[],
    reason text NOT NULL,
    actor text NOT NULL,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
    step text NOT NULL DEFAULT 'open batches',
    position bigint NOT NULL DEFAULT 0,
    last_batch_id bigint,
    pages integer NOT NULL DEFAULT 0,
    answers integer NOT NULL DEFAULT 0,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    compacted_at timestamptz,
    CONSTRAINT erasures_forget_the_key CHECK (
        status IN ('queued', 'running') OR num_nonnulls(client_key, wanted) = 0),
    CONSTRAINT erasures_ended_has_time CHECK ((finished_at IS NULL) = (status IN ('queued', 'running')))
);
CREATE INDEX erasures_open ON predictq.erasures (created_at) WHERE status IN ('queued', 'running');
COMMENT ON TABLE predictq.erasures IS
    'Persons who are being erased, and replays after a restore, which find persons by hashes kept elsewhere (wanted). Key '
    'and hashes are forgotten at the end. Pages up to last_batch_id are gone through; later ones were asked for later.';

CREATE TABLE predictq.erasure_jobs (
    erasure_id uuid NOT NULL REFERENCES predictq.erasures,
    job_id uuid NOT NULL,
    PRIMARY KEY (erasure_id, job_id)
);
COMMENT ON TABLE predictq.erasure_jobs IS 'Jobs in which an erasure has found its person so far. Emptied at its end.';

CREATE TABLE predictq.daily_counts (
    day date NOT NULL,
    owner text NOT NULL,
    model_version_id integer NOT NULL,
    kind text NOT NULL,
    jobs bigint NOT NULL,
    accepted bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    PRIMARY KEY (day, owner, model_version_id, kind)
);
COMMENT ON TABLE predictq.daily_counts IS 'What retention leaves of the jobs and answers that went.';

CREATE TABLE predictq.duties (
    name text PRIMARY KEY,
    ran_at timestamptz,
    began_at timestamptz,
    outcome text NOT NULL DEFAULT '',
    is_ok boolean NOT NULL DEFAULT true,
    failures integer NOT NULL DEFAULT 0,
    every_seconds double precision NOT NULL,
    patience_seconds double precision NOT NULL
);
COMMENT ON TABLE predictq.duties IS 'When each duty of the upkeep process ran last, what it did, and since when it is at it.';
