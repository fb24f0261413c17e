"""The one statement that accepts single jobs. It asks each job's source for its client within itself."""

from __future__ import annotations

from functools import lru_cache

from shared.jobs.accepting.erased_keys import erased_key_sql
from shared.jobs.accepting.key_locks import lock_of_key_sql
from shared.postgres.prepared import PreparedStatement
from shared.status import Queue

_PARAMETERS = {
    "job_ids": "uuid[]",
    "owners": "text[]",
    "targets": "integer[]",
    "keys_int8": "bigint[]",
    "keys_uuid": "uuid[]",
    "keys_text": "text[]",
    "spelled": "text[]",
    "features": "text[]",
    "keys": "text[]",
    "hashes": "text[]",
    "versions": "integer[]",
    "models": "text[]",
    "numbers": "integer[]",
    "sources": "integer[]",
    "have_features": "boolean[]",
}
_P = {name: f"${number}" for number, name in enumerate(_PARAMETERS, start=1)}

# Nothing of a job that is refused is stored: who may come in is known before the first insert. A key that somebody else
# is accepting just now, for minutes perhaps, is not waited for: all jobs of the group would wait with it.
_ACCEPT_SINGLES = f"""
WITH input AS (
    SELECT * FROM unnest({_P["job_ids"]}, {_P["owners"]}, {_P["targets"]}, {_P["keys_int8"]}, {_P["keys_uuid"]},
                         {_P["keys_text"]}, {_P["spelled"]}, {_P["features"]}, {_P["keys"]}, {_P["hashes"]},
                         {_P["versions"]})
        WITH ORDINALITY AS i(job_id, owner, target, key_int8, key_uuid, key_text, spelled, features, key, payload_hash,
                             checked_version, n)
), target AS MATERIALIZED (
    SELECT t.n, t.has_features, v.id AS model_version_id, v.model, v.version, v.requirements, v.source_id
    FROM unnest({_P["models"]}, {_P["numbers"]}, {_P["sources"]}, {_P["have_features"]})
        WITH ORDINALITY AS t (model, number, source_id, has_features, n)
    JOIN predictq.models m ON CASE WHEN t.model IS NULL THEN m.is_default ELSE m.name = t.model END
    JOIN predictq.model_versions v
        ON v.model = m.name AND CASE WHEN t.number IS NULL THEN v.id = m.live_version_id ELSE v.version = t.number END
    WHERE v.retired_at IS NULL AND (t.source_id IS NULL OR v.source_id = t.source_id)
), possible AS MATERIALIZED (
    SELECT i.* FROM input i JOIN target t ON t.n = i.target
    WHERE (i.features IS NOT NULL OR {{is_known}})
        AND (i.checked_version IS NULL OR i.checked_version = t.version)
        AND CASE WHEN i.key IS NULL THEN true ELSE pg_try_advisory_xact_lock({lock_of_key_sql("i.owner", "i.key")}) END
        AND (i.key IS NULL OR NOT EXISTS (
            SELECT FROM predictq.idempotency_keys e WHERE e.owner = i.owner AND e.key = {erased_key_sql("i.key")}))
), kept_keys AS (
    INSERT INTO predictq.idempotency_keys (owner, key, payload_hash, job_id)
    SELECT owner, key, payload_hash, job_id FROM possible WHERE key IS NOT NULL ORDER BY owner, key
    ON CONFLICT (owner, key) DO NOTHING
    RETURNING job_id
), accepted AS MATERIALIZED (
    SELECT p.*, (row_number() OVER (PARTITION BY p.target ORDER BY p.n) - 1)::integer AS row
    FROM possible p WHERE p.key IS NULL OR p.job_id IN (SELECT k.job_id FROM kept_keys k)
), batch AS MATERIALIZED (
    SELECT nextval('predictq.batch_ids') AS id, t.*
    FROM target t WHERE t.n IN (SELECT a.target FROM accepted a)
), new_jobs AS (
    INSERT INTO predictq.jobs (id, kind, owner, model_version_id, batch_id, row_number, request_count, source_id)
    SELECT a.job_id, 'single', a.owner, b.model_version_id, b.id, a.row, 1,
           CASE WHEN a.features IS NULL THEN b.source_id END
    FROM accepted a JOIN batch b ON b.n = a.target
), new_batch AS (
    INSERT INTO predictq.prediction_batches (id, queue, requirements, model_version_id, request_count, reads_source)
    SELECT b.id, '{Queue.INTERACTIVE}', b.requirements, b.model_version_id,
           (SELECT count(*) FROM accepted a WHERE a.target = b.n), b.source_id IS NOT NULL AND NOT b.has_features
    FROM batch b
), new_page AS (
    INSERT INTO predictq.batch_requests (batch_id, request_count, source_id, job_ids, keys_int8, keys_uuid, keys_text,
                                         spelled, given)
    SELECT b.id, count(*), b.source_id, array_agg(a.job_id ORDER BY a.row),
           CASE WHEN count(a.key_int8) > 0 THEN array_agg(a.key_int8 ORDER BY a.row) END,
           CASE WHEN count(a.key_uuid) > 0 THEN array_agg(a.key_uuid ORDER BY a.row) END,
           CASE WHEN count(a.key_text) > 0 THEN array_agg(a.key_text ORDER BY a.row) END,
           jsonb_object_agg(a.row, a.spelled::jsonb) FILTER (WHERE a.spelled IS NOT NULL),
           CASE WHEN count(a.features) > 0 THEN array_agg(a.features ORDER BY a.row) END
    FROM accepted a JOIN batch b ON b.n = a.target GROUP BY b.id, b.source_id
)
SELECT a.job_id, b.id AS batch_id, a.row, b.model, b.version, now() AS created_at
FROM accepted a JOIN batch b ON b.n = a.target
"""


ANYBODY = "true"  # the condition of a target whose source is not asked
_LOOK_UP_SECONDS = 1.0  # for a statement that asks sources: callers still wait when it is repeated without
_LIMIT = f"SET LOCAL statement_timeout = {int(_LOOK_UP_SECONDS * 1000)}; "


@lru_cache(maxsize=256)
def accept_statement(conditions: tuple[str, ...]) -> PreparedStatement:
    """The statement for a group whose targets, in this order, are asked by these conditions on `i`.

    It takes arrays as PostgreSQL's texts. Where it asks a source it has a second, which is said in the same message and
    ends with it.
    """
    if len(conditions) == 1:
        is_known = conditions[0]
    else:
        cases = " ".join(f"WHEN {number} THEN {condition}" for number, condition in enumerate(conditions, start=1))
        is_known = f"CASE i.target {cases} END"
    settings = "" if set(conditions) <= {ANYBODY} else _LIMIT
    return PreparedStatement("accept", _ACCEPT_SINGLES.replace("{is_known}", is_known), _PARAMETERS, settings)
