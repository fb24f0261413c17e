"""What else holds a client: idempotency keys; filters, names and errors of jobs; files; errands; reference rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.erasure.keys import ClientKey
from shared.erasure.naming import is_free_of, json_needle, without_client
from shared.jobs.given import ROWS_WERE_WRITTEN
from shared.postgres.engine import transaction


def erase_elsewhere(engine: Engine, erasure_id: UUID, key: ClientKey) -> None:
    """Take the client out of everything that is no page. Doing it again changes nothing more."""
    values: dict[str, object] = {
        "id": str(erasure_id),
        "key": key.text,
        "needle": json_needle(key),
        "source_id": key.source.id,
    }
    with transaction(engine) as connection:
        named = _erase_selections(connection, key, values)
        connection.execute(_FORGET_PAYLOADS, {**values, "named": named})
        connection.execute(_FORGET_KEYS, values)
    with transaction(engine) as connection:
        for statement in (_NAMES, _ERROR_TEXTS):
            _mark(connection, connection.execute(statement, values).scalars().all())
    with transaction(engine) as connection:
        connection.execute(_REFERENCE_ROWS, values)
        connection.execute(_ERRANDS, {**values, "variables": json.dumps({"n": key.value, "t": key.text})})
        connection.execute(_EXPORTS, values)
    delete_uploads(engine, key)


_SELECTIONS = text("""
SELECT j.id, j.selection, c.relname FROM predictq.jobs j JOIN pg_class c ON c.oid = j.tableoid
WHERE j.selection IS NOT NULL AND j.source_id = :source_id AND strpos(CAST(j.selection AS text), :needle) > 0
FOR UPDATE OF j
""")
_SET_SELECTION = text("UPDATE predictq.jobs SET selection = :selection WHERE id = :id").bindparams(
    bindparam("selection", type_=JSONB)
)


def _erase_selections(connection: Connection, key: ClientKey, values: dict[str, object]) -> list[str]:
    """Filters that name her by a key column, written anew. Returns the jobs."""
    named = []
    for job_id, selection, partition in connection.execute(_SELECTIONS, values).all():
        where = selection.get("where") or {}
        own = {name: without_client(value, key) for name, value in where.items() if name in key.source.columns}
        written = {**selection, "where": {**where, **own}}
        if written != selection:
            connection.execute(_SET_SELECTION, {"id": job_id, "selection": written})
            _mark(connection, [partition])
            named.append(str(job_id))
    return named


# What selects by other columns says nothing of her: its hash stays. A hash of what named her can be guessed.
_FORGET_PAYLOADS = text(f"""
UPDATE predictq.idempotency_keys k SET payload_hash = NULL
WHERE k.payload_hash IS NOT NULL AND (
    k.job_id = ANY(CAST(:named AS uuid[]))
    OR k.job_id IN (SELECT e.job_id FROM predictq.erasure_jobs e JOIN predictq.jobs j ON j.id = e.job_id
                    WHERE e.erasure_id = CAST(:id AS uuid)
                      AND {ROWS_WERE_WRITTEN}))
""")
# A caller may have made an Idempotency-Key out of the client's key. Repeated, such a call is a new one.
_FORGET_KEYS = text("""
DELETE FROM predictq.idempotency_keys k USING predictq.erasure_jobs e
WHERE e.erasure_id = CAST(:id AS uuid) AND k.job_id = e.job_id AND strpos(lower(k.key), lower(:key)) > 0
""")
_NAMES = text("""
WITH changed AS (
    UPDATE predictq.jobs j SET name = NULL FROM predictq.erasure_jobs e
    WHERE e.erasure_id = CAST(:id AS uuid) AND j.id = e.job_id AND strpos(lower(j.name), lower(:key)) > 0
    RETURNING j.tableoid AS of)
SELECT DISTINCT c.relname FROM changed JOIN pg_class c ON c.oid = changed.of
""")
_ERROR_TEXTS = text("""
WITH changed AS (
    UPDATE predictq.jobs j SET error_detail = 'The text was removed by an erasure.' FROM predictq.erasure_jobs e
    WHERE e.erasure_id = CAST(:id AS uuid) AND j.id = e.job_id AND strpos(lower(j.error_detail), lower(:key)) > 0
    RETURNING j.tableoid AS of)
SELECT DISTINCT c.relname FROM changed JOIN pg_class c ON c.oid = changed.of
""")
_REFERENCE_ROWS = text("""
DELETE FROM predictq.reference_rows r USING predictq.model_versions v, predictq.models m
WHERE v.id = r.model_version_id AND m.name = v.model AND m.source_id = :source_id AND r.client_key = :key
""")
# One that is still open is lost only where a value of it is the key itself.
_ERRANDS = text("""
DELETE FROM predictq.errands
WHERE jsonb_path_exists(arguments, '$.** ? (@ == $n || @ == $t)', CAST(:variables AS jsonb))
   OR (status IN ('done', 'failed')
       AND strpos(CAST(arguments AS text) || coalesce(CAST(result AS text), ''), :needle) > 0)
""")
# Results of her jobs. One that is being written loses its row, and so its next piece.
_EXPORTS = text("""
DELETE FROM predictq.exports x
WHERE x.job_id IS NULL OR x.job_id IN (SELECT job_id FROM predictq.erasure_jobs WHERE erasure_id = CAST(:id AS uuid))
""")


def _mark(connection: Connection, partitions: Sequence[str]) -> None:
    connection.execute(
        text("""UPDATE predictq.partitions SET needs_compaction = true, marked_xid = pg_current_xact_id()
                WHERE name = ANY(CAST(:names AS text[]))"""),
        {"names": list(partitions)},
    )


def delete_uploads(engine: Engine, key: ClientKey) -> None:
    """Delete every upload that may hold her: all but plain texts in which nothing looks like her key."""
    with transaction(engine) as connection:
        uploads = connection.execute(text("SELECT id, media_type FROM predictq.uploads ORDER BY id")).all()
    for upload_id, media_type in uploads:
        with transaction(engine) as connection:
            if not is_free_of(_pieces(connection, upload_id), media_type, key):
                connection.execute(text("DELETE FROM predictq.uploads WHERE id = :id"), {"id": upload_id})


def _pieces(connection: Connection, upload_id: UUID) -> Iterator[bytes]:
    numbers = connection.execute(
        text("SELECT number FROM predictq.upload_pieces WHERE upload_id = :id ORDER BY number"), {"id": upload_id}
    ).scalars()
    for number in numbers.all():
        values = {"id": upload_id, "number": number}
        yield bytes(connection.execute(_PIECE, values).scalar_one())


_PIECE = text("SELECT content FROM predictq.upload_pieces WHERE upload_id = :id AND number = :number")
