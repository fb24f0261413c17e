"""What the tests of erasure share: a person with a key that is nowhere by chance, pages of hers, and the eraser."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from sqlalchemy import Engine, text
from uuid_utils.compat import uuid7

from shared.batches.claims import Answers, claim, finish
from shared.erasure.find import Place, find_client
from shared.erasure.kept_hashes import KeptHashes
from shared.erasure.keys import ClientKey, client_key, read_source
from shared.erasure.records import ErasureRecord, read_erasure, request_erasure
from shared.installation import read_installation
from shared.pages.key_hash import hash_keys
from shared.postgres.engine import transaction
from shared.status import Queue
from tests.roles import as_upkeep, as_worker
from tests.support import OWNER
from worker.erasure.runner import Eraser
from worker.pages.encode import encode_features
from worker.pages.from_arrow import from_arrow
from worker.pages.key_filter import build_filter
from worker.pages.key_hash import hash_numbers, hash_texts

PERSON = int.from_bytes(b"ZQXJ-KVW", "big")  # its eight bytes, its digits: neither is anywhere by chance


def key_of(engine: Engine, given: object = PERSON, source: str = "clients") -> ClientKey:
    with transaction(engine) as connection:
        return client_key(read_source(connection, source), given)


def ask(engine: Engine, key: ClientKey, reason: str = "art. 17") -> ErasureRecord:
    with transaction(engine) as connection:
        return request_erasure(connection, key, reason=reason, actor="admin")


def erasure(engine: Engine, erasure_id: UUID) -> ErasureRecord:
    with transaction(engine) as connection:
        return read_erasure(connection, erasure_id)


def erase(engine: Engine, key: ClientKey, kept_in: Path | None = None) -> ErasureRecord:
    """Ask for an erasure and carry it out."""
    asked = ask(engine, key)
    assert Eraser(as_upkeep(engine), None if kept_in is None else KeptHashes(kept_in)).erase(asked.id)
    return erasure(engine, asked.id)


def places(engine: Engine, key: ClientKey) -> list[Place]:
    with transaction(engine) as connection:
        return find_client(connection, key, read_installation(connection).hash_secret)


def add_source(
    engine: Engine, name: str, storage: str, key_columns: Sequence[str] = ("code",), types: Sequence[str] = ()
) -> int:
    """A source whose keys are stored as `storage`, with a model that is not live; `types` are those of its columns."""
    kinds = types or [{"int8": "bigint"}.get(storage, storage)] * len(key_columns)
    columns = json.dumps([{"name": column, "type": kind} for column, kind in zip(key_columns, kinds, strict=True)])
    with transaction(engine) as connection:
        return int(
            connection.execute(
                text("""INSERT INTO predictq.sources (name, relation_schema, relation_name, key_columns, key_storage)
                        VALUES (:name, 'public', :name, CAST(:columns AS jsonb), :storage) RETURNING id"""),
                {"name": name, "storage": storage, "columns": columns},
            ).scalar_one()
        )


def add_page(
    engine: Engine,
    source_id: int,
    storage: str,
    keys: Sequence[Any],
    *,
    words: Sequence[str] | None = None,
    is_answered: bool = True,
    spelled: str | None = None,
    given: Sequence[str] | None = None,
    scores: Sequence[float] | None = None,
) -> tuple[int, UUID]:
    """A bulk job of one page, answered as a worker would. Its one feature is a text: `words`, or one word for all.

    `spelled` and `given` are JSON, of the page and of each row; `scores` of each class and row make it multiclass.
    """
    job_id = uuid7()
    with transaction(engine) as connection:
        batch_id = int(connection.execute(text("SELECT nextval('predictq.batch_ids')")).scalar_one())
        values = {
            "batch": batch_id, "job": str(job_id), "owner": OWNER, "rows": len(keys), "source": source_id,
            "keys": list(keys), "spelled": spelled, "given": None if given is None else list(given),
        }  # fmt: skip
        for statement in _PAGE:
            connection.execute(text(statement.format(column=f"keys_{storage}", type=_TYPES[storage])), values)
        secret = read_installation(connection).hash_secret
    if is_answered:
        answer_page(engine, source_id, secret, storage, keys, words or ["a word"] * len(keys), scores)
    return batch_id, job_id


_TYPES = {"int8": "bigint", "uuid": "uuid", "text": "text"}
_PAGE = (
    """INSERT INTO predictq.jobs (id, kind, owner, model_version_id, source_id, request_count, first_batch_id)
       VALUES (:job, 'bulk', :owner, 1, :source, :rows, :batch)""",
    """INSERT INTO predictq.prediction_batches (id, queue, job_id, owner, model_version_id, request_count)
       VALUES (:batch, 'bulk', :job, :owner, 1, :rows)""",
    """INSERT INTO predictq.batch_requests (batch_id, request_count, source_id, job_id, {column}, spelled, given)
       VALUES (:batch, :rows, :source, :job, CAST(:keys AS {type}[]), CAST(:spelled AS jsonb),
               CAST(:given AS text[]))""",
)


def answer_page(
    engine: Engine,
    source_id: int,
    secret: bytes,
    storage: str,
    keys: Sequence[Any],
    words: Sequence[str],
    scores: Sequence[float] | None = None,
) -> None:
    (held,) = claim(as_worker(engine), Queue.BULK, worker="w", lease_seconds=60)
    hashes = hash_keys(secret, source_id)
    found = (
        hash_numbers(hashes, np.array(keys, np.int64))
        if storage == "int8"
        else hash_texts(hashes, pa.array(keys, pa.string()))
    )
    classes = len(scores or ()) // len(keys)
    values = [0.25] * len(keys) if not scores else [max(scores[n * classes :][:classes]) for n in range(len(keys))]
    page = Answers(
        values=_array(values),
        threshold=None if scores else 0.5,
        labels=_array([2] * len(keys)) if scores else None,
        scores=_array(scores) if scores else None,
        features=encode_features([from_arrow(pa.array(list(words), pa.string()))], len(keys)),
        key_filter=build_filter(found) if len(keys) >= 64 else None,
        key_hashes=found.tolist() if len(keys) < 64 else None,
    )
    assert finish(as_worker(engine), [(held, page)])


def _array(values: Sequence[float]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def everything(engine: Engine) -> str:
    """Every row of every table and view of ours as text, as SQL shows it."""
    with transaction(engine) as connection:
        names = connection.execute(
            text("""SELECT format('%I.%I', relnamespace::regnamespace::text, relname) FROM pg_class
                    WHERE relkind IN ('r', 'v') AND NOT relispartition AND relnamespace = 'predictq'::regnamespace
                    UNION ALL SELECT format('%I.%I', relnamespace::regnamespace::text, relname) FROM pg_class
                    WHERE relkind = 'p' AND relnamespace = 'predictq'::regnamespace""")
        ).scalars()
        return "\n".join(
            f"{name}: {row}"
            for name in names.all()
            for row in connection.execute(text(f"SELECT CAST(t AS text) FROM {name} t")).scalars()
        )
