"""The end of a bulk job: written exactly once, by whoever finishes last, however many finish at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from shared.batches.claims import claim
from shared.config import Settings
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.jobs.accepting.singles import Accepted
from shared.jobs.records import JobRecord, cancel_job
from shared.postgres.engine import make_engine, transaction
from shared.status import JobStatus, Queue
from tests.integration.jobs.jobs_support import answer, cancel, take
from tests.roles import as_worker
from tests.support import OWNER, add_clients, add_model, bulk_job, job_of, wait_until

_COUNT_ENDS = """
CREATE TABLE public.ends (job_id uuid, status text);
CREATE FUNCTION public.note_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.ends VALUES (NEW.id, NEW.status);
    RETURN NEW;
END $$;
CREATE TRIGGER note_end AFTER UPDATE OF status ON predictq.jobs FOR EACH ROW EXECUTE FUNCTION public.note_end();
"""


@pytest.fixture
def ready(settings: Settings) -> Iterator[Engine]:
    """Ten clients, a live model, connections for nine, and a note of each end that is written."""
    engine = make_engine(settings, application_name="test", pool_size=10)
    add_clients(engine, 10)
    add_model(engine)
    with transaction(engine) as connection:
        connection.exec_driver_sql(_COUNT_ENDS)
    yield engine
    engine.dispose()


def submit(engine: Engine, batches: int) -> Accepted:
    """A bulk job of one row per batch."""
    return accept_keys(engine, bulk_job(engine, batch_rows=1), ListedIds([1] * batches), batches)


def ends(engine: Engine, job_id: UUID) -> list[str]:
    """Each status that was ever written to a job."""
    with transaction(engine) as connection:
        query = text("SELECT status FROM public.ends WHERE job_id = :id")
        return list(connection.execute(query, {"id": job_id}).scalars())


def together(*tasks: Callable[[], object]) -> None:
    """Run tasks in threads that start at once."""
    start = threading.Barrier(len(tasks))
    failures: list[BaseException] = []

    def run(task: Callable[[], object]) -> None:
        start.wait()
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)


def finish_all(engine: Engine) -> None:
    """What a worker does until nothing waits; every third batch comes out as an error."""
    while held := claim(as_worker(engine), Queue.BULK, worker="w", lease_seconds=600):
        answer(engine, held[0], errors=int(held[0].batch_id % 3 == 0))


def assert_ended(engine: Engine, accepted: Accepted, *expected: JobStatus) -> JobRecord:
    """The job has ended once, in one of these ways, with counts that are those of its pages."""
    job = job_of(engine, accepted.job_id)
    assert ends(engine, accepted.job_id) == [job.status]
    assert job.status in expected
    assert job.rows_left == 0
    assert job.finished_at is not None
    with transaction(engine) as connection:
        query = text("""SELECT sum(succeeded), sum(failed), sum(cancelled) FROM predictq.batch_outputs
                        WHERE job_id = :id""")
        counts = tuple(connection.execute(query, {"id": accepted.job_id}).one())
    assert counts == (job.succeeded, job.failed, job.cancelled)
    return job


@pytest.mark.parametrize(("workers", "batches", "times"), [(2, 2, 15), (8, 8, 8), (8, 300, 1)])
def test_finishers_at_once_write_one_end(ready: Engine, workers: int, batches: int, times: int) -> None:
    """Two or eight that finish the last batches at the same time, of small jobs and of one of 300 batches."""
    for _ in range(times):
        accepted = submit(ready, batches)
        together(*[lambda: finish_all(ready)] * workers)
        job = assert_ended(ready, accepted, JobStatus.SUCCEEDED)
        assert job.failed == sum(batch_id % 3 == 0 for batch_id in accepted.batch_ids)


@pytest.mark.parametrize("batches", [2, 300])
def test_a_cancel_beside_the_last_finish_is_one_end(ready: Engine, batches: int) -> None:
    """Whether the cancel or the finish was first, the job ends once, and its counts are those of its pages."""
    for _ in range(10 if batches == 2 else 1):
        accepted = submit(ready, batches)
        others = [take(ready) for _ in range(batches - 1)]
        last = take(ready)
        for held in others:
            answer(ready, held)
        together(lambda held=last: answer(ready, held), lambda job=accepted: cancel(ready, job.job_id))  # type: ignore[misc]
        job = assert_ended(ready, accepted, JobStatus.SUCCEEDED, JobStatus.CANCELLED)
        assert (job.cancelled == 1) == (job.status is JobStatus.CANCELLED)


def test_a_cancel_beside_eight_finishers_is_one_end(ready: Engine) -> None:
    """In the middle of 300 batches: what was answered stays, the rest is cancelled, and no row is counted twice."""
    accepted = submit(ready, 300)
    together(*[lambda: finish_all(ready)] * 8, lambda: _cancel_midway(ready, accepted))
    job = assert_ended(ready, accepted, JobStatus.CANCELLED)
    assert job.cancelled > 0
    assert job.succeeded > 0


def _cancel_midway(engine: Engine, accepted: Accepted) -> None:
    wait_until(lambda: job_of(engine, accepted.job_id).succeeded > 5, what="some answers")
    cancel(engine, accepted.job_id)


def test_the_last_finisher_waits_for_the_one_before_it(ready: Engine) -> None:
    """A batch that is ended in a transaction still open is seen as open by nobody who could end the job."""
    accepted = submit(ready, 2)
    first, second = take(ready), take(ready)
    with transaction(ready) as connection:
        rest = ", ".join(["NULL"] * 8)  # no errors, features, hashes
        connection.execute(
            text(f"SELECT * FROM predictq.finish(:id, 1, '{{0.5}}', NULL, NULL, 0.5, {rest})"), {"id": first.batch_id}
        )
        other = threading.Thread(target=answer, args=(ready, second))
        other.start()
        wait_until(lambda: _waits_for_a_lock(ready) or not other.is_alive(), what="the second finisher waits")
        assert ends(ready, accepted.job_id) == []
    other.join(30)
    assert_ended(ready, accepted, JobStatus.SUCCEEDED)


def _waits_for_a_lock(engine: Engine) -> bool:
    with transaction(engine) as connection:
        query = """SELECT count(*) FROM pg_stat_activity
                   WHERE wait_event_type = 'Lock' AND datname = current_database()"""
        return bool(connection.execute(text(query)).scalar_one())


def test_a_job_does_not_end_before_its_last_batch(ready: Engine) -> None:
    """However many are done, also near the bound above which a finisher does not look."""
    accepted = submit(ready, 259)
    for number in range(258):
        answer(ready, take(ready))
        if number in (0, 1, 2, 257):
            assert ends(ready, accepted.job_id) == []
            assert job_of(ready, accepted.job_id).status is JobStatus.RUNNING
    answer(ready, take(ready))
    assert_ended(ready, accepted, JobStatus.SUCCEEDED)


def test_an_ended_job_does_not_end_again(ready: Engine) -> None:
    """Neither a late cancel nor another call changes an end, its counts or its time."""
    accepted = submit(ready, 1)
    answer(ready, take(ready))
    before = assert_ended(ready, accepted, JobStatus.SUCCEEDED)
    with transaction(ready) as connection:
        again = connection.execute(text("SELECT predictq.end_job(:id)"), {"id": accepted.job_id}).scalar_one()
        cancel_job(connection, accepted.job_id, OWNER)
    assert again is None
    assert assert_ended(ready, accepted, JobStatus.SUCCEEDED) == before


@pytest.mark.parametrize(("errors", "status"), [(0, "succeeded"), (1, "succeeded"), (2, "failed")])
def test_how_a_job_ends_is_told_by_its_rows(ready: Engine, errors: int, status: str) -> None:
    """It has failed when no row has an answer, and succeeded when one has."""
    accepted = accept_keys(ready, bulk_job(ready, batch_rows=2), ListedIds([1, 2]), 2)
    answer(ready, take(ready), errors=errors)
    job = assert_ended(ready, accepted, JobStatus(status))
    assert (job.succeeded, job.failed) == (2 - errors, errors)
