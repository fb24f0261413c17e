"""The life of a batch: claim, extend, finish. The database referees: a guard that matches no row is an answer.

Only the database's clock counts, so a worker whose clock is wrong does no harm. Batches are many, and each is claimed
and finished: these statements go to the driver itself, as what SQLAlchemy does about a statement took nearly as long as
PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg2
from sqlalchemy import Engine, text

from shared.errors import FenceLost
from shared.postgres.engine import autocommit, driver_connection
from shared.status import Queue

MOST_INTERACTIVE = 16  # batches of single jobs that one claim takes


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch held by this worker until its lease runs out. Only the newest fence may finish it."""

    batch_id: int
    fence: int
    attempt: int  # 1 for the first claim
    model_version_id: int
    request_count: int
    job_id: UUID | None  # of a bulk job; None where single jobs share the batch
    waited_seconds: float  # from acceptance, or from the end of a pause, to this claim
    source_id: int | None
    keys_int8: str | None  # PostgreSQL's text of an array: {1,2,NULL}
    keys_uuid: str | None
    keys_text: list[str] | None
    given: list[str | None] | None  # features that came with the call, as JSON objects
    planned_key: str | None = None  # of a plan: the last key that is planned already
    planned_rows: int = 0


_CLAIM = "SELECT * FROM predictq.claim(%s, %s, %s, %s, %s, %s)"


def claim(
    engine: Engine,
    queue: Queue,
    *,
    worker: str,
    lease_seconds: float,
    requirements: Sequence[str] = ("",),
    models: Sequence[str] | None = None,
    most: int = MOST_INTERACTIVE,
) -> list[Claim]:
    """Claim what waits in a queue and this worker can load: up to `most` batches of single jobs, or one other batch.

    Empty when nothing waits. Single jobs go by age; otherwise owners take turns, then the models of an owner, then age.
    """
    arguments = (queue.value, list(requirements), None if models is None else list(models), worker, lease_seconds, most)
    with autocommit(engine) as connection, driver_connection(connection).cursor() as cursor:
        cursor.execute(_CLAIM, arguments)
        return list(map(_claim, cursor.fetchall()))


def _claim(row: tuple[Any, ...]) -> Claim:
    batch_id, fence, attempt, version_id, count, job_id, waited, source_id, int8, uuids, texts, given, key, rows = row
    return Claim(
        batch_id,
        fence,
        attempt,
        version_id,
        count,
        job_id and UUID(job_id),
        waited,
        source_id,
        keys_int8=int8,
        keys_uuid=uuids,
        keys_text=texts,
        given=given,
        planned_key=key,
        planned_rows=rows,
    )


def extend_leases(engine: Engine, claims: Sequence[Claim], *, lease_seconds: float) -> list[Claim]:
    """Hold the batches for `lease_seconds` more. Returns those that are no longer these claims'."""
    with autocommit(engine) as connection:
        kept = connection.execute(
            text("""
WITH kept AS MATERIALIZED (  -- locked by id, as `finish` locks them: else the two may wait for each other in a ring
    SELECT b.id FROM predictq.prediction_batches b
    JOIN unnest(CAST(:ids AS bigint[]), CAST(:fences AS integer[])) AS held (id, fence)
        ON b.id = held.id AND b.fence = held.fence
    WHERE b.status = 'running' ORDER BY b.id FOR UPDATE OF b
)
UPDATE predictq.prediction_batches b SET lease_until = clock_timestamp() + make_interval(secs => :lease)
FROM kept WHERE b.id = kept.id RETURNING b.id
"""),
            {
                "lease": lease_seconds,
                "ids": [claim.batch_id for claim in claims],
                "fences": [claim.fence for claim in claims],
            },
        ).scalars()
        found = frozenset(kept)
    return [claim for claim in claims if claim.batch_id not in found]


def extend_lease(engine: Engine, claim: Claim, *, lease_seconds: float) -> None:
    """Hold one batch for `lease_seconds` more. Raises FenceLost when it is no longer this claim's."""
    if extend_leases(engine, [claim], lease_seconds=lease_seconds):
        raise FenceLost(claim.batch_id, claim.fence)


def record_failure(
    engine: Engine, claim: Claim, error: str, *, retry_after_seconds: float, is_counted: bool = True
) -> None:
    """End a claim early, with the reason: the batch can be claimed again after a pause.

    Without `is_counted` the claim is no attempt: the batch had nothing to do with it.
    """
    with autocommit(engine) as connection:
        connection.execute(
            text("""UPDATE predictq.prediction_batches
                    SET lease_until = clock_timestamp() + make_interval(secs => :pause), last_error = :error,
                        attempts = greatest(attempts - CAST(NOT :counted AS integer), 0)
                    WHERE id = :id AND fence = :fence AND status = 'running'"""),
            {
                "error": error[:2000],
                "counted": is_counted,
                "pause": retry_after_seconds,
                "id": claim.batch_id,
                "fence": claim.fence,
            },
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """How the rows of a batch came out."""

    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class Answers:
    """The page of answers to one claim, in PostgreSQL's own terms: n values in row order, null where there is none."""

    values: str  # the text of a float8[]
    threshold: float | None
    error_rows: list[int] | None = None
    error_codes: list[str] | None = None
    error_details: list[str] | None = None
    features: bytes | None = None  # docs/page-format.md
    key_filter: bytes | None = None
    key_hashes: list[int] | None = None
    labels: str | None = None  # the text of an int2[]: class numbers, where the threshold does not tell the class
    scores: str | None = None
    notes: str | None = None
    seed: bytes | None = None


_FINISH = """SELECT * FROM predictq.finish(%s, %s, %s::float8[], %s::int2[], %s::float8[], %s, %s::int4[], %s::text[],
%s::text[], %s, %s, %s::int8[], %s::jsonb, %s)"""


def finish(engine: Engine, answered: Sequence[tuple[Claim, Answers]]) -> dict[int, Counts]:
    """Commit answers and ends of batches in one transaction, each if its claim is still the newest.

    Returns the counts by batch id; a batch that is missing was claimed anew or cancelled, and nothing of it is written.
    """
    arguments: list[Any] = []
    for held, answers in answered:
        arguments += _arguments(held, answers)
    statement = " UNION ALL ".join([_FINISH] * len(answered))
    with autocommit(engine) as connection, driver_connection(connection).cursor() as cursor:
        cursor.execute(statement, arguments)
        return {batch_id: Counts(succeeded, failed) for batch_id, succeeded, failed in cursor.fetchall()}


def _arguments(held: Claim, answers: Answers) -> tuple[Any, ...]:
    return (
        held.batch_id,
        held.fence,
        answers.values,
        answers.labels,
        answers.scores,
        answers.threshold,
        answers.error_rows,
        answers.error_codes,
        answers.error_details,
        _bytes(answers.features),
        _bytes(answers.key_filter),
        answers.key_hashes,
        answers.notes,
        _bytes(answers.seed),
    )


def _bytes(content: bytes | None) -> Any:
    return None if content is None else psycopg2.Binary(content)
