"""Claims: the database picks what comes next; single predictions by age, the rest owner by owner, model by model."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import Engine, text

from model.registration import SAMPLE_MODEL
from shared.batches.claims import MOST_INTERACTIVE, Claim, claim, record_failure
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.models.registry import promote_version
from shared.postgres.engine import transaction
from shared.status import Queue
from tests.integration.jobs.jobs_support import answer, take
from tests.roles import as_worker
from tests.support import OWNER, add_model, bulk_job, submit_bulk, submit_singles


def run(engine: Engine, statement: str, **values: object) -> None:
    with transaction(engine) as connection:
        connection.execute(text(statement), values)


def submit(engine: Engine, owner: str, batches: int) -> list[int]:
    """A bulk job of one row per batch; its batches."""
    accepted = accept_keys(engine, bulk_job(engine, owner=owner, batch_rows=1), ListedIds([1] * batches), batches)
    return list(accepted.batch_ids)


def claim_all(engine: Engine, queue: Queue = Queue.BULK, **options: Sequence[str]) -> list[Claim]:
    """Claim until nothing more is given."""
    found: list[Claim] = []
    while held := claim(as_worker(engine), queue, worker="w", lease_seconds=600, **options):  # type: ignore[arg-type]
        found += held
    return found


def test_one_claim_takes_sixteen_single_batches_the_oldest_first(ready: Engine) -> None:
    """Each with its own fence and rows; the next claim takes what is left, a third nothing."""
    batches = [submit_singles(ready, [n % 10 + 1])[0].batch_ids[0] for n in range(MOST_INTERACTIVE + 2)]
    taken = [claim(as_worker(ready), Queue.INTERACTIVE, worker="w", lease_seconds=600) for _ in range(3)]
    assert [[held.batch_id for held in each] for each in taken] == [batches[:16], batches[16:], []]
    assert {(held.fence, held.attempt, held.request_count, held.job_id) for held in taken[0]} == {(1, 1, 1, None)}
    assert [held.keys_int8 for held in taken[0]] == [f"{{{n % 10 + 1}}}" for n in range(16)]


def test_a_batch_whose_lease_ran_out_is_claimed_alone_and_first(ready: Engine) -> None:
    """Its rows may be what ended its worker: no other batch is drawn into the next try."""
    submit_singles(ready, [1])
    lost = take(ready, Queue.INTERACTIVE)
    record_failure(ready, lost, "worker died", retry_after_seconds=0)
    waiting = [submit_singles(ready, [n])[0].batch_ids[0] for n in (2, 3)]
    first, second = (claim(as_worker(ready), Queue.INTERACTIVE, worker="w", lease_seconds=600) for _ in range(2))
    assert [(held.batch_id, held.fence, held.attempt) for held in first] == [(lost.batch_id, 2, 2)]
    assert [held.batch_id for held in second] == waiting


def test_a_bulk_claim_takes_one_batch(ready: Engine) -> None:
    """A bulk batch is work enough, however many a claim may take."""
    (first, _) = submit(ready, OWNER, 2)
    (held,) = claim(as_worker(ready), Queue.BULK, worker="w", lease_seconds=600, most=16)
    assert held.batch_id == first


def test_owners_take_turns_whoever_came_first(ready: Engine) -> None:
    """An owner with a long job holds up another's by one batch; when hers is done the rest goes on; then by age."""
    long = submit(ready, "ann", 4)
    assert take(ready).batch_id == long[0]
    bob, cid = submit(ready, "bob", 2), submit(ready, "cid", 1)
    later = submit(ready, "ann", 1)
    assert [held.batch_id for held in claim_all(ready)] == [bob[0], cid[0], long[1], bob[1], long[2], long[3], *later]


def test_the_models_of_an_owner_take_turns(ready: Engine) -> None:
    """Within an owner the versions that her jobs are pinned to take turns, and each goes by age."""
    first = submit(ready, "ann", 3)
    newer = add_model(ready)
    second = submit(ready, "ann", 2)
    bob = submit(ready, "bob", 1)
    claims = claim_all(ready)
    assert [held.batch_id for held in claims] == [first[0], bob[0], second[0], first[1], second[1], first[2]]
    assert [held.model_version_id == newer for held in claims] == [False, True, True, False, True, False]


