"""Finishing: several batches end in one transaction, each under its own fence; one that cannot costs no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine, text

from shared.batches.claims import MOST_INTERACTIVE, Answers, Claim, Counts, claim, finish, record_failure
from shared.jobs.accepting.singles import Accepted
from shared.postgres.engine import autocommit, transaction
from shared.status import JobStatus, Queue
from tests.integration.jobs.jobs_support import cancel, page_of, take
from tests.integration.worker.scoring_support import features_of
from tests.models import TestModel, right_answer
from tests.roles import as_worker
from tests.support import add_clients, add_model, change_client, job_of, submit_bulk, submit_singles
from worker.scoring.scorer import Scorer


@pytest.fixture
def ready(engine: Engine) -> Engine:
    """Twenty clients and a live model, which does not like the age of 60."""
    add_clients(engine, 20)
    add_model(engine, TestModel(poisonous=True))
    return engine


def submit(engine: Engine, batches: int) -> list[Accepted]:
    """So many batches of one single job each, for clients 1, 2, …"""
    return [submit_singles(engine, [number + 1])[0] for number in range(batches)]


def take_all(engine: Engine) -> list[Claim]:
    return claim(as_worker(engine), Queue.INTERACTIVE, worker="w", lease_seconds=600)


def end(engine: Engine, pages: Sequence[tuple[Claim, Answers]]) -> dict[int, Counts]:
    """Finish as a worker does."""
    return finish(as_worker(engine), pages)


def statuses(engine: Engine, jobs: list[Accepted]) -> list[str]:
    return [job_of(engine, job.job_id).status.value for job in jobs]


def outputs(engine: Engine) -> list[Any]:
    with autocommit(engine) as connection:
        query = "SELECT batch_id, fence, xid::text AS xid, succeeded, failed FROM predictq.batch_outputs ORDER BY 1"
        return list(connection.execute(text(query)))


def test_sixteen_batches_end_in_one_transaction(ready: Engine, scorer: Scorer) -> None:
    """One claim, one call of the model, one commit; each job has its own answer."""
    jobs = submit(ready, MOST_INTERACTIVE)
    assert scorer.work(Queue.INTERACTIVE) == ["finished"] * MOST_INTERACTIVE
    assert len({row.xid for row in outputs(ready)}) == 1
    for number, job in enumerate(jobs, 1):
        assert job_of(ready, job.job_id).probability == right_answer(**features_of(number))


def test_each_batch_ends_under_its_own_fence(ready: Engine) -> None:
    """Of batches finished together, those claimed anew or ended meanwhile are left out; the others are committed."""
    jobs = submit(ready, 4)
    held = take_all(ready)
    record_failure(ready, held[1], "lost", retry_after_seconds=0)
    anew = take(ready, Queue.INTERACTIVE)
    assert cancel(ready, jobs[2].job_id).status is JobStatus.CANCELLED
    record_failure(ready, held[3], "lost", retry_after_seconds=0)
    other = take(ready, Queue.INTERACTIVE)
    end(ready, [(other, page_of(other, errors=1))])
    ended = end(ready, [(one, page_of(one)) for one in held])
    assert ended == {held[0].batch_id: Counts(1, 0), held[2].batch_id: Counts(0, 0)}
    assert statuses(ready, jobs) == ["succeeded", "running", "cancelled", "failed"]
    assert end(ready, [(anew, page_of(anew))]) == {anew.batch_id: Counts(1, 0)}
    assert statuses(ready, jobs) == ["succeeded", "succeeded", "cancelled", "failed"]
    assert [row.fence for row in outputs(ready)] == [1, 2, 1, 2]


def test_a_bulk_batch_that_was_cancelled_leaves_no_answer(ready: Engine) -> None:
    """Its row of open work is gone: the worker that still has it writes nothing."""
    job = submit_bulk(ready, [1, 2], batch_rows=1)
    held = take(ready)
    cancel(ready, job.job_id)
    assert end(ready, [(held, page_of(held))]) == {}
    assert [(row.succeeded, row.failed) for row in outputs(ready)] == [(0, 0), (0, 0)]


def test_an_answer_comes_once(ready: Engine) -> None:
    """Finishing again, or twice in one call, changes nothing."""
    submit(ready, 1)
    (held,) = take_all(ready)
    assert end(ready, [(held, page_of(held)), (held, page_of(held, errors=1))]) == {held.batch_id: Counts(1, 0)}
    before = outputs(ready)
    assert end(ready, [(held, page_of(held, errors=1))]) == {}
    assert outputs(ready) == before


def test_what_is_refused_leaves_no_part(ready: Engine) -> None:
    """When PostgreSQL refuses one of several pages, nothing of the call is written, and all claims still hold."""
    submit(ready, 2)
    first, second = take_all(ready)
    short = page_of(second)
    with pytest.raises(psycopg2.IntegrityError, match="answer_or_cancelled"):
        end(ready, [(first, page_of(first)), (second, type(short)(values="{}", threshold=0.5))])
    assert outputs(ready) == []
    assert set(end(ready, [(first, page_of(first)), (second, page_of(second))])) == {
        first.batch_id,
        second.batch_id,
    }


@pytest.mark.parametrize("awkward", ["a \x00 in it", "half a pair \ud800"])
def test_a_batch_that_cannot_be_stored_costs_no_other(
    ready: Engine, scorer: Scorer, monkeypatch: pytest.MonkeyPatch, awkward: str
) -> None:
    """A text that PostgreSQL or its driver refuses is its own batch's trouble: the others of the claim are answered."""
    jobs = submit(ready, 4)
    change_client(ready, 3, age=60)
    monkeypatch.setattr("worker.scoring.prediction.storable", lambda _: awkward)
    assert sorted(scorer.work(Queue.INTERACTIVE)) == ["failed", "finished", "finished", "finished"]
    assert statuses(ready, jobs) == ["succeeded", "succeeded", "running", "succeeded"]
    with transaction(ready) as connection:
        row = connection.execute(text("SELECT id, last_error FROM predictq.prediction_batches")).one()
        assert row.id == jobs[2].batch_ids[0]
        assert row.last_error
        connection.execute(text("UPDATE predictq.prediction_batches SET lease_until = now()"))
    monkeypatch.undo()
    assert scorer.work(Queue.INTERACTIVE) == ["finished"]
    record = job_of(ready, jobs[2].job_id)
    assert (record.status, record.error_code) == (JobStatus.FAILED, "model_failed")


def test_batches_of_two_versions_share_a_claim_and_keep_their_versions(ready: Engine, scorer: Scorer) -> None:
    """Single jobs accepted around a promotion are claimed together, and each is answered by its own version."""
    before = submit(ready, 2)
    newer = add_model(ready, TestModel(offset=0.0005))
    after = submit(ready, 2)
    assert scorer.work(Queue.INTERACTIVE) == ["finished"] * 4
    for jobs, offset in ((before, 0.0), (after, 0.0005)):
        for number, job in enumerate(jobs, 1):
            record = job_of(ready, job.job_id)
            assert record.probability == right_answer(**features_of(number)) + offset
            assert (record.model_version == newer) == (offset > 0)
