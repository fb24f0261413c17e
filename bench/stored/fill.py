"""Copies of real pages, in partitions as years of use leave them: weeks of jobs, ranges of batches of 256 MB.

Old ranges come before the one in use, so ids and times grow together. From old to new: half of the bulk jobs, all
single jobs, the other half of the bulk jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, text

from bench.stored.base import Base
from shared.postgres.engine import autocommit
from shared.retention.partitions.ranges import PAGE_TABLES

_WIDTH = 1_000_000  # batch ids of a range, as the product makes them
_MOST_BYTES = 256 * 2**20
_IN_USE = 10_000 * _WIDTH  # where the service draws its batch ids meanwhile
_WEEKS = (25, 40, 25)  # bulk, single, bulk
_GAP = timedelta(weeks=1)  # between these, so that one retention can end between them


_UNKNOWN = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Copy:
    """Copied jobs of one moment: their first batch and how many; `job` is that of a bulk job."""

    at: datetime
    first_batch: int
    batches: int
    rows: int
    job: str | None


@dataclass(slots=True)
class Stored:
    """What was stored, oldest first, and where the single jobs begin and end in time."""

    copies: list[Copy] = field(default_factory=list)
    singles_from: datetime = _UNKNOWN
    singles_until: datetime = _UNKNOWN

    @property
    def bulk(self) -> list[Copy]:
        """The bulk jobs."""
        return [copy for copy in self.copies if copy.job]

    def rows(self, copies: Sequence[Copy]) -> int:
        """How many predictions these hold."""
        return sum(copy.rows for copy in copies)


def make_room(engine: Engine) -> None:
    """Let the service draw batch ids far above those that old pages will have."""
    with autocommit(engine) as connection:
        for parent in PAGE_TABLES:
            values = {"parent": parent, "name": f"{parent}_{_IN_USE}", "first": _IN_USE, "end": _IN_USE + _WIDTH}
            connection.execute(_ADD_RANGE, values)
        connection.execute(text("SELECT setval('predictq.batch_ids', :id)"), {"id": _IN_USE})
        connection.execute(text("SELECT predictq.make_batch_partitions(8)"))


_ADD_RANGE = text("""
WITH made AS (SELECT predictq.add_partition(:parent, :name, CAST(:first AS text), CAST(:end AS text)) AS is_new)
INSERT INTO predictq.partitions (name, parent, first_batch_id, end_batch_id)
SELECT :name, :parent, CAST(:first AS bigint), CAST(:end AS bigint) FROM made WHERE is_new
""")


def fill(engine: Engine, base: Base, *, bulk_jobs: int, single_copies: int) -> Stored:
    """Copy the base so many times, then do of what autovacuum would have done long ago what reads depend on."""
    stored = Stored()
    with autocommit(engine) as connection:
        connection.execute(text("SET synchronous_commit = off"))
        connection.execute(text("SET work_mem = '256MB'"))
        connection.execute(text("SET maintenance_work_mem = '512MB'"))
        filler = _Filler(connection, base)
        start = datetime.now(UTC) - timedelta(weeks=2 + sum(_WEEKS)) - 2 * _GAP
        counts = (bulk_jobs // 2, single_copies, bulk_jobs - bulk_jobs // 2)
        for part, (count, weeks) in enumerate(zip(counts, _WEEKS, strict=True)):
            for number in range(count):
                at = start + timedelta(weeks=weeks) * ((number + 0.5) / count)
                stored.copies.append(filler.copy_singles(at) if part == 1 else filler.copy_bulk(at))
            filler.end_range()
            if part == 1:
                stored.singles_from, stored.singles_until = start, start + timedelta(weeks=weeks)
            start += timedelta(weeks=weeks) + _GAP
        filler.end_week()
        for statement in _TIDY:
            connection.execute(text(statement))
    return stored


_TIDY = (
    "VACUUM (ANALYZE, PROCESS_TOAST false) predictq.batch_outputs",
    "VACUUM (ANALYZE, PROCESS_TOAST false) predictq.batch_requests",
    "ANALYZE predictq.jobs",
    "ANALYZE predictq.key_hashes",
    "RESET ALL",
    "CHECKPOINT",
)


class _Filler:
    """Copies jobs to a moment. A partition is attached when it is full: so its indexes are built at once."""

    def __init__(self, connection: Connection, base: Base) -> None:
        self._connection = connection
        self._base = base
        self._copied = 0
        highest = text("SELECT max(end_batch_id) FROM predictq.partitions WHERE end_batch_id <= :in_use")
        self._lowest = int(connection.execute(highest, {"in_use": _IN_USE}).scalar_one()) - _WIDTH
        self._next_batch = 0
        self._is_open = False  # a range is being filled
        self._week: datetime | None = None  # the one that is being filled
        for statement in _BASE_SINGLES:
            connection.execute(text(statement), {"in_use": _IN_USE})
        self._pages = int(connection.execute(text("SELECT count(*) FROM base_pages")).scalar_one())
        self._rows = int(connection.execute(text("SELECT count(*) FROM base_rows")).scalar_one())
        self._requests = _columns(connection, "batch_requests")
        self._outputs = _columns(connection, "batch_outputs")

    def copy_bulk(self, at: datetime) -> Copy:
        """One bulk job more."""
        base = self._base.bulk[self._copied % len(self._base.bulk)]
        values = self._begin(at) | {"base": base}
        job, rows = self._connection.execute(text(_BULK_JOB.format(week=_week_name(at))), values).one()
        values["job"] = str(job)
        for table, columns in (("batch_requests", self._requests), ("batch_outputs", self._outputs)):
            statement = _BULK_PAGES.format(table=table, range=f"{table}_{self._lowest}", columns=columns)
            pages = self._connection.execute(text(statement), values).rowcount
        return self._end(at, pages, rows, str(job))

    def copy_singles(self, at: datetime) -> Copy:
        """All single jobs of the base once more."""
        values = self._begin(at)
        for statement in _SINGLES:
            filled = statement.format(
                requests=self._requests, outputs=self._outputs, range=self._lowest, week=_week_name(at)
            )
            self._connection.execute(text(filled), values)
        return self._end(at, self._pages, self._rows, None)

    def _begin(self, at: datetime) -> dict[str, object]:
        if (
            self._is_open
            and self._connection.execute(text(_RANGE_BYTES.format(self._lowest))).scalar_one() > _MOST_BYTES
        ):
            self.end_range()
        if not self._is_open:
            self._begin_range()
        if self._week is None or _week_name(self._week) != _week_name(at):
            self.end_week()
            self._make("jobs", _week_name(at))
            self._week = at
        return {"at": at, "first": self._next_batch, "shift": at - datetime.now(UTC)}

    def _end(self, at: datetime, pages: int, rows: int, job: str | None) -> Copy:
        copy = Copy(at, self._next_batch, pages, rows, job)
        self._next_batch += pages
        self._copied += 1
        return copy

    def _begin_range(self) -> None:
        self._lowest += _WIDTH
        self._next_batch = self._lowest
        self._is_open = True
        for parent in PAGE_TABLES:
            self._make(parent, f"{parent}_{self._lowest}")

    def end_range(self) -> None:
        """Attach the range that was filled, closed at once."""
        self._is_open = False
        values = {"first": self._lowest, "end": self._lowest + _WIDTH}
        for parent in PAGE_TABLES:
            self._attach(parent, f"{parent}_{self._lowest}", str(values["first"]), str(values["end"]))
            self._connection.execute(_NOTE_RANGE, {**values, "name": f"{parent}_{self._lowest}", "parent": parent})

    def end_week(self) -> None:
        """Attach the week that was filled."""
        if self._week is None:
            return
        name = _week_name(self._week)
        week, lowest, highest = self._connection.execute(_WEEK, {"at": self._week}).one()
        self._attach("jobs", name, lowest, highest)
        self._connection.execute(_NOTE_WEEK, {"name": name, "week": week})

    def _make(self, parent: str, name: str) -> None:
        options = "INCLUDING ALL EXCLUDING INDEXES"
        self._connection.execute(
            text(f"CREATE TABLE predictq.{name} (LIKE predictq.{parent} {options}) WITH (autovacuum_enabled = off)")
        )

    def _attach(self, parent: str, name: str, lowest: str, highest: str) -> None:
        self._connection.execute(text(f"SELECT predictq.take_no_samples('{name}')"))
        self._connection.execute(
            text(f"ALTER TABLE predictq.{parent} ATTACH PARTITION predictq.{name} "
                 f"FOR VALUES FROM ('{lowest}') TO ('{highest}')")
        )  # fmt: skip


def _week_name(at: datetime) -> str:
    """The name that the product gives to the week of a moment."""
    return f"jobs_{at:%G}w{at:%V}"


_RANGE_BYTES = "SELECT " + "+".join(f"pg_total_relation_size('predictq.{parent}_{{0}}')" for parent in PAGE_TABLES)
_NOTE_RANGE = text("""
INSERT INTO predictq.partitions (name, parent, first_batch_id, end_batch_id, closed_at)
VALUES (:name, :parent, :first, :end, now() - interval '1 day')
""")
_WEEK = text("""
SELECT (w AT TIME ZONE 'UTC')::date, predictq.first_uuid_of(w)::text,
       predictq.first_uuid_of(w + interval '7 days')::text
