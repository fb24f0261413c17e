"""Pages that stay for the sake of held rows lose the others when these are due: they are written anew.

A row keeps its number, so that ids of predictions stay true. The rows that went are in `gone_rows` of the page: readers
leave them out. Their single jobs are deleted; a bulk job counts as many rows fewer. All is in `daily_counts`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.erasure.request_rows import mark_for_compaction
from shared.installation import read_installation
from shared.logging import get_logger
from shared.pages.errors import PageDamaged
from shared.pages.key_hash import hash_key, hash_keys
from shared.pages.layout import SMALL_ROWS
from shared.postgres.engine import transaction
from shared.retention.cutoffs import DUE_VERSIONS, Cutoff, cutoff_arrays
from shared.retention.daily_counts import count_rows_gone, delete_jobs
from shared.retention.held import Kept
from shared.retention.page_deletion import BeforeGoing
from shared.retention.partitions.ranges import BatchRange
from shared.retention.rules.errors import DoesNotAddUp
from shared.retention.standing_rules import StandingRules, refuse_changed_rules
from shared.retention.statements import upkeep_transaction

log = get_logger(__name__)


class Rewriter(Protocol):
    """What makes the bytes of a page anew; it needs more libraries than are here (`worker.upkeep.rewriting`)."""

    def features(self, data: bytes, gone: Collection[int]) -> bytes:
        """The features of a page without the values of these rows."""

    def key_filter(self, hashes: Sequence[int]) -> bytes:
        """The filter of a page with these key hashes."""


@dataclass(slots=True)
class Thinned:
    """What went out of pages that stay."""

    pages: int = 0
    rows: int = 0


def thin_pages(
    engine: Engine,
    batches: BatchRange,
    rules: StandingRules,
    kept: Kept,
    rewriter: Rewriter,
    before_going: BeforeGoing | None,
) -> Thinned:
    """Take out of the pages of a range what is due and not held. Each page is a transaction of its own.

    `before_going` is told of these pages first, with the rows that stay.

    A page whose features are damaged stays as it is, and the log names it: nobody can tell what of it is held.

    Raises HoldsChanged, PeriodsChanged, DoesNotAddUp.
    """
    thinned = Thinned()
    thick = list(rows_to_thin(engine, batches, rules.cutoffs, kept))
    if before_going is not None:
        before_going(batches, thick)
    for batch_id in thick:
        try:
            thinned.rows += _thin_page(engine, batch_id, rules, kept.rows.get(batch_id, frozenset()), rewriter)
        except PageDamaged as error:
            log.warning("damaged page of held rows stays whole", batch_id=batch_id, reason=str(error))
        else:
            thinned.pages += 1
    return thinned


def _thin_page(engine: Engine, batch_id: int, rules: StandingRules, held: frozenset[int], rewriter: Rewriter) -> int:
    with upkeep_transaction(engine) as connection:
        refuse_changed_rules(connection, rules)
        rows = _thin(connection, batch_id, held, rewriter)
        # What was written anew lies in the file beside what was before, until the next compaction.
        for parent in ("batch_outputs", "batch_requests"):
            mark_for_compaction(connection, parent, batch_id)
    return rows


def rows_to_thin(engine: Engine, batches: BatchRange, cutoffs: Mapping[int, Cutoff], kept: Kept) -> dict[int, int]:
    """How many rows would go out of each page of a range that stays for the sake of others, by batch id."""
    jobs = [str(job_id) for job_id in kept.jobs - kept.whole_jobs]
    pages = [page for page in kept.pages if batches.first_id <= page < batches.end_id]
    if not jobs and not pages:
        return {}
    values = {**cutoff_arrays(cutoffs), "jobs": jobs, "pages": pages}
    with transaction(engine) as connection:
        found = connection.execute(text(_CANDIDATES.format(outputs=batches.table("batch_outputs"))), values).all()
    going = {batch_id: rows - len(kept.rows.get(batch_id, ())) for batch_id, rows in found}
    return {batch_id: rows for batch_id, rows in going.items() if rows > 0}


def _thin(connection: Connection, batch_id: int, held: frozenset[int], rewriter: Rewriter) -> int:
    """Write one page anew, or delete it where no row of it is held. Returns how many rows went."""
    page = connection.execute(_PAGE, {"batch": batch_id}).one()
    left = set(range(page.request_count)) - set(page.gone_rows or ())
    gone = sorted(left - held)
    staying = _counts_of(connection, page, held & left)
    counts = [own - kept for own, kept in zip((page.succeeded, page.failed, page.cancelled), staying, strict=True)]
    if min(counts) < 0 or sum(counts) != len(gone):
        raise DoesNotAddUp(f"{len(gone)} rows of page {batch_id}", counts)
    if page.job_id is None:
        deleted = delete_jobs(connection, [str(page.job_ids[row]) for row in gone]).rows
        if deleted != len(gone):
            raise DoesNotAddUp(deleted, len(gone))
    else:
        count_rows_gone(connection, page.job_id, counts)
    if held:
        _write(connection, page, held, sorted(set(page.gone_rows or ()) | set(gone)), counts, rewriter)
    else:
        for statement in _DELETE_PAGE:
            connection.execute(statement, {"batch": batch_id})
    return len(gone)


def _counts_of(connection: Connection, page: Any, rows: Collection[int]) -> tuple[int, int, int]:
    """How many of these rows, which stay, the page has counted as succeeded, failed, cancelled. All else goes.

    What goes is not counted by itself: an erased row has an error now, and is counted as what it was before.
    """
    if page.job_id is None:
        # A job may be held whose client was erased before. Its own status still says as what it counts.
        succeeded, failed, cancelled = connection.execute(
            _STATUSES, {"ids": [str(page.job_ids[row]) for row in rows]}
        ).one()
        return succeeded, failed, cancelled
    gave_up = set(range(page.request_count) if page.answers is None else page.cancelled_rows or ()) & set(rows)
    erred = set(page.error_rows or ()) & set(rows) - gave_up
    return len(rows) - len(erred) - len(gave_up), len(erred), len(gave_up)


def _write(
    connection: Connection,
    page: Any,
    held: frozenset[int],
    gone: Sequence[int],
    counts: Sequence[int],
    rewriter: Rewriter,
) -> None:
    hashes = _hashes(connection, page, held)
    errors = [number for number, row in enumerate(page.error_rows or ()) if row in held]
    values = {
        "batch": page.batch_id,
        "answers": _only(page.answers, held),
        "labels": _only(page.labels, held),
        "scores": _only(page.scores, held, per_row=len(page.scores or ()) // page.request_count),
        "error_rows": page.error_rows and [page.error_rows[number] for number in errors],
        "error_codes": page.error_rows and [page.error_codes[number] for number in errors],
        "error_details": page.error_rows and [page.error_details[number] for number in errors],
        "cancelled_rows": page.cancelled_rows and [row for row in page.cancelled_rows if row in held],
        "features": None if page.features is None else rewriter.features(bytes(page.features), gone),
        "key_filter": None if page.key_filter is None else rewriter.key_filter(hashes),
        "gone": list(gone),
        "succeeded": counts[0],
        "failed": counts[1],
        "cancelled": counts[2],
    }
    connection.execute(_WRITE_OUTPUTS, values)
    requests = {
        name: _only(getattr(page, name), held) for name in ("job_ids", "keys_int8", "keys_uuid", "keys_text", "given")
    }
    requests |= {
        name: [value and str(value) for value in requests[name] or ()] or None for name in ("job_ids", "keys_uuid")
    }
    spelled = page.spelled and {row: value for row, value in page.spelled.items() if int(row) in held}
    connection.execute(_WRITE_REQUESTS, {"batch": page.batch_id, **requests, "spelled": spelled, "gone": list(gone)})
    if page.request_count < SMALL_ROWS:
        connection.execute(_KEEP_HASHES, {"batch": page.batch_id, "hashes": hashes})


def _only(values: Sequence[Any] | None, held: Collection[int], per_row: int = 1) -> list[Any] | None:
    """The values of held rows, and null in the place of the others."""
    return [value if number // per_row in held else None for number, value in enumerate(values)] if values else None


def _hashes(connection: Connection, page: Any, held: Collection[int]) -> list[int]:
    keys = hash_keys(read_installation(connection).hash_secret, page.source_id)
    stored: Sequence[Any] = page.keys_int8 or page.keys_uuid or page.keys_text or ()
    held_keys = [stored[row] for row in sorted(held) if row < len(stored) and stored[row] is not None]
    return [hash_key(keys, key if isinstance(key, int) else str(key)) for key in held_keys]


# Pages that are held for some row and due by age, with the rows that are still there.
_CANDIDATES = f"""
SELECT o.batch_id, o.request_count - coalesce(cardinality(o.gone_rows), 0)
FROM {{outputs}} o JOIN {DUE_VERSIONS} ON c.version_id = o.model_version_id
LEFT JOIN predictq.jobs j ON j.id = o.job_id
WHERE (o.batch_id = ANY (CAST(:pages AS bigint[])) AND o.created_at < c.before)
   OR (o.job_id = ANY (CAST(:jobs AS uuid[])) AND j.status IS NOT NULL AND j.finished_at < c.before)
