"""The plan of a bulk job: its selection, its pages as they are found, and its end. All under the fence of a claim.

Whoever writes here holds the row of the plan: a cancel takes the same lock, so that no page comes after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from shared.batches.claims import Claim
from shared.errors import FenceLost
from shared.jobs.accepting.key_pages import COPY_PAGES, KeyPage, page_line
from shared.jobs.records import stop_bulk
from shared.postgres.copy_in import copy_in
from shared.postgres.engine import autocommit, transaction
from shared.status import JobError, Queue
from shared.uploads.table_order import TableOrder


@dataclass(frozen=True, slots=True)
class Selection:
    """What a plan has to find: clients of a source, or the rows of a file."""

    job_id: UUID
    owner: str
    where: Mapping[str, Any]
    source_id: int | None  # None only of a file
    storage: str  # how its keys are kept: int8, uuid or text
    upload: TableOrder | None = None


@dataclass(frozen=True, slots=True)
class PlannedPage:
    """The keys of one batch, in key order: the elements of an array, in COPY's text format. `last_key` is canonical.

    `given` are the features of the rows, as elements likewise, where they were read along with the keys: JSON's null of
    a key that several rows of the source have, false of one that the source compares otherwise. Rows of a file come in
    its order, perhaps without keys, and `spelled` is as in KeyPage; their `last_key` says how many there are.
    """

    keys: bytes | None
    rows: int
    last_key: str
    given: bytes | None = None
    spelled: bytes | None = None


def read_selection(engine: Engine, held: Claim) -> Selection:
    """What the claimed plan selects. Raises FenceLost where its job is not a plan any more."""
    with autocommit(engine) as connection:
        row = connection.execute(
            text("""SELECT j.owner, j.selection, j.source_id, coalesce(s.key_storage, 'text') AS key_storage
                    FROM predictq.jobs j LEFT JOIN predictq.sources s ON s.id = j.source_id
                    WHERE j.id = :id AND j.status IS NULL"""),
            {"id": _job_id(held)},
        ).one_or_none()
    if row is None or held.job_id is None or row.selection is None:
        raise FenceLost(held.batch_id, held.fence)
    upload = row.selection.get("upload")
    return Selection(
        held.job_id,
        row.owner,
        row.selection["where"],
        row.source_id,
        row.key_storage,
        None if upload is None else TableOrder.from_json(upload),
    )


def read_room(engine: Engine, owner: str, *, owner_limit: int, service_limit: int) -> int:
    """How many rows more may wait now, of `owner` and of all; below 1: none.

    The limit of an owner is the highest that an active key of hers names, else `owner_limit`.
    """
    with autocommit(engine) as connection:
        hers, everybodys, quota = connection.execute(_WAITING, {"owner": owner}).one()
    return min(int(quota or owner_limit) - int(hers), service_limit - int(everybodys))


_WAITING = text("""
SELECT coalesce(sum(request_count) FILTER (WHERE owner = :owner), 0), coalesce(sum(request_count), 0),
       (SELECT max(k.max_waiting_rows) FROM predictq.api_keys k
        WHERE k.owner = :owner AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()))
