"""What else holds a client: idempotency keys; filters, names and errors of jobs; files; errands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.erasure.client_holds import HoldGuard
from shared.erasure.keys import ClientKey
from shared.erasure.naming import is_free_of, names_client, without_client
from shared.erasure.request_rows import note_jobs
from shared.jobs.accepting.erased_keys import erased_key_sql, is_plain_key_sql
from shared.jobs.given import ROWS_WERE_WRITTEN
from shared.postgres.engine import transaction
from shared.retention.statements import upkeep_transaction


def erase_elsewhere(guard: HoldGuard) -> None:
    """Take the client out of everything that is no page. Doing it again changes nothing more. Raises ClientHeld."""
    key, values = guard.key, {"id": str(guard.erasure_id)}

    def erase_selections(connection: Connection) -> None:
        named = _erase_selections(connection, key)
        note_jobs(connection, guard.erasure_id, named)
        connection.execute(_FORGET_PAYLOADS, {**values, "named": [str(job_id) for job_id in named]})
        connection.execute(_FORGET_KEYS, values)

    def erase_files_made_of_her(connection: Connection) -> None:
        _erase_errands(connection, key)
        connection.execute(_EXPORTS, values)

    guard.do(erase_selections)
    guard.do(partial(_erase_words, key=key, values=values))
    delete_uploads(guard)
    guard.do(erase_files_made_of_her)


# A filter names her by all columns of her key, or not at all.
_SELECTIONS = text("""
SELECT j.id, j.selection, c.relname FROM predictq.jobs j JOIN pg_class c ON c.oid = j.tableoid
WHERE j.selection IS NOT NULL AND j.source_id = :source_id AND j.selection -> 'where' ?& CAST(:columns AS text[])
""").execution_options(yield_per=100)
_SET_SELECTION = text("UPDATE predictq.jobs SET selection = :selection WHERE id = :id").bindparams(
    bindparam("selection", type_=JSONB)
)


class NamingFilter(NamedTuple):
    """A job whose filter names a client."""

    job_id: UUID
    selection: dict[str, Any]
    without_her: Mapping[str, Any]  # the filter
    partition: str


def filters_naming(connection: Connection, key: ClientKey) -> Iterator[NamingFilter]:
    """The jobs by filter that name the client."""
    columns = {"source_id": key.source.id, "columns": list(key.source.columns)}
    for job_id, selection, partition in connection.execute(_SELECTIONS, columns):
        left = without_client(selection["where"], key)
        if left != selection["where"]:
            yield NamingFilter(job_id, selection, left, partition)


def _erase_selections(connection: Connection, key: ClientKey) -> tuple[UUID, ...]:
    """Filters that name her, written anew. Returns their jobs."""
    named = {}
    for one in filters_naming(connection, key):
        named[one.job_id] = one.partition
        values = {"id": one.job_id, "selection": {**one.selection, "where": one.without_her}}
        connection.execute(_SET_SELECTION, values)
    _mark(connection, list(set(named.values())))
    return tuple(named)


# What selects by other columns says nothing of her: its hash stays. A hash of what named her can be guessed.
_FORGET_PAYLOADS = text(f"""
UPDATE predictq.idempotency_keys k SET payload_hash = NULL
WHERE k.payload_hash IS NOT NULL AND (
    k.job_id = ANY(CAST(:named AS uuid[]))
    OR k.job_id IN (SELECT e.job_id FROM predictq.erasure_jobs e JOIN predictq.jobs j ON j.id = e.job_id
                    WHERE e.erasure_id = CAST(:id AS uuid)
                      AND {ROWS_WERE_WRITTEN}))
