"""One claim of a plan: the source is read without a pause, and meanwhile its keys are written as pages."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from shared.batches.claims import Claim
from shared.config import Settings
from shared.jobs.planning import PlannedPage, Selection, end_plan, read_room, write_pages
from shared.logging import get_logger
from shared.messaging.messages import Notice
from shared.models.registry import get_version
from shared.models.signature import missing_columns
from shared.postgres.engine import autocommit
from shared.sources.description import rows_of_a_page
from shared.sources.feature_sql import values_in_json
from shared.sources.source import Source, get_source
from shared.status import JobError
from shared.uploads.table_order import TableOrder
from worker.planning.doorbell import Doorbell
from worker.planning.failures import PlanFailed, PlanGivenBack, TooManyRows
from worker.planning.key_cutter import KeyCutter
from worker.planning.key_reader import KeyReader, OpenSource
from worker.planning.lease_beat import LeaseBeat
from worker.planning.page_cutter import PageCutter
from worker.planning.scan_cutter import ScanCutter
from worker.planning.upload_pages import UploadCutter, UploadReader
from worker.sources.circuit import Circuit

log = get_logger(__name__)

Reader = KeyReader | UploadReader

_MOST_PAGES = 20  # of one transaction: a cancel waits for it
MOST_SCANNED_ROWS = 1_000_000  # of a job whose features are read along with its keys
_LOOK_SECONDS = 0.05  # for keys, while there are too few
_ROOM_SECONDS = 0.25  # between two looks whether there is room
_PAUSE_SECONDS = 5.0  # without room, until the claim is given back


@dataclass(frozen=True, slots=True)
class Tools:
    """What a planner process has: built once, by its entry module."""

    engine: Engine  # a connection for each plan at once, and one for their heartbeats
    open_source: OpenSource
    doorbell: Doorbell
    settings: Settings
    stopped: threading.Event
    worker: str  # who claims

    def room(self, owner: str) -> int:
        """See read_room."""
        settings = self.settings
        return read_room(
            self.engine, owner, owner_limit=settings.owner_max_waiting_rows, service_limit=settings.max_waiting_rows
        )


class PlanRun:
    """Carries out a claimed plan, or as much of it as can be."""

    def __init__(self, tools: Tools, held: Claim, selection: Selection) -> None:
        self._tools = tools
        self._held = held
        self._selection = selection
        self._is_new_reading = True  # until something of it is written
        self._no_room_since: float | None = None
        self._most_rows = tools.settings.max_job_rows

    @property
    def attempt(self) -> int:
        """How many claims, this one included, came to nothing since the plan last came forward."""
        return self._held.attempt if self._is_new_reading else 1

    def carry_out(self) -> None:
        """Write all pages and end the plan.

        Raises FenceLost, PlanGivenBack, PlanFailed, DatabaseUnavailable where predictq's own database is away, and
        whatever else goes wrong. What is written stays written: the next claim goes on after it.
        """
        tools, held = self._tools, self._held
        reader, source = self._of_file(self._selection.upload), None
        if reader is None:
            reader, source = self._of_source()
        with LeaseBeat(tools.engine, held, lease_seconds=tools.settings.lease_seconds) as beat, reader:
            self._write_what_is_read(beat, reader)
            beat.check()
            reader.check()
            if reader.spool.is_cut_short:
                raise PlanGivenBack("the source was read so far; somebody reads on from there")
            total = end_plan(tools.engine, held, is_new_reading=self._is_new_reading)
        if source is not None and (source.is_away or source.is_refusing):
            Circuit(tools.engine, tools.settings.patience_seconds).close(source.id)
        log.info("job planned", job_id=str(held.job_id), rows=total)
        tools.doorbell.job_changed(Notice(held.batch_id, held.job_id))

    def _of_source(self) -> tuple[Reader, Source]:
        tools, held = self._tools, self._held
        with autocommit(tools.engine) as connection:
            source = get_source(connection, self._selection.source_id or 0)
            features = _read_along(connection, source, held.model_version_id)
        if features:
            self._most_rows = min(self._most_rows, MOST_SCANNED_ROWS)
        reader = KeyReader(
            tools.open_source,
            source,
            self._selection,
            after=held.planned_key,
            spool_bytes=tools.settings.plan_spool_bytes,
            features=features,
        )
        return reader, source

    def _of_file(self, order: TableOrder | None) -> Reader | None:
        if order is None:
            return None
        settings = self._tools.settings
        return UploadReader(
            order,
            owner=self._selection.owner,
            version_id=self._held.model_version_id,
            skip=self._held.planned_rows,
            most=min(settings.max_upload_rows, settings.max_job_rows),
            spool_bytes=settings.plan_spool_bytes,
        )

    def _write_what_is_read(self, beat: LeaseBeat, reader: Reader) -> None:
        cutter = self._cutter(reader)
        while not cutter.is_done:
            beat.check()
            self._check(reader)
            if cutter.planned + cutter.ahead > self._most_rows:
                raise TooManyRows(self._most_rows)
            pages = self._cut(cutter) if cutter.ahead else []
            if pages:
                self._write(pages)
            elif self._no_room_since is not None:
                self._tools.stopped.wait(_ROOM_SECONDS)
            else:
                reader.spool.wait_for_more(_LOOK_SECONDS)

    def _cutter(self, reader: Reader) -> PageCutter:
        planned, most = self._held.planned_rows, self._page_rows()
        if isinstance(reader, UploadReader):
            return UploadCutter(reader.spool, planned=planned, most_rows=most)
        kind = ScanCutter if reader.reads_features else KeyCutter
        return kind(reader.spool, planned=planned, most_rows=most, canonical=reader.canonical_line)

    def _page_rows(self) -> int:
        """Rows of a page at most; those that come with their features are cut by their own width."""
        most, upload = self._tools.settings.bulk_batch_rows, self._selection.upload
        if (upload is not None and upload.has_features) or self._selection.source_id is None:
            return most
        with autocommit(self._tools.engine) as connection:
            source = get_source(connection, self._selection.source_id)
            signature = get_version(connection, self._held.model_version_id).signature
        return rows_of_a_page(source, signature.names, most=most)

    def _check(self, reader: Reader) -> None:
        if self._tools.stopped.is_set():
            raise PlanGivenBack("the planner stops")
        reader.check()
        if reader.spool.is_cut_short:
            reader.stop()

    def _cut(self, cutter: PageCutter) -> list[PlannedPage]:
        """The pages for one transaction; none while too few rows have come, or there is no room for them."""
        room = self._tools.room(self._selection.owner)
        self._note_room(room)
        pages: list[PlannedPage] = []
        while room > 0 and len(pages) < _MOST_PAGES and (page := cutter.next_page()):
            pages.append(page)
            room -= page.rows
        return pages

    def _note_room(self, room: int) -> None:
        now = time.monotonic()
        if room > 0:
            self._no_room_since = None
        elif self._no_room_since is None:
            self._no_room_since = now
        elif now - self._no_room_since > _PAUSE_SECONDS:
            raise PlanGivenBack("as many rows wait as may")

    def _write(self, pages: list[PlannedPage]) -> None:
        batch_ids = write_pages(
            self._tools.engine,
            self._held,
            self._selection,
            pages,
            is_new_reading=self._is_new_reading,
            lease=self._tools.settings.lease_seconds,
        )
        self._is_new_reading = False
        self._tools.doorbell.batches_wait(len(batch_ids))


def _read_along(connection: Connection, source: Source, version_id: int) -> dict[str, str]:
    """The features that are read along with the keys: those of a source that is too slow to be read by key."""
    if not source.is_scan:
        return {}
    signature = get_version(connection, version_id).signature
    lacking = missing_columns(signature, [column.name for column in source.columns])
    if lacking:
        raise PlanFailed(
            JobError.PLANNING_FAILED, f"The source {source.name} has no column {lacking[0]}, which the model needs."
        )
    return values_in_json(source, signature)