FROM predictq.prediction_batches
""")


def write_pages(
    engine: Engine,
    held: Claim,
    selection: Selection,
    pages: Sequence[PlannedPage],
    *,
    is_new_reading: bool,
    lease: float,
) -> list[int]:
    """Commit these pages as batches that wait, with the last key as the mark from which another claim goes on.

    The lease lasts `lease` seconds from now. A plan that comes forward has its attempts counted anew: this claim is the
    first. `is_new_reading` says that the pages are the first of a reading of the source. Returns the batch ids.
    Raises FenceLost, and nothing is written.
    """
    values = {
        **_fenced(held),
        "key": pages[-1].last_key,
        "rows": sum(page.rows for page in pages),
        "counts": [page.rows for page in pages],
        "read": [page.given is None for page in pages],
        "readings": int(is_new_reading),
        "lease": lease,
    }
    with transaction(engine) as connection:
        batch_ids: list[int] | None = connection.execute(_ADD_BATCHES, values).scalar_one()
        if batch_ids is None:
            raise FenceLost(held.batch_id, held.fence)
        copy_in(connection, COPY_PAGES.format(storage=selection.storage), _page_lines(selection, batch_ids, pages))
    return batch_ids


# The update takes the row lock, and finds no row where the plan was cancelled or claimed anew meanwhile. Ids are drawn
# in key order.
_ADD_BATCHES = text(f"""
WITH plan AS (
    UPDATE predictq.prediction_batches b
    SET planned_key = :key, planned_rows = b.planned_rows + :rows, attempts = 1, last_error = NULL,
        lease_until = clock_timestamp() + make_interval(secs => :lease)
    WHERE b.id = :id AND b.fence = :fence AND b.status = 'running'
    RETURNING b.job_id, b.owner, b.model_version_id, b.requirements
), reading AS (
    UPDATE predictq.jobs j SET snapshots = coalesce(j.snapshots, 0) + 1
    WHERE :readings = 1 AND j.id = :job_id AND EXISTS (SELECT FROM plan)
), ids AS MATERIALIZED (
    SELECT nextval('predictq.batch_ids') AS id, page.*
    FROM (SELECT u.* FROM plan CROSS JOIN unnest(CAST(:counts AS integer[]), CAST(:read AS boolean[]))
          WITH ORDINALITY AS u (rows, reads_source, n) ORDER BY u.n) page
), batches AS (
    INSERT INTO predictq.prediction_batches (id, queue, requirements, job_id, owner, model_version_id, request_count,
                                             reads_source)
    SELECT i.id, '{Queue.BULK}', p.requirements, p.job_id, p.owner, p.model_version_id, i.rows, i.reads_source
    FROM ids i CROSS JOIN plan p ORDER BY i.n
)
SELECT array_agg(id ORDER BY n) FROM ids
""")


def _page_lines(selection: Selection, batch_ids: Sequence[int], pages: Sequence[PlannedPage]) -> Iterator[bytes]:
    for batch_id, page in zip(batch_ids, pages, strict=True):
        content = KeyPage(page.keys, page.spelled, page.given)
        yield page_line(batch_id, page.rows, selection.source_id, selection.job_id, content)


def end_plan(engine: Engine, held: Claim, *, is_new_reading: bool) -> int:
    """End a plan whose rows are all found: from now on the job knows its total, which is returned. Raises FenceLost.

    The job itself ends now where none of its batches is open.
    """
    with transaction(engine) as connection:
        values = {**_fenced(held), "readings": int(is_new_reading)}
        total = connection.execute(_END_PLAN, values).scalar_one_or_none()
        if total is None:
            raise FenceLost(held.batch_id, held.fence)
        # A statement of its own: it must see that the plan has gone.
        connection.execute(text("SELECT predictq.end_job(:job_id)"), values)
    return int(total)


_END_PLAN = text("""
WITH gone AS (
    DELETE FROM predictq.prediction_batches WHERE id = :id AND fence = :fence AND status = 'running'
    RETURNING planned_rows, claimed_at
)
UPDATE predictq.jobs j SET request_count = g.planned_rows, snapshots = coalesce(j.snapshots, 0) + :readings,
                           started_at = g.claimed_at  -- what runs must not be shown as queued again
FROM gone g WHERE j.id = :job_id RETURNING j.request_count
""")


def give_back_plan(engine: Engine, held: Claim) -> None:
    """Let somebody else plan on, at once: the claim counts as no attempt. Nothing happens where the fence is lost."""
    with autocommit(engine) as connection:
        connection.execute(
            text("""UPDATE predictq.prediction_batches
                    SET status = 'queued', lease_until = NULL, attempts = greatest(attempts - 1, 0)
                    WHERE id = :id AND fence = :fence AND status = 'running'"""),
            _fenced(held),
        )


def fail_job(engine: Engine, held: Claim, code: JobError, detail: str) -> None:
    """End a job whose plan cannot be carried out: open batches are cancelled, answers stay. Raises FenceLost."""
    values = {**_fenced(held), "code": code.value, "detail": detail}
    with transaction(engine) as connection:
        _lock_open_batches(connection, held, values)
        connection.execute(
            text("UPDATE predictq.jobs SET error_code = :code, error_detail = :detail WHERE id = :job_id"), values
        )
        stop_bulk(connection, UUID(_job_id(held)), is_cancelled=False)


def _lock_open_batches(connection: Connection, held: Claim, values: Mapping[str, Any]) -> None:
    """Lock the plan, then its batches, before the job's own row: whoever finishes a batch locks in that order, too."""
    plan = connection.execute(
        text("""SELECT FROM predictq.prediction_batches
                WHERE id = :id AND fence = :fence AND status = 'running' FOR UPDATE"""),
        values,
    ).first()
    if plan is None:
        raise FenceLost(held.batch_id, held.fence)
    connection.execute(
        text("SELECT FROM predictq.prediction_batches WHERE job_id = :job_id ORDER BY id FOR UPDATE"), values
    )


def _fenced(held: Claim) -> dict[str, Any]:
    return {"id": held.batch_id, "fence": held.fence, "job_id": _job_id(held)}


def _job_id(held: Claim) -> str:
    return str(held.job_id)
