"""Old jobs with their pages for the tests of retention, made as acceptance and scoring leave them."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.config import Settings
from shared.postgres.engine import transaction
from tests.support import ROOT, environment, stop

_numbers = itertools.count(1)


@contextmanager
def upkeep_process(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real upkeep process, ended gracefully, or by force when it takes too long."""
    with log.open("ab") as output:
        command = [sys.executable, "-m", "worker.upkeep"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment(settings), stdout=output, stderr=output)
    try:
        yield process
    finally:
        stop(process)


def add_version(
    engine: Engine, model: str = "default", *, classes: Sequence[object] = (0, 1), features: Sequence[str] = ()
) -> int:
    """A model's next version, live, without an artefact that could be loaded. Returns its id."""
    task = "binary" if len(classes) == 2 else "multiclass"
    with transaction(engine) as connection:
        connection.execute(
            text("""INSERT INTO predictq.models (name, task, is_default)
                    SELECT CAST(:model AS text), :task, NOT EXISTS (SELECT FROM predictq.models)
                    ON CONFLICT DO NOTHING"""),
            {"model": model, "task": task},
        )
        version_id: int = connection.execute(
            text("""
INSERT INTO predictq.model_versions (model, version, title, task, classes, sha256, digest, signature, threshold,
                                     metadata, artefact)
SELECT :model, coalesce(max(version), 0) + 1, 'test', :task, :classes, repeat('a', 64),
       repeat(md5(count(*)::text), 2), :signature, :threshold, '{}', 'x'
FROM predictq.model_versions WHERE model = :model RETURNING id
""").bindparams(bindparam("signature", type_=JSONB), bindparam("classes", type_=JSONB)),
            {
                "model": model,
                "task": task,
                "classes": list(classes),
                "signature": {"features": [{"name": name, "type": "string"} for name in features]},
                "threshold": 0.5 if task == "binary" else None,
            },
        ).scalar_one()
        connection.execute(
            text("UPDATE predictq.models SET live_version_id = :id WHERE name = :model"),
            {"id": version_id, "model": model},
        )
        return version_id


def make_week(engine: Engine, at: datetime) -> None:
    """The partition for jobs of that moment's week, where there is none."""
    with transaction(engine) as connection:
        connection.execute(
            text("""
WITH w AS (SELECT date_trunc('week', CAST(:at AS timestamptz), 'UTC') AS week), made AS (
    SELECT week, 'jobs_' || to_char(week AT TIME ZONE 'UTC', 'IYYY"w"IW') AS name,
           predictq.add_partition('jobs', 'jobs_' || to_char(week AT TIME ZONE 'UTC', 'IYYY"w"IW'),
               predictq.first_uuid_of(week)::text, predictq.first_uuid_of(week + interval '7 days')::text) AS is_new
    FROM w)
INSERT INTO predictq.partitions (name, parent, first_week)
SELECT name, 'jobs', (week AT TIME ZONE 'UTC')::date FROM made WHERE is_new
"""),
            {"at": at},
        )


def close_range(engine: Engine) -> None:
    """Let batches go on in the next partition."""
    with transaction(engine) as connection:
        connection.execute(text("SELECT predictq.close_batch_partition()"))


@dataclass
class Stored:
    """Jobs that were stored together, and their pages."""

    job_ids: list[UUID] = field(default_factory=list)
    batch_ids: list[int] = field(default_factory=list)


def store_singles(
    engine: Engine,
    at: datetime,
    client_ids: Sequence[int],
    version_id: int,
    *,
    owner: str = "tester",
    answered_at: datetime | None = None,
    failed: Sequence[int] = (),
) -> Stored:
    """One page of single jobs of that moment; rows in `failed` have an error."""
    make_week(engine, at)
    with transaction(engine) as connection:
        batch_id = _next_batch(connection)
        job_ids = [_job_id(connection, at) for _ in client_ids]
        for row, job_id in enumerate(job_ids):
            values = {
                "id": str(job_id),
                "owner": owner,
                "version": version_id,
                "batch": batch_id,
                "row": row,
                "at": at,
                "status": "failed" if row in failed else None,
            }
            connection.execute(_SINGLE, values)
        values = {
            "batch": batch_id,
            "at": at,
            "answered": answered_at or at,
            "jobs": [str(job_id) for job_id in job_ids],
            "job": None,
            "keys": list(client_ids),
            "version": version_id,
            "count": len(client_ids),
            "failed": list(failed),
        }
        _store_page(connection, values)
    return Stored(job_ids, [batch_id])