""")
# A caller may have made an Idempotency-Key out of the client's key, in any spelling.
_FORGET_KEYS = text(f"""
UPDATE predictq.idempotency_keys k SET key = {erased_key_sql("k.key")} FROM predictq.erasure_jobs e
WHERE e.erasure_id = CAST(:id AS uuid) AND k.job_id = e.job_id AND {is_plain_key_sql("k.key")}
""")
_WORDS = text("""
SELECT j.id, j.name, j.error_detail, c.relname FROM predictq.erasure_jobs e JOIN predictq.jobs j ON j.id = e.job_id
JOIN pg_class c ON c.oid = j.tableoid
WHERE e.erasure_id = CAST(:id AS uuid) AND (j.name IS NOT NULL OR j.error_detail IS NOT NULL)
""").execution_options(yield_per=1000)
_SET_WORDS = text("UPDATE predictq.jobs SET name = :name, error_detail = :detail WHERE id = :id")
_REMOVED = "The text was removed by an erasure."


def _erase_words(connection: Connection, key: ClientKey, values: dict[str, str]) -> None:
    """Names and errors of her jobs that name her."""
    partitions = set()
    for job_id, name, detail, partition in connection.execute(_WORDS, values):
        is_named, is_told = (words is not None and names_client(words, key) for words in (name, detail))
        if is_named or is_told:
            left = {"name": None if is_named else name, "detail": _REMOVED if is_told else detail}
            connection.execute(_SET_WORDS, {"id": job_id, **left})
            partitions.add(partition)
    _mark(connection, list(partitions))


_OF_SOURCE = text("""
SELECT id, kind, arguments FROM predictq.errands
WHERE kind IN ('count', 'read_features') AND arguments ->> 'source_id' = CAST(:source_id AS text)
""")
_DROP_ERRANDS = text("DELETE FROM predictq.errands WHERE id = ANY(CAST(:ids AS uuid[]))")
# They show rows of a file. One that is under way loses its errand, and so its result.
_LOOKS_AT_NOTHING = text("""
DELETE FROM predictq.errands e
WHERE e.kind = 'look_at_upload'
  AND NOT EXISTS (SELECT FROM predictq.uploads u WHERE CAST(u.id AS text) = e.arguments #>> '{order,upload_id}')
""")


def _erase_errands(connection: Connection, key: ClientKey) -> None:
    """Errands that count by her key or may show it, that read her row, and that looked at a file which is gone."""
    errands = connection.execute(_OF_SOURCE, {"source_id": key.source.id}).all()
    ids = [str(errand.id) for errand in errands if _is_of(errand.kind, errand.arguments, key)]
    connection.execute(_DROP_ERRANDS, {"ids": ids})
    connection.execute(_LOOKS_AT_NOTHING)


def _is_of(kind: str, arguments: dict[str, Any], key: ClientKey) -> bool:
    if kind == "read_features":
        return bool(arguments["key"] == key.text)
    where = arguments.get("where") or {}
    return bool(arguments.get("first_keys")) or without_client(where, key) != where


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


def delete_uploads(guard: HoldGuard) -> None:
    """Delete every upload that may hold her: all but plain texts in which nothing looks like her key.

    Raises ClientHeld.
    """
    with upkeep_transaction(guard.engine) as connection:
        uploads = connection.execute(_UPLOADS).all()
    for upload in uploads:
        with upkeep_transaction(guard.engine) as connection:  # looked through for long: nobody's hold waits for it
            is_hers = may_hold(connection, upload, guard.key)
        if is_hers:
            guard.do(partial(_delete_upload, upload_id=upload.id))


def _delete_upload(connection: Connection, upload_id: UUID) -> None:
    connection.execute(text("DELETE FROM predictq.uploads WHERE id = :id"), {"id": upload_id})


def uploads_with(engine: Engine, key: ClientKey) -> list[Any]:
    """The uploads that may hold her, oldest first: id, owner, media_type, size, created_at, expires_at."""
    with transaction(engine) as connection:
        return [upload for upload in connection.execute(_UPLOADS).all() if may_hold(connection, upload, key)]


def may_hold(connection: Connection, upload: Any, key: ClientKey) -> bool:
    """Whether an upload holds her key, or is nothing that could be looked through."""
    return not is_free_of(_pieces(connection, upload.id), upload.media_type, key)


_UPLOADS = text("""
SELECT id, owner, media_type, size, created_at, expires_at FROM predictq.uploads ORDER BY created_at, id
""")


def _pieces(connection: Connection, upload_id: UUID) -> Iterator[bytes]:
    numbers = connection.execute(
        text("SELECT number FROM predictq.upload_pieces WHERE upload_id = :id ORDER BY number"), {"id": upload_id}
    ).scalars()
    for number in numbers.all():
        values = {"id": upload_id, "number": number}
        yield bytes(connection.execute(_PIECE, values).scalar_one())


_PIECE = text("SELECT content FROM predictq.upload_pieces WHERE upload_id = :id AND number = :number")
