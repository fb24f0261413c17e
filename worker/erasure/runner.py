"""The job of an erasure: its steps in order, each in small transactions, with the place where it stands stored.

A process that is killed at any moment costs a repetition: every step finds nothing left to do where it was done before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import psycopg2
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from shared.audit.writing import record_act
from shared.erasure.client_holds import HoldGuard
from shared.erasure.elsewhere import delete_uploads, erase_elsewhere
from shared.erasure.errors import ClientHeld, ErasureBlocked, ErasureInterrupted
from shared.erasure.find import hashed_pages, unhashed_pages
from shared.erasure.kept_hashes import KeptHashes
from shared.erasure.keys import ClientKey, source_by_id, stored_key
from shared.erasure.open_batches import erase_open_batch, restart_plans, settle
from shared.erasure.records import read_erasure
from shared.errors import DatabaseBlocked
from shared.installation import read_installation
from shared.logging import get_logger
from shared.pages.key_hash import hash_keys
from shared.retention.statements import insist_on, upkeep_transaction
from worker.erasure.pages import erase_page

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Person:
    """An erasure under way. What it takes goes in transactions of `guard`."""

    id: UUID
    key: ClientKey
    guard: HoldGuard
    step: str
    position: int
    last_batch_id: int | None


class Eraser:
    """Carries out one erasure after the other. `kept` may be None: then no hash is kept outside the database."""

    def __init__(self, engine: Engine, kept: KeptHashes | None, *, patience_seconds: float = 60) -> None:
        self._engine = engine
        self._kept = kept
        self._patience = patience_seconds
        self._stopped = threading.Event()
        with upkeep_transaction(engine) as connection:
            self._secret = read_installation(connection).hash_secret

    def stop(self) -> None:
        """Come to an end soon, from another thread; what is left is resumed later."""
        self._stopped.set()

    def erase(self, erasure_id: UUID) -> bool:
        """Do what is left of one erasure. False where it must be called again later, or was stopped.

        A hold that has come ends it as failed, before it takes anything more.
        Raises ErasureError, whose text and context tell nothing of the client, and DatabaseUnavailable.
        """
        try:
            return self._erase(erasure_id)
        except DatabaseBlocked:
            raise ErasureBlocked(erasure_id) from None
        except (SQLAlchemyError, psycopg2.Error, ValueError, TypeError, LookupError, OSError) as error:
            # The text of such an error may repeat a value of its statement, or of the page.
            raise ErasureInterrupted(erasure_id, error) from None

    def _erase(self, erasure_id: UUID) -> bool:
        try:
            person = self._begin(erasure_id)
            while person is not None and not self._stopped.is_set():
                if not _STEPS[person.step](self, person):
                    return False
                person = self._read(erasure_id)
        except ClientHeld as held:
            self._end_held(erasure_id, held)
            return True
        return person is None

    def _begin(self, erasure_id: UUID) -> Person | None:
        person = self._read(erasure_id)
        if person is not None and self._kept is not None:
            self._kept.check()  # else all of her would go, and nothing say so after a restore
        if person is not None and person.step == "open batches":
            person.guard.do(partial(_run, erasure_id=erasure_id))
        return person

    def _read(self, erasure_id: UUID) -> Person | None:
        with upkeep_transaction(self._engine) as connection:
            row = connection.execute(_OPEN, {"id": str(erasure_id)}).one_or_none()
            if row is None:
                return None
            key = stored_key(source_by_id(connection, row.source_id), row.client_key)
        return Person(row.id, key, HoldGuard(self._engine, row.id, key), row.step, row.position, row.last_batch_id)

    def _open_batches(self, person: Person) -> bool:
        # First: a plan that is claimed anew would read her out of its file once more.
        delete_uploads(person.guard)
        restart_plans(self._engine, person.key)
        last = settle(self._engine, patience_seconds=self._patience)
        if last is None:
            log.info("erasure waits for older transactions", erasure_id=str(person.id))
            return False
        with upkeep_transaction(self._engine) as connection:
            batches = unhashed_pages(connection, person.key, up_to=last)
        for batch_id in batches:
            erase_open_batch(person.guard, batch_id)
        return self._go_on(person, "pages", last_batch_id=last)

    def _pages(self, person: Person) -> bool:
        key, last = person.key, person.last_batch_id or 0
        with upkeep_transaction(self._engine) as connection:
            hashed = hashed_pages(connection, key.hash(self._secret), after=person.position, up_to=last)
            cancelled = unhashed_pages(connection, key, after=person.position, up_to=last)
        hashes = hash_keys(self._secret, key.source.id)
        for batch_id in sorted({*hashed, *cancelled}):
            if self._stopped.is_set():
                return False
            erase_page(person.guard, hashes, self._secret, batch_id)
        return self._go_on(person, "elsewhere")

    def _elsewhere(self, person: Person) -> bool:
        erase_elsewhere(person.guard)
        return self._go_on(person, "forget")

    def _forget(self, person: Person) -> bool:
        if self._kept is None:
            log.warning("no hash is kept of an erasure: set PREDICTQ_ERASURE_DIRECTORY", erasure_id=str(person.id))
        else:
            self._kept.keep(person.key.source.name or "", person.key.text)
        self._end(person.id, "done", None)
        return True

    def _go_on(self, person: Person, step: str, *, last_batch_id: int | None = None) -> bool:
        values = {"id": str(person.id), "from": person.step, "to": step, "last_batch_id": last_batch_id}
        insist_on(self._engine, lambda connection: connection.execute(_NEXT_STEP, values))
        return True

    def _end_held(self, erasure_id: UUID, held: ClientHeld) -> None:
        with upkeep_transaction(self._engine) as connection:
            record = read_erasure(connection, erasure_id)
        erased = None if record.status == "queued" else record.answers
        self._end(erasure_id, "failed", str(ClientHeld(held.hold_id, held.kind, erased=erased)))

    def _end(self, erasure_id: UUID, status: str, error: str | None) -> None:
        insist_on(self._engine, partial(_note_end, erasure_id=erasure_id, status=status, error=error))


def _run(connection: Connection, erasure_id: UUID) -> None:
    connection.execute(_RUNNING, {"id": str(erasure_id)})


def _note_end(connection: Connection, erasure_id: UUID, status: str, error: str | None) -> None:
    connection.execute(_EMPTY_JOBS, {"id": str(erasure_id)})
    row = connection.execute(_END, {"id": str(erasure_id), "status": status, "error": error}).one_or_none()
    if row is not None:
        after = {"pages": row.pages, "answers": row.answers}
        record_act(connection, "upkeep", "upkeep", _ENDINGS[status], object=str(erasure_id), after=after)


_STEPS: dict[str, Callable[[Eraser, Person], bool]] = {
    "open batches": Eraser._open_batches,  # noqa: SLF001 - the class's own steps, by the names that are stored
    "pages": Eraser._pages,  # noqa: SLF001
    "elsewhere": Eraser._elsewhere,  # noqa: SLF001
    "forget": Eraser._forget,  # noqa: SLF001
}

_ENDINGS = {"done": "erasure.done", "failed": "erasure.failed"}  # what the audit log calls them

_OPEN = text("""
SELECT id, source_id, client_key, step, position, last_batch_id FROM predictq.erasures
WHERE id = :id AND kind = 'person' AND status IN ('queued', 'running')
""")
_RUNNING = text("UPDATE predictq.erasures SET status = 'running', error = NULL WHERE id = :id AND status = 'queued'")
_NEXT_STEP = text("""
UPDATE predictq.erasures
SET step = :to, position = 0, last_batch_id = coalesce(:last_batch_id, last_batch_id), error = NULL
WHERE id = :id AND step = :from
""")
_EMPTY_JOBS = text("DELETE FROM predictq.erasure_jobs WHERE erasure_id = :id")
_END = text("""
UPDATE predictq.erasures
SET status = :status, client_key = NULL, error = :error, step = 'ended', finished_at = clock_timestamp()
WHERE id = :id AND status IN ('queued', 'running') RETURNING pages, answers
""")