def test_work_that_a_worker_cannot_load_is_left_to_others(ready: Engine) -> None:
    """A worker takes what needs no more than it has, and the models that it was given; the rest holds up nothing."""
    submit(ready, "ann", 1)
    single = submit_singles(ready, [1])[0].batch_ids[0]
    run(ready, "INSERT INTO predictq.models (name, task) VALUES ('other', 'binary')")
    heavy = add_model(ready, promote=False)
    run(ready, "ALTER TABLE predictq.model_versions DISABLE TRIGGER immutable_model")
    run(ready, "UPDATE predictq.model_versions SET requirements = 'torch', model = 'other' WHERE id = :id", id=heavy)
    for table in ("prediction_batches", "jobs"):
        run(ready, f"UPDATE predictq.{table} SET model_version_id = :id", id=heavy)
    run(ready, "UPDATE predictq.prediction_batches SET requirements = 'torch'")
    plain = submit(ready, "bob", 1)
    assert [held.batch_id for held in claim_all(ready, models=[SAMPLE_MODEL])] == plain
    for queue in (Queue.BULK, Queue.INTERACTIVE):
        assert claim_all(ready, queue) == []
        assert claim_all(ready, queue, requirements=["", "torch"], models=[SAMPLE_MODEL]) == []
    (held,) = claim_all(ready, Queue.INTERACTIVE, requirements=["torch"], models=["other"])
    assert held.batch_id == single
    record_failure(ready, held, "worker died", retry_after_seconds=0)
    assert claim_all(ready, Queue.INTERACTIVE) == []
    assert claim_all(ready, Queue.INTERACTIVE, requirements=["torch"], models=[SAMPLE_MODEL]) == []
    assert len(claim_all(ready, Queue.INTERACTIVE, requirements=["torch"])) == 1
    assert len(claim_all(ready, requirements=["torch"])) == 1


@pytest.mark.parametrize("paused", [{"queue": "bulk"}, {"model": SAMPLE_MODEL}, {"queue": "bulk", "model": "default"}])
def test_a_pause_holds_back_and_loses_nothing(ready: Engine, paused: dict[str, str]) -> None:
    """Nothing new is claimed, nor what a dead worker left; what is in hand is finished; afterwards all goes on."""
    waiting = submit(ready, OWNER, 3)
    in_hand, lost = take(ready), take(ready)
    record_failure(ready, lost, "worker died", retry_after_seconds=0)
    columns, values = ", ".join(paused), ", ".join(f":{name}" for name in paused)
    run(ready, f"INSERT INTO predictq.pauses ({columns}, actor) VALUES ({values}, 'me')", **paused)
    single = submit_singles(ready, [1])[0]
    assert claim_all(ready) == []
    assert [held.batch_id for held in claim_all(ready, Queue.INTERACTIVE)] == (
        [] if set(paused) == {"model"} else list(single.batch_ids)
    )
    assert answer(ready, in_hand) is not None
    run(ready, "DELETE FROM predictq.pauses")
    assert [(held.batch_id, held.attempt) for held in claim_all(ready)] == [(waiting[1], 2), (waiting[2], 1)]


def test_a_pause_of_another_queue_or_model_holds_nothing_back(ready: Engine) -> None:
    """A pause is of what it names."""
    batches = submit(ready, OWNER, 1)
    run(ready, "INSERT INTO predictq.models (name, task) VALUES ('other', 'binary')")
    run(
        ready,
        "INSERT INTO predictq.pauses (queue, model, actor) VALUES ('interactive', NULL, 'me'), (NULL, 'other', 'me')",
    )
    assert [held.batch_id for held in claim_all(ready)] == batches


@pytest.mark.parametrize("queue", [Queue.INTERACTIVE, Queue.BULK])
def test_no_batch_is_claimed_by_two(ready: Engine, queue: Queue) -> None:
    """Four workers that claim at once share the batches out; nobody waits for another's transaction."""
    for number in range(40):
        if queue is Queue.BULK:
            submit(ready, f"owner {number % 3}", 1)
        else:
            submit_singles(ready, [1])
    with transaction(ready) as connection:  # one batch is in somebody's hands, and stays so
        locked = connection.execute(
            text("SELECT id FROM predictq.prediction_batches ORDER BY id LIMIT 1 FOR UPDATE")
        ).scalar_one()
        taken: list[int] = []
        start = threading.Barrier(3)

        def work() -> None:
            start.wait()
            taken.extend(held.batch_id for held in claim_all(ready, queue))

        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
        assert not any(worker.is_alive() for worker in workers), "a claim waited for a lock"
    assert len(taken) == len(set(taken)) == 39
    assert locked not in taken
    assert [held.batch_id for held in claim_all(ready, queue)] == [locked]


def test_a_job_of_a_version_that_went_out_of_service_is_still_claimed(ready: Engine) -> None:
    """Which version is live matters to new jobs only."""
    batches = submit(ready, OWNER, 1)
    with transaction(ready) as connection:
        promote_version(connection, add_model(ready))
    (held,) = claim_all(ready)
    assert (held.batch_id, held.model_version_id) == (batches[0], 1)
    assert submit_bulk(ready, [1]).model_version == 2