FROM date_trunc('week', CAST(:at AS timestamptz), 'UTC') w
""")
_NOTE_WEEK = text("INSERT INTO predictq.partitions (name, parent, first_week) VALUES (:name, 'jobs', :week)")


def _columns(connection: Connection, table: str) -> str:
    """What a copy has in common with its page."""
    query = text("""
SELECT string_agg(format('%I', attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = to_regclass('predictq.' || :table) AND attnum > 0 AND NOT attisdropped
  AND attname NOT IN ('batch_id', 'created_at', 'job_id', 'job_ids', 'claimed_at', 'xid')
""")
    return str(connection.execute(query, {"table": table}).scalar_one())


_BULK_JOB = """
INSERT INTO predictq.{week} (id, kind, owner, model_version_id, request_count, status, created_at, started_at,
                           finished_at, first_batch_id, source_id, snapshots, succeeded, failed, cancelled, selection)
SELECT uuidv7(CAST(:shift AS interval)), kind, owner, model_version_id, request_count, status, :at, :at,
       CAST(:at AS timestamptz) + interval '5 seconds', :first, source_id, snapshots, succeeded, failed, cancelled,
       selection
FROM predictq.jobs WHERE id = :base RETURNING id, request_count
"""
_BULK_PAGES = """
INSERT INTO predictq.{range} (batch_id, created_at, job_id, {columns})
SELECT :first + row_number() OVER (ORDER BY batch_id) - 1, CAST(:at AS timestamptz) + interval '4 seconds',
       CAST(:job AS uuid), {columns}
FROM predictq.{table} WHERE job_id = :base
"""
# rank: the position of a page among its base. The service's pages lie in the range in use alone.
_BASE_SINGLES = (
    """CREATE TEMP TABLE base_pages AS
       SELECT batch_id, (row_number() OVER (ORDER BY batch_id) - 1)::integer AS rank, request_count
       FROM predictq.batch_outputs WHERE job_id IS NULL AND batch_id >= :in_use""",
    "CREATE UNIQUE INDEX ON base_pages (batch_id)",
    """CREATE TEMP TABLE base_rows AS
       SELECT j.owner, j.model_version_id, j.source_id, p.rank, j.row_number
       FROM predictq.jobs j JOIN base_pages p ON p.batch_id = j.batch_id ORDER BY p.rank, j.row_number""",
    """CREATE TEMP TABLE base_hashes AS
       SELECT k.hash, p.rank FROM predictq.key_hashes k JOIN base_pages p USING (batch_id) ORDER BY p.rank""",
    "ANALYZE base_pages",
    "ANALYZE base_rows",
    "ANALYZE base_hashes",
)
_SINGLES = (
    "DROP TABLE IF EXISTS new_jobs",
    """CREATE TEMP TABLE new_jobs AS
       SELECT r.*, uuidv7(CAST(:shift AS interval)) AS id FROM base_rows r""",
    """INSERT INTO predictq.{week} (id, kind, owner, model_version_id, batch_id, row_number, request_count, source_id,
                                  created_at)
       SELECT id, 'single', owner, model_version_id, CAST(:first AS bigint) + rank, row_number, 1, source_id, :at
       FROM new_jobs""",
    """INSERT INTO predictq.batch_requests_{range} (batch_id, created_at, job_ids, {requests})
       SELECT CAST(:first AS bigint) + p.rank, :at, n.ids, {requests}
       FROM (SELECT batch_id, rank FROM base_pages) p JOIN predictq.batch_requests r USING (batch_id)
       JOIN (SELECT rank, array_agg(id ORDER BY row_number) AS ids FROM new_jobs GROUP BY rank) n USING (rank)
       ORDER BY p.rank""",
    """INSERT INTO predictq.batch_outputs_{range} (batch_id, created_at, claimed_at, {outputs})
       SELECT CAST(:first AS bigint) + p.rank, CAST(:at AS timestamptz) + interval '20 milliseconds', :at, {outputs}
       FROM (SELECT batch_id, rank FROM base_pages) p JOIN predictq.batch_outputs o USING (batch_id)
       ORDER BY p.rank""",
    """INSERT INTO predictq.key_hashes_{range} (hash, batch_id)
       SELECT hash, CAST(:first AS bigint) + rank FROM base_hashes""",
)