def store_bulk(
    engine: Engine, at: datetime, pages: Sequence[Sequence[int]], version_id: int, *, owner: str = "tester"
) -> Stored:
    """An ended bulk job of that moment, a page for each list of clients; none makes a job that selected nobody."""
    make_week(engine, at)
    with transaction(engine) as connection:
        job_id = _job_id(connection, at)
        batch_ids = [_next_batch(connection) for _ in pages]
        count = sum(map(len, pages))
        values = {
            "id": str(job_id),
            "owner": owner,
            "version": version_id,
            "at": at,
            "ended": at + timedelta(seconds=10),
            "first": batch_ids[0] if batch_ids else 1,
            "count": count,
        }
        connection.execute(_BULK, values)
        for batch_id, client_ids in zip(batch_ids, pages, strict=True):
            page = {
                "batch": batch_id,
                "at": at,
                "answered": at + timedelta(seconds=5),
                "jobs": None,
                "job": str(job_id),
                "keys": list(client_ids),
                "version": version_id,
                "count": len(client_ids),
                "failed": [],
            }
            _store_page(connection, page)
    return Stored([job_id], batch_ids)


def _store_page(connection: Connection, values: dict[str, object]) -> None:
    connection.execute(_REQUESTS, values)
    connection.execute(_OUTPUTS, values)
    if values["jobs"]:
        connection.execute(_HASHES, values)


def _next_batch(connection: Connection) -> int:
    batch_id: int = connection.execute(text("SELECT nextval('predictq.batch_ids')")).scalar_one()
    return batch_id


def _job_id(connection: Connection, at: datetime) -> UUID:
    """A UUIDv7 of that moment."""
    lowest: UUID = connection.execute(text("SELECT predictq.first_uuid_of(:at)"), {"at": at}).scalar_one()
    return UUID(int=lowest.int | 7 << 76 | 8 << 60 | next(_numbers))


def count_rows(engine: Engine) -> dict[str, int]:
    """How many rows each table of jobs and pages has."""
    with transaction(engine) as connection:
        return {
            table: connection.execute(text(f"SELECT count(*) FROM predictq.{table}")).scalar_one()
            for table in ("jobs", "batch_requests", "batch_outputs", "key_hashes")
        }


_SINGLE = text("""
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, batch_id, row_number, request_count, created_at, status,
                           finished_at)
VALUES (:id, 'single', :owner, :version, :batch, :row, 1, :at, :status,
        CASE WHEN CAST(:status AS text) IS NOT NULL THEN CAST(:at AS timestamptz) END)
""")
_BULK = text("""
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, request_count, created_at, first_batch_id, status,
                           started_at, finished_at, succeeded, failed, cancelled)
VALUES (:id, 'bulk', :owner, :version, :count, :at, :first, 'succeeded', :at, :ended, :count, 0, 0)
""")
_REQUESTS = text("""
INSERT INTO predictq.batch_requests (batch_id, created_at, request_count, source_id, job_id, job_ids, keys_int8)
VALUES (:batch, :at, :count, (SELECT id FROM predictq.sources WHERE name = 'clients'), :job, CAST(:jobs AS uuid[]),
        CAST(:keys AS bigint[]))
""")
_OUTPUTS = text("""
INSERT INTO predictq.batch_outputs (batch_id, created_at, job_id, model_version_id, fence, attempts, request_count,
                                    succeeded, failed, cancelled, claimed_at, threshold, worker, "values", error_rows,
                                    error_codes, error_details)
SELECT :batch, :answered, :job, :version, 1, 1, :count, :count - n.failed, n.failed, 0, :at, 0.5, 'w',
       array_fill(CAST(0.25 AS float8), ARRAY[CAST(:count AS integer)]), n.rows,
       array_fill('unknown_client'::text, ARRAY[n.failed]), array_fill('there is no such client'::text, ARRAY[n.failed])
FROM (SELECT CAST(:failed AS integer[]) AS rows, cardinality(CAST(:failed AS integer[])) AS failed) n
""")
_HASHES = text("""
INSERT INTO predictq.key_hashes (hash, batch_id) SELECT unnest(CAST(:keys AS bigint[])) * 7919, :batch
""")
