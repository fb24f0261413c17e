"""A hold that comes while an erasure is under way: from its commit on nothing more is erased."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError

from shared.erasure.client_holds import HoldGuard
from shared.erasure.errors import ErasureBlocked
from shared.erasure.keys import ClientKey
from shared.postgres.engine import transaction
from shared.retention import statements
from shared.retention.rules.holds import add_hold, release_hold
from tests.integration.stored.erasure_support import PERSON, add_page, ask, erase, erasure, key_of, places
from tests.roles import as_upkeep
from tests.support import OWNER, add_clients, add_model
from worker.erasure.duties import ErasureDuty
from worker.erasure.runner import Eraser

_HOLDS: dict[str, Callable[[Connection, UUID], int]] = {
    "client": lambda connection, _: add_hold(connection, reason="r", actor="ann", client_key=str(PERSON)).id,
    "job": lambda connection, job_id: add_hold(connection, reason="r", actor="ann", job_id=job_id).id,
    "model": lambda connection, _: add_hold(connection, reason="r", actor="ann", model="default").id,
}


@pytest.fixture
def key(engine: Engine) -> ClientKey:
    """The person, in the table of clients, and a live model."""
    add_model(engine)
    add_clients(engine, 1, first=PERSON)
    return key_of(engine)


def _store(engine: Engine, key: ClientKey) -> UUID:
    """An answered page of hers, whose job's name has her key, an open one, and a file. Returns the job."""
    source = key.source.id or 0
    _, job_id = add_page(engine, source, "int8", [PERSON, 1])
    add_page(engine, source, "int8", [2, PERSON], is_answered=False)
    upload = str(uuid4())
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE predictq.jobs SET name = :name WHERE id = :id"), {"name": f"for {PERSON}", "id": str(job_id)}
        )
        values = {"id": upload, "owner": OWNER, "content": f"client_id\n{PERSON}\n".encode()}
        connection.execute(_UPLOAD, values)
        connection.execute(_PIECE, values)
    return job_id


_UPLOAD = text("""
INSERT INTO predictq.uploads (id, owner, media_type, size, sha256, expires_at)
VALUES (:id, :owner, 'text/csv', length(CAST(:content AS bytea)), repeat('a', 64), now() + interval '1 day')
""")
_PIECE = text("INSERT INTO predictq.upload_pieces (upload_id, number, content) VALUES (:id, 0, :content)")


def _left(engine: Engine, key: ClientKey) -> list[object]:
    """What there is of her."""
    with transaction(engine) as connection:
        names = connection.execute(text("SELECT id FROM predictq.jobs WHERE name LIKE 'for %' ORDER BY id"))
        uploads = connection.execute(text("SELECT id FROM predictq.uploads ORDER BY id"))
        return [places(engine, key), names.scalars().all(), uploads.scalars().all()]


@pytest.mark.parametrize("kind", _HOLDS)
def test_a_hold_that_comes_at_any_step_stops_it_there(engine: Engine, key: ClientKey, kind: str) -> None:
    """Before whichever transaction the hold is committed: what there was then is still there, and the end says so."""
    begun = place = 0
    at_hold: list[object] = []
    hold = 0
    failed = done = 0

    def commit_hold(_connection: Connection) -> None:
        nonlocal begun, hold, at_hold
        begun += 1
        if begun == place:
            with transaction(engine) as connection:
                hold = _HOLDS[kind](connection, job_id)
            at_hold = _left(engine, key)

    upkeep = as_upkeep(engine)
    eraser = Eraser(upkeep, None)
    for place in range(1, 100):
        job_id = _store(engine, key)
        asked = ask(engine, key)
        begun = hold = 0
        event.listen(upkeep, "begin", commit_hold)
        try:
            assert eraser.erase(asked.id)
        finally:
            event.remove(upkeep, "begin", commit_hold)
        ended = erasure(engine, asked.id)
        if not hold:
            assert ended.status == "done"
            break
        assert _left(engine, key) == at_hold, place
        if ended.status == "failed":
            failed += 1
            assert f"Hold {hold} " in (ended.error or "")
            assert "Nothing was erased" in (ended.error or "") or f" {ended.answers} answer" in (ended.error or "")
        else:
            done += 1
            assert at_hold == [[], [], []]  # it came after the last of hers had gone
        with transaction(engine) as connection:
            release_hold(connection, hold)
        erase(engine, key)  # what was left, so that the next one has as many steps
    assert failed > 15
    assert done < 8


def test_a_hold_waits_for_the_page_that_is_being_erased(engine: Engine, key: ClientKey) -> None:
    """It is added after the commit, so that whoever added it has seen the last that goes."""
    guard = HoldGuard(as_upkeep(engine), UUID(int=7), key)
    with guard.transaction(), engine.connect() as connection:
        connection.execute(text("SET lock_timeout = '50ms'"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            add_hold(connection, reason="r", actor="ann", client_key="1")


def test_a_hold_on_another_client_changes_nothing(engine: Engine, key: ClientKey) -> None:
    """An erasure ends well beside holds that are not on its client."""
    _store(engine, key)
    with transaction(engine) as connection:
        add_hold(connection, reason="r", actor="ann", client_key="1")
    assert erase(engine, key).status == "done"
    assert _left(engine, key) == [[], [], []]


_FORGOTTEN = {
    "a hold": "LOCK TABLE predictq.holds IN ROW EXCLUSIVE MODE",
    "her open batch": "SELECT FROM predictq.prediction_batches FOR UPDATE",
    "her page": "SELECT FROM predictq.batch_requests FOR UPDATE",
    "all jobs": "LOCK TABLE predictq.jobs IN ACCESS EXCLUSIVE MODE",
}


@pytest.mark.parametrize("what", _FORGOTTEN)
def test_a_forgotten_session_stops_neither_the_upkeep_nor_new_holds(
    engine: Engine, key: ClientKey, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The erasure gives up for this round and says what it waits for; nobody queues behind it for long."""
    monkeypatch.setattr(statements, "_PAUSE_SECONDS", 0.05)
    _store(engine, key)
    asked = ask(engine, key)
    duty, upkeep = ErasureDuty(None), as_upkeep(engine)
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as forgotten:
            forgotten.execute(text(_FORGOTTEN[what]))
            run = pool.submit(duty.run, upkeep)
            while not run.done():
                with transaction(engine) as connection:
                    connection.execute(text("SET LOCAL lock_timeout = '500ms'"))
                    add_hold(connection, reason="r", actor="ann", client_key="1")
                time.sleep(0.05)
            with pytest.raises(ErasureBlocked, match=f"{asked.id} waits .* pg_stat_activity"):
                run.result()
        waiting = erasure(engine, asked.id)
        assert "pg_stat_activity" in (waiting.error or "")
        assert duty.run(upkeep) == "1 erasures ended"
    ended = erasure(engine, asked.id)
    assert (ended.status, ended.error) == ("done", None)
    assert _left(engine, key) == [[], [], []]
