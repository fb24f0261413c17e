"""Erasure of one person: nothing of her is shown any more, all else stays, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import Engine, event, text
from uuid_utils.compat import uuid7

from shared.batches.claims import claim
from shared.batches.row_accounting import read_row_account
from shared.config import Settings
from shared.erasure.client_holds import holds_on, refuse_held
from shared.erasure.errors import ClientHeld, ClientKeyRefused, ErasureInterrupted
from shared.erasure.keys import ClientKey
from shared.errors import Erased
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.jobs.accepting.singles import accept_singles
from shared.jobs.records import cancel_job
from shared.postgres.engine import autocommit, transaction
from shared.retention.held import read_kept
from shared.retention.partitions.ranges import read_ranges
from shared.status import Queue
from tests.integration.stored.erasure_support import (
    PERSON,
    add_page,
    add_source,
    ask,
    erase,
    erasure,
    everything,
    key_of,
    places,
)
from tests.integration.worker.scoring_support import results, score, trace_of
from tests.roles import as_upkeep
from tests.support import (
    OWNER,
    ROOT,
    add_clients,
    add_model,
    bulk_job,
    environment,
    job_of,
    single_job,
    submit_bulk,
    submit_singles,
    wait_until,
)
from worker.erasure.runner import Eraser
from worker.pages.row_bits import pack_rows
from worker.scoring.scorer import Scorer


@pytest.fixture
def key(engine: Engine) -> ClientKey:
    """The person, in the table of clients with a hundred others, and a live model."""
    add_model(engine)
    add_clients(engine, 100)
    add_clients(engine, 1, first=PERSON)
    return key_of(engine)


def test_nothing_of_the_person_is_shown_any_more(engine: Engine, key: ClientKey, scorer: Scorer) -> None:
    """No table and no view shows the erased person; other rows of her pages are as they were, features too."""
    bulk = submit_bulk(engine, [1, PERSON, *range(2, 90), PERSON])
    single, other = submit_singles(engine, [PERSON, 7])
    assert score(scorer, Queue.BULK) == ["finished"]
    assert score(scorer) == ["finished"]
    before = results(engine, bulk)
    features = trace_of(engine, before[5].request_id).features
    assert str(PERSON) in everything(engine)

    done = erase(engine, key)

    assert (done.status, done.pages, done.answers) == ("done", 2, 3)
    assert str(PERSON) not in everything(engine)
    assert places(engine, key) == []
    after = results(engine, bulk)
    assert [row for row in after if row.error_code is None] == [row for row in before if row.client_id != PERSON]
    erased = [row for row in after if row.error_code is not None]
    assert [(row.request_id, row.client_id, row.probability, row.error_code) for row in erased] == [
        (before[1].request_id, None, None, "erased"),
        (before[90].request_id, None, None, "erased"),
    ]
    assert trace_of(engine, before[5].request_id).features == features
    assert job_of(engine, other.job_id).probability is not None
    assert (job_of(engine, single.job_id).error_code, job_of(engine, single.job_id).client_id) == ("erased", None)
    for gone in (before[1].request_id, single.request_id):
        with pytest.raises(Erased):
            trace_of(engine, gone)


def test_counts_stay_and_others_are_still_found(engine: Engine, key: ClientKey, scorer: Scorer) -> None:
    """The row accounting and the counts of a job are as before; every other client of the page is found as before."""
    bulk = submit_bulk(engine, [PERSON, *range(1, 80)])
    score(scorer, Queue.BULK)
    job = job_of(engine, bulk.job_id)
    erase(engine, key)
    with transaction(engine) as connection:
        account = read_row_account(connection)
    assert (account.imbalance, account.succeeded, account.failed) == (0, 80, 0)
    assert job_of(engine, bulk.job_id) == job
    for client in range(1, 80):
        assert [place.rows for place in places(engine, key_of(engine, client))] == [(client,)]


def test_a_batch_in_a_workers_hands_cannot_bring_her_back(engine: Engine, key: ClientKey, scorer: Scorer) -> None:
    """What a worker read before the erasure is refused; claimed anew, her row ends as erased and the others well."""
    bulk = submit_bulk(engine, [1, PERSON, 2])
    (held,) = claim(engine, Queue.BULK, worker="old", lease_seconds=600)
    rows_read = scorer._answer  # what the old worker does with its claim, to the end
    erase(engine, key)
    assert rows_read([held]) == {}
    assert str(PERSON) not in everything(engine)

    assert score(scorer, Queue.BULK) == ["finished"]
    assert [(row.client_id, row.error_code) for row in results(engine, bulk)] == [
        (1, None),
        (None, "erased"),
        (2, None),
    ]
    job = job_of(engine, bulk.job_id)
    assert (job.succeeded, job.failed, job.status) == (2, 1, "succeeded")
    with pytest.raises(Erased):
        trace_of(engine, f"{bulk.batch_ids[0]}-1")


def test_an_open_single_and_a_cancelled_batch_are_erased(engine: Engine, key: ClientKey, scorer: Scorer) -> None:
    """A single job that waits ends with the error `erased`; pages of cancelled batches, which have no filter, count."""
    cancelled = submit_bulk(engine, [PERSON, 1, 2])
    with transaction(engine) as connection:
        cancel_job(connection, cancelled.job_id, OWNER)
    (single,) = submit_singles(engine, [PERSON])
    done = erase(engine, key)
    assert (done.pages, done.answers) == (2, 2)
    assert str(PERSON) not in everything(engine)
    score(scorer)
    job = job_of(engine, single.job_id)
    assert (job.status, job.error_code, job.client_id) == ("failed", "erased", None)
    with pytest.raises(Erased):
        trace_of(engine, f"{cancelled.batch_ids[0]}-0")


def test_a_later_request_is_not_erased(engine: Engine, key: ClientKey, scorer: Scorer) -> None:
    """What is asked for after the erasure is a new request."""
    erase(engine, key)
    (single,) = submit_singles(engine, [PERSON])
    score(scorer)
    assert job_of(engine, single.job_id).probability is not None


def test_a_job_in_acceptance_is_waited_for(engine: Engine, key: ClientKey) -> None:
    """A job whose acceptance is not committed yet is not missed: the erasure waits for it."""
    asked = ask(engine, key)
    with transaction(engine) as connection:
        connection.execute(
            text("""INSERT INTO predictq.prediction_batches (queue, job_id, owner, model_version_id, request_count)
                    VALUES ('bulk', :job, 'o', 1, 1)"""),
            {"job": str(uuid7())},
        )
        assert Eraser(as_upkeep(engine), None, patience_seconds=0.1).erase(asked.id) is False
        assert erasure(engine, asked.id).step == "open batches"
    assert Eraser(as_upkeep(engine), None).erase(asked.id) is True


@pytest.fixture
def crash_at(engine: Engine) -> Iterator[Callable[[int], None]]:
    """`crash_at(n)`: the n-th commit from now does not happen, as if the process had been killed before it."""
    left = [0]

    def commit(_connection: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    event.listen(as_upkeep(engine), "commit", commit)
    yield lambda commits: left.__setitem__(0, commits)
    event.remove(as_upkeep(engine), "commit", commit)


def test_an_erasure_that_is_interrupted_anywhere_goes_on(
    engine: Engine, key: ClientKey, scorer: Scorer, crash_at: Callable[[int], None]
) -> None:
    """Stopped before its first commit, then its second and so on, an erasure still ends with everything done."""
    for _ in range(3):
        submit_bulk(engine, [PERSON, *range(1, 70)])
        score(scorer, Queue.BULK)
    submit_bulk(engine, [PERSON, 1])
    asked = ask(engine, key)
    crashes = 0
    for commits in range(1, 100):
        crash_at(commits)
        try:
            if Eraser(as_upkeep(engine), None).erase(asked.id):
                break
        except KeyboardInterrupt:
            crashes += 1
    crash_at(0)
    done = erasure(engine, asked.id)
    assert crashes > 5
    assert (done.status, done.pages, done.answers) == ("done", 4, 4)
    assert str(PERSON) not in everything(engine)


def test_a_killed_process_costs_a_repetition(
    engine: Engine, settings: Settings, key: ClientKey, tmp_path: Path
) -> None:
    """SIGKILL in the middle of the pages: another process goes on where it stopped."""
    source = key.source.id
    for _ in range(60):
        add_page(engine, source, "int8", [PERSON, *range(1, 2000)], words=[f"word {n}" for n in range(2000)])
    asked = ask(engine, key)
    process = subprocess.Popen([sys.executable, "-c", _ERASE, str(asked.id)], cwd=ROOT, env=environment(settings))
    try:
        wait_until(lambda: erasure(engine, asked.id).pages > 3, what="some pages erased")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert erasure(engine, asked.id).status == "running"
    Eraser(as_upkeep(engine), None).erase(asked.id)
    assert (erasure(engine, asked.id).pages, erasure(engine, asked.id).answers) == (60, 60)
    assert str(PERSON) not in everything(engine)


_ERASE = """
import sys
from uuid import UUID
from shared.config import load_settings
from shared.database_role import DatabaseRole
from shared.postgres.engine import make_engine
from worker.erasure.runner import Eraser
from worker.pages.row_bits import pack_rows
settings = load_settings().as_role(DatabaseRole.UPKEEP)
Eraser(make_engine(settings, application_name="upkeep"), None).erase(UUID(sys.argv[1]))
"""


def test_a_hold_refuses(engine: Engine, key: ClientKey, scorer: Scorer) -> None:
    """A hold on the client, on a job of hers or on a model that answered for her refuses; another client's does not."""
    bulk = submit_bulk(engine, [PERSON, 1])
    score(scorer, Queue.BULK)
    holds: list[tuple[str, dict[str, object]]] = [
        ("client_key, source_id", {"a": str(PERSON), "b": key.source.id}),
        ("job_id, source_id", {"a": str(bulk.job_id), "b": None}),
        ("model, source_id", {"a": "default", "b": None}),
    ]
    for columns, values in holds:
        with transaction(engine) as connection:
            hold = connection.execute(
                text(f"""INSERT INTO predictq.holds ({columns}, reason, actor) VALUES (:a, :b, 'r', 'a')
                         RETURNING id"""),
                values,
            ).scalar_one()
        with pytest.raises(ClientHeld) as refused:
            ask(engine, key)
        assert str(PERSON) not in str(refused.value)
        assert refused.value.hold_id == hold
        if columns.startswith("client_key"):
            ask(engine, key_of(engine, 99))
        with transaction(engine) as connection:
            connection.execute(
                text("UPDATE predictq.holds SET released_at = now(), client_key = NULL WHERE id = :id"), {"id": hold}
            )