ORDER BY o.batch_id
"""
_PAGE = text("""
SELECT o.batch_id, o.job_id, o.request_count, o.succeeded, o.failed, o.cancelled, o."values" AS answers, o.labels,
       o.scores, o.error_rows, o.error_codes, o.error_details, o.cancelled_rows, o.gone_rows, o.features, o.key_filter,
       r.source_id, r.job_ids, r.keys_int8, r.keys_uuid, r.keys_text, r.given, r.spelled
FROM predictq.batch_outputs o JOIN predictq.batch_requests r ON r.batch_id = o.batch_id
WHERE o.batch_id = :batch FOR UPDATE OF o
""")
_STATUSES = text("""
SELECT count(*) FILTER (WHERE status IS NULL), count(*) FILTER (WHERE status = 'failed'),
       count(*) FILTER (WHERE status = 'cancelled')
FROM predictq.jobs WHERE id = ANY (CAST(:ids AS uuid[]))
""")
_WRITE_OUTPUTS = text("""
UPDATE predictq.batch_outputs SET
    "values" = CAST(:answers AS float8[]), labels = CAST(:labels AS int2[]), scores = CAST(:scores AS float8[]),
    error_rows = CAST(:error_rows AS int4[]), error_codes = CAST(:error_codes AS text[]),
    error_details = CAST(:error_details AS text[]), cancelled_rows = CAST(:cancelled_rows AS int4[]),
    features = :features, key_filter = :key_filter, gone_rows = CAST(:gone AS int4[]),
    succeeded = succeeded - :succeeded, failed = failed - :failed, cancelled = cancelled - :cancelled
WHERE batch_id = :batch
""")
_WRITE_REQUESTS = text("""
UPDATE predictq.batch_requests SET
    job_ids = CAST(:job_ids AS uuid[]), keys_int8 = CAST(:keys_int8 AS int8[]), keys_uuid = CAST(:keys_uuid AS uuid[]),
    keys_text = CAST(:keys_text AS text[]), given = CAST(:given AS text[]), spelled = :spelled,
    gone_rows = CAST(:gone AS int4[])
WHERE batch_id = :batch
""").bindparams(bindparam("spelled", type_=JSONB(none_as_null=True)))
_KEEP_HASHES = text("""
DELETE FROM predictq.key_hashes WHERE batch_id = :batch AND hash <> ALL (CAST(:hashes AS bigint[]))
""")
_DELETE_PAGE = tuple(
    text(f"DELETE FROM predictq.{table} WHERE batch_id = :batch")
    for table in ("batch_outputs", "batch_requests", "key_hashes")
)