@pytest.mark.parametrize(
    ("storage", "kind", "written", "key"),
    [
        ("uuid", "uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("int8", "bigint", "007", 7),
        ("text", "numeric", "1.10", "1.1"),
    ],
)
def test_a_hold_for_all_sources_stands_however_its_key_is_written(
    engine: Engine, storage: str, kind: str, written: str, key: Any
) -> None:
    """An erasure is refused, and retention keeps her rows, though the source writes the key otherwise."""
    add_model(engine)
    source_id = add_source(engine, "things", storage)
    with transaction(engine) as connection:
        columns = json.dumps([{"name": "code", "type": kind}])
        connection.execute(
            text("UPDATE predictq.sources SET key_columns = CAST(:columns AS jsonb) WHERE id = :id"),
            {"columns": columns, "id": source_id},
        )
        connection.execute(
            text("INSERT INTO predictq.holds (client_key, reason, actor) VALUES (:key, 'r', 'a')"), {"key": written}
        )
    batch_id, job_id = add_page(engine, source_id, storage, [key, key])
    held = key_of(engine, written, "things")
    with pytest.raises(ClientHeld), transaction(engine) as connection:
        refuse_held(connection, held)
    with transaction(engine) as connection:
        assert [hold.reason for hold in holds_on(connection, held)] == ["r"]
        kept = read_kept(connection, read_ranges(connection, settle_seconds=0))
    assert kept.jobs == {job_id}
    assert kept.rows == {batch_id: {0, 1}}


def test_a_hold_that_comes_after_the_call_ends_the_erasure(engine: Engine, key: ClientKey) -> None:
    """An erasure that waits ends as failed, says which hold it met, and forgets the key."""
    asked = ask(engine, key)
    with transaction(engine) as connection:
        connection.execute(
            text("INSERT INTO predictq.holds (client_key, reason, actor) VALUES (:key, 'r', 'a')"), {"key": key.text}
        )
    Eraser(as_upkeep(engine), None).erase(asked.id)
    ended = erasure(engine, asked.id)
    assert ended.status == "failed"
    assert "Hold 1" in (ended.error or "")
    assert audited(engine) == ["erasure.failed"]


def audited(engine: Engine) -> list[str]:
    with autocommit(engine) as connection:
        return list(connection.execute(text("SELECT action FROM predictq.audit_log ORDER BY id")).scalars())


def test_a_repeated_call_is_told_that_it_is_gone(engine: Engine, key: ClientKey) -> None:
    """The payload's hash is forgotten, so a replayed Idempotency-Key answers Erased; one made of hers is not shown."""
    single = single_job(engine, PERSON, idempotency_key="k1", payload_hash="ab")
    named = single_job(engine, PERSON, idempotency_key=f"client-{PERSON}", payload_hash="cd")
    other = single_job(engine, 5, idempotency_key="k2", payload_hash="ef")
    with autocommit(engine) as connection:
        accept_singles(connection, [single, named, other])
    bulk = bulk_job(engine, batch_rows=10, idempotency_key="k3", payload_hash="01")
    accept_keys(engine, bulk, ListedIds([PERSON]), 1)
    erase(engine, key)
    with autocommit(engine) as connection:
        again = [replace(item, job_id=uuid7()) for item in (single, named, other)]
        gone, too, there = accept_singles(connection, again)
    assert isinstance(gone, Erased)
    assert isinstance(too, Erased)
    assert not isinstance(there, Exception)
    with pytest.raises(Erased):
        accept_keys(engine, bulk, ListedIds([PERSON]), 1)
    assert str(PERSON) not in everything(engine)
    assert audited(engine) == ["erasure.done"]


def test_plans_are_claimed_anew_and_keep_no_key_of_hers(engine: Engine, key: ClientKey) -> None:
    """A plan at work loses its claim; one that stands at her key goes on after the key before it."""
    job_id = uuid7()
    with transaction(engine) as connection:
        for statement in _PLAN:
            connection.execute(text(statement), {"job": str(job_id), "person": PERSON, "source": key.source.id})
    (held,) = claim(engine, Queue.PLAN, worker="planner", lease_seconds=600)
    assert held.planned_key == key.text
    erase(engine, key)
    (again,) = claim(engine, Queue.PLAN, worker="planner", lease_seconds=600)
    assert again.fence == held.fence + 2
    assert again.attempt == 1
    assert again.planned_key == "17"
    assert again.planned_rows == 3
    assert str(PERSON) not in everything(engine)


_PLAN = (
    """INSERT INTO predictq.prediction_batches (id, queue, job_id, owner, model_version_id, request_count, planned_key,
       planned_rows) VALUES (nextval('predictq.batch_ids'), 'plan', :job, 'o', 1, 0, CAST(:person AS text), 3)""",
    """INSERT INTO predictq.jobs (id, kind, owner, model_version_id, source_id, first_batch_id, selection)
       VALUES (:job, 'bulk', 'o', 1, :source, 1, '{"where": {}}')""",
    """INSERT INTO predictq.prediction_batches (id, queue, job_id, owner, model_version_id, request_count)
       VALUES (nextval('predictq.batch_ids'), 'bulk', :job, 'o', 1, 3)""",
    """INSERT INTO predictq.batch_requests (batch_id, request_count, source_id, job_id, keys_int8)
       VALUES (currval('predictq.batch_ids'), 3, :source, :job, ARRAY[3, 17, :person])""",
)


def test_filters_names_errors_errands_and_files_are_reached(engine: Engine, key: ClientKey, scorer: Scorer) -> None:
    """Everything beside the pages that could name her is rewritten or deleted; what cannot is kept."""
    bulk = submit_bulk(engine, [PERSON, 1])
    score(scorer, Queue.BULK)
    kept, packed, new, selected = uuid7(), uuid7(), uuid7(), uuid7()
    with transaction(engine) as connection:
        for statement in _ELSEWHERE:
            connection.execute(
                text(statement),
                {"job": str(bulk.job_id), "key": key.text, "source": key.source.id, "kept": str(kept),
                 "packed": str(packed), "new": str(new), "selected": str(selected), "csv": b"client_id\n5\n",
                 "where": json.dumps({"where": {"client_id": [5, PERSON], "age": 41}})},
            )  # fmt: skip
    erase(engine, key)
    shown = everything(engine)
    assert str(PERSON) not in shown
    with transaction(engine) as connection:
        left = connection.execute(text("SELECT id FROM predictq.uploads")).scalars().all()
        selection = connection.execute(
            text("SELECT selection FROM predictq.jobs WHERE id = :id"), {"id": str(selected)}
        ).scalar_one()
        counts = connection.execute(
            text("SELECT (SELECT count(*) FROM predictq.errands), (SELECT count(*) FROM predictq.exports)")
        ).one()
    assert [UUID(str(item)) for item in left] == [kept]
    assert selection == {"where": {"client_id": [5], "age": 41}}
    assert tuple(counts) == (1, 0)


_ELSEWHERE = (
    "UPDATE predictq.jobs SET name = 'of ' || :key, error_detail = 'bad ' || :key WHERE id = :job",
    """INSERT INTO predictq.jobs (id, kind, owner, model_version_id, source_id, first_batch_id, selection)
       VALUES (:selected, 'bulk', 'o', 1, :source, 1, CAST(:where AS jsonb))""",
    """INSERT INTO predictq.errands (id, kind, owner, arguments, status, result)
       SELECT gen_random_uuid(), 'look_at_upload', 'o', jsonb_build_object('order', jsonb_build_object('upload_id', f)),
              status, jsonb_build_object('examples', jsonb_build_array(seen))
       FROM (VALUES (CAST(:kept AS text), 'done', '5'), (:new, 'done', 'a ' || :key), (:packed, 'running', :key))
           AS looks (f, status, seen)""",
    """INSERT INTO predictq.uploads (id, owner, media_type, expires_at)
       VALUES (:kept, 'o', 'text/csv', now()), (:packed, 'o', 'application/vnd.apache.parquet', now()),
              (:new, 'o', 'text/csv; charset=utf-8', now())""",
    """INSERT INTO predictq.upload_pieces (upload_id, number, content)
       VALUES (:kept, 0, :csv), (:packed, 0, :csv), (:new, 0, convert_to('client_id,' || left(:key, 9), 'UTF8')),
              (:new, 1, convert_to(substr(:key, 10), 'UTF8'))""",
    """INSERT INTO predictq.exports (id, job_id, owner, media_type, expires_at)
       VALUES (gen_random_uuid(), :job, 'o', 'text/csv', now()), (gen_random_uuid(), NULL, 'o', 'text/csv', now())""",
)


@pytest.mark.parametrize(
    ("storage", "given", "stored"),
    [
        ("text", "ZQXJ-KVW-äöü", "ZQXJ-KVW-äöü"),
        ("uuid", "{5A8F3C1E-77D2-4B61-9C0A-1F2E3D4C5B6A}", "5a8f3c1e-77d2-4b61-9c0a-1f2e3d4c5b6a"),
    ],
)
@pytest.mark.parametrize("rows", [3, 200])
def test_keys_of_other_types(engine: Engine, storage: str, given: str, stored: str, rows: int) -> None:
    """Text and uuid keys are found and erased as integers are, in small and in large pages, spelling and words too."""
    add_model(engine)
    source = add_source(engine, "other", storage)
    others = [f"00000000-0000-4000-8000-{n:012}" for n in range(rows - 1)]
    batch, _ = add_page(
        engine, source, storage, [*others, stored], words=["same"] * (rows - 1) + ["OnlyHers"],
        spelled=json.dumps({str(rows - 1): given, "0": "another"}),
    )  # fmt: skip
    add_page(engine, source, storage, others)
    key = key_of(engine, given, "other")
    assert [tuple(place) for place in places(engine, key)] == [(batch, (rows - 1,))]
    done = erase(engine, key)
    assert (done.pages, done.answers) == (1, 1)
    assert places(engine, key) == []
    shown = everything(engine)
    assert stored not in shown
    assert given not in shown
    with transaction(engine) as connection:
        page = connection.execute(
            text("""SELECT o.features, r.spelled FROM predictq.batch_outputs o JOIN predictq.batch_requests r
                    USING (batch_id) WHERE batch_id = :id"""),
            {"id": batch},
        ).one()
    assert page.spelled == {"0": "another"}
    assert [place.rows for place in places(engine, key_of(engine, others[0], "other"))] == [(0,), (0,)]


@pytest.mark.parametrize("rows", [3, 200])
def test_what_her_model_did_not_know_goes_with_her(engine: Engine, rows: int) -> None:
    """That a row of hers had an unknown category is forgotten; that others had one is not, nor how many there were."""
    add_model(engine)
    source = add_source(engine, "other", "text")
    add_page(engine, source, "text", [*(f"k{n}" for n in range(rows - 1)), "hers"])
    notes = {
        "unknown_categories": {"a": 2, "b": 1},
        "unknown_rows": {"a": pack_rows(np.array([1, rows - 1]), rows), "b": pack_rows(np.array([1]), rows)},
    }
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        connection.execute(text("UPDATE predictq.batch_outputs SET notes = :notes"), {"notes": json.dumps(notes)})

    def noted() -> list[Any]:
        query = text("SELECT predictq.unknown_categories(notes, n) FROM predictq.batch_outputs, unnest(:rows) n")
        with transaction(engine) as connection:
            return list(connection.execute(query, {"rows": [0, 1, rows - 1]}).scalars())

    assert noted() == [[], ["a", "b"], ["a"]]
    erase(engine, key_of(engine, "hers", "other"))
    assert noted() == [[], ["a", "b"], []]
    with transaction(engine) as connection:
        counts = connection.execute(text("SELECT notes -> 'unknown_categories' FROM predictq.batch_outputs"))
        assert counts.scalar_one() == notes["unknown_categories"]


def test_asking_twice_is_asking_once(engine: Engine, key: ClientKey) -> None:
    """A second call for the same person, while the first is open, leads to the first; afterwards it is a new one."""
    first = ask(engine, key)
    assert ask(engine, key).id == first.id
    Eraser(as_upkeep(engine), None).erase(first.id)
    assert ask(engine, key).id != first.id


def test_the_reason_must_not_name_her(engine: Engine, key: ClientKey) -> None:
    """A reason stays in the record and in the audit log, so it may not hold the key."""
    with pytest.raises(ClientKeyRefused):
        ask(engine, key, reason=f"letter of client {PERSON}")


def test_an_error_on_the_way_does_not_name_her(engine: Engine, key: ClientKey) -> None:
    """Whatever PostgreSQL says, the error that leaves the eraser names neither her nor its statement."""
    asked = ask(engine, key)
    with transaction(engine) as connection:
        connection.execute(
            text("ALTER TABLE predictq.erasures ADD CONSTRAINT never CHECK (step <> 'pages' OR client_key IS NULL)")
        )
    with pytest.raises(ErasureInterrupted) as stopped:
        Eraser(as_upkeep(engine), None).erase(asked.id)
    assert "23514" in str(stopped.value)
    assert str(PERSON) not in f"{stopped.value}{stopped.value.__cause__}"
    assert stopped.value.__suppress_context__
