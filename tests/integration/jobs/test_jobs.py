"""Jobs: their states, lists, owners and cancels; keys, models, and an absent database."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, text
from uuid_utils.compat import uuid7

from shared.access.api_keys import KeyUnknown, create_key, find_key, list_keys, revoke_key
from shared.batches.claims import Counts, claim
from shared.config import Settings
from shared.errors import DatabaseUnavailable, JobUnknown, ModelVersionUnknown, NoLiveModel, PredictionUnknown
from shared.jobs.accepting.singles import accept_singles
from shared.jobs.records import JobRecord, cancel_job, read_job
from shared.jobs.trace import read_trace
from shared.models.registry import get_version, list_versions, live_version, promote_version, read_artefact
from shared.postgres.engine import autocommit, make_engine, transaction
from shared.status import JobStatus, Queue
from tests.integration.jobs.jobs_support import answer, cancel, list_jobs, take
from tests.support import OWNER, add_model, job_of, single_job, submit_bulk, submit_singles, wait_until


def test_a_bulk_job_passes_through_its_states(ready: Engine) -> None:
    """Queued, running from the first claim to the last commit, then succeeded although a row failed."""
    accepted = submit_bulk(ready, [1, 2, 3], batch_rows=2)
    seen = [job_of(ready, accepted.job_id)]
    first, second = take(ready), take(ready)
    assert (first.batch_id, second.batch_id) == accepted.batch_ids
    seen.append(job_of(ready, accepted.job_id))
    answer(ready, second)
    seen.append(job_of(ready, accepted.job_id))
    answer(ready, first, errors=1)
    seen.append(job_of(ready, accepted.job_id))
    assert [job.status for job in seen] == ["queued", "running", "running", "succeeded"]
    assert [(job.succeeded, job.failed) for job in seen] == [(0, 0), (0, 0), (1, 0), (2, 1)]
    assert [job.finished_at is not None for job in seen] == [False, False, False, True]


def test_a_single_job_passes_through_its_states(ready: Engine) -> None:
    """A single job has its own end within the batch it shares."""
    bad, good = submit_singles(ready, [1, 2])
    assert job_of(ready, good.job_id).status is JobStatus.QUEUED
    held = take(ready, Queue.INTERACTIVE)
    assert job_of(ready, good.job_id).status is JobStatus.RUNNING
    answer(ready, held, errors=1)
    failed, succeeded = job_of(ready, bad.job_id), job_of(ready, good.job_id)
    assert (failed.status, failed.error_code, failed.label) == (JobStatus.FAILED, "model_failed", None)
    assert (succeeded.status, succeeded.probability, succeeded.label) == (JobStatus.SUCCEEDED, 0.25, 0)
    assert [job.finished_at is not None and job.started_at is not None for job in (failed, succeeded)] == [True, True]


def test_jobs_are_listed_newest_first_in_pages(ready: Engine) -> None:
    """Pages follow each other without gap or overlap, hold one owner's jobs, and can be of one status."""
    accepted = [submit_bulk(ready, [number]) for number in range(1, 8)]
    for _ in accepted[:3]:
        answer(ready, take(ready))
    with autocommit(ready) as connection:
        accept_singles(connection, [single_job(ready, 1, owner="stranger")])
        pages: list[JobRecord] = []
        while page := list_jobs(connection, OWNER, limit=3, before=pages[-1].job_id if pages else None):
            pages += page
        queued = list_jobs(connection, OWNER, limit=10, status=JobStatus.QUEUED)
    assert [job.job_id for job in pages] == [item.job_id for item in reversed(accepted)]
    assert [job.job_id for job in queued] == [item.job_id for item in reversed(accepted[3:])]


def test_another_owners_job_is_unknown(ready: Engine) -> None:
    """To a stranger a job, its cancel and its trace do not exist; to nobody exists what is no request id."""
    (job,) = submit_singles(ready, [1])
    assert job.request_id is not None
    with transaction(ready) as connection:
        with pytest.raises(JobUnknown):
            read_job(connection, job.job_id, "stranger")
        with pytest.raises(JobUnknown):
            cancel_job(connection, job.job_id, "stranger")
        with pytest.raises(PredictionUnknown):
            read_trace(connection, str(job.request_id), "stranger")
        with pytest.raises(JobUnknown):
            read_job(connection, uuid7(), OWNER)
        assert read_trace(connection, str(job.request_id), OWNER).job_id == job.job_id
        batch_id = job.request_id.batch_id
        for nobodys in (f"{batch_id}-1", f"{batch_id + 1}-0", f"{batch_id}", f"0{batch_id}-0", "9" * 30 + "-0", "'"):
            with pytest.raises(PredictionUnknown, match="looks like 1042-7"):
                read_trace(connection, nobodys, OWNER)


def test_a_single_is_cancelled_before_while_and_never_after_scoring(ready: Engine) -> None:
    """Before and while it is scored a cancel ends it; afterwards the answer stays. Twice is the same as once."""
    before, during, after = submit_singles(ready, [1, 2, 3])
    assert cancel(ready, before.job_id).status is JobStatus.CANCELLED
    held = take(ready, Queue.INTERACTIVE)
    first = cancel(ready, during.job_id)
    assert (first.status, first.cancelled, first.succeeded) == (JobStatus.CANCELLED, 1, 0)
    answer(ready, held)
    late = cancel(ready, after.job_id)
    assert (late.status, late.cancelled_at) == (JobStatus.SUCCEEDED, None)
    assert cancel(ready, before.job_id) == job_of(ready, before.job_id)
    assert cancel(ready, during.job_id).status is JobStatus.CANCELLED


def test_an_error_of_a_cancelled_single_is_not_told(ready: Engine) -> None:
    """A request cancelled while it is scored is cancelled and nothing else, though the model failed on it."""
    stopped, failed = submit_singles(ready, [1, 2])
    held = take(ready, Queue.INTERACTIVE)
    cancel(ready, stopped.job_id)
    assert answer(ready, held, errors=2) == Counts(succeeded=0, failed=1)
    jobs = [job_of(ready, stopped.job_id), job_of(ready, failed.job_id)]
    assert [(job.status, job.error_code) for job in jobs] == [("cancelled", None), ("failed", "model_failed")]
    with autocommit(ready) as connection:
        trace = read_trace(connection, str(stopped.request_id), OWNER)
    assert (trace.error_code, trace.answered_at) == (None, None)


def test_a_batch_of_cancelled_singles_needs_no_worker(ready: Engine) -> None:
    """When all its requests are cancelled in the queue, a batch is not scored."""
    jobs = submit_singles(ready, [1, 2])
    for job in jobs:
        cancel(ready, job.job_id)
    assert claim(ready, Queue.INTERACTIVE, worker="w", lease_seconds=1) == []
    assert [job_of(ready, job.job_id).status for job in jobs] == ["cancelled", "cancelled"]


def _waiting_for_locks(engine: Engine) -> int:
    with autocommit(engine) as connection:
        query = """SELECT count(*) FROM pg_stat_activity
                   WHERE wait_event_type = 'Lock' AND datname = current_database()"""
        return int(connection.execute(text(query)).scalar_one())


@pytest.mark.parametrize("kind", ["single", "bulk"])
def test_two_cancels_at_once_are_one(ready: Engine, settings: Settings, kind: str) -> None:
    """However two cancels interleave, both see the job cancelled and each row is counted once."""
    job = submit_singles(ready, [1, 2])[0] if kind == "single" else submit_bulk(ready, [1, 2, 3], batch_rows=1)
    seen: list[JobRecord] = []
    with transaction(ready) as connection:
        seen.append(cancel_job(connection, job.job_id, OWNER))
        other = threading.Thread(target=lambda: seen.append(cancel(ready, job.job_id)))
        other.start()
        wait_until(lambda: _waiting_for_locks(ready) > 0, what="the second cancel waits for the first")
    other.join()
    assert [record.status for record in seen] == ["cancelled", "cancelled"]
    assert [record.cancelled for record in seen] == [seen[0].total] * 2


def test_keys_are_made_found_and_revoked(engine: Engine) -> None:
    """A key opens until it is revoked; it is stored as a hash only; revoking twice says that there is none."""
    with transaction(engine) as connection:
        key, stored = create_key(connection, "me", is_admin=True, max_waiting_rows=5)
        other, _ = create_key(connection, "you")
        assert find_key(connection, key) == stored
        assert (stored.owner, "admin" in stored.roles, stored.max_waiting_rows) == ("me", True, 5)
        assert key.startswith(stored.prefix)
        assert find_key(connection, other) is not None
        assert set(find_key(connection, other).roles) == {"read", "predict", "bulk"}  # type: ignore[union-attr]
        assert find_key(connection, f"{key}x") is None
        stored_text = str(connection.execute(text("SELECT * FROM predictq.api_keys")).all())
        assert key not in stored_text
        assert revoke_key(connection, stored.prefix).revoked_at is not None
        assert find_key(connection, key) is None
        assert find_key(connection, other) is not None
        with pytest.raises(KeyUnknown, match="predictq keys list"):
            revoke_key(connection, stored.prefix)
        assert [item.owner for item in list_keys(connection)] == ["you", "me"]


def test_models_are_registered_promoted_and_read(engine: Engine) -> None:
    """One version is live at a time; unknown versions are said to be unknown."""
    with transaction(engine) as connection:
        with pytest.raises(NoLiveModel):
            live_version(connection)
        with pytest.raises(ModelVersionUnknown):
            promote_version(connection, 1)
        with pytest.raises(ModelVersionUnknown):
            read_artefact(connection, 1)
    first, second = add_model(engine), add_model(engine, promote=False)
    with transaction(engine) as connection:
        assert live_version(connection).version == first
        assert promote_version(connection, second).is_live
        promoted_at = get_version(connection, second).promoted_at
        assert promote_version(connection, second).promoted_at == promoted_at
        assert [(model.version, model.is_live) for model in list_versions(connection)] == [
            (second, True),
            (first, False),
        ]
        assert len(read_artefact(connection, first)) > 0


def test_an_absent_database_is_named(settings: Settings) -> None:
    """What the driver says about a server that is away becomes one named error."""
    nowhere = Settings.model_validate(
        {**settings.model_dump(), "database_url": "postgresql+psycopg2://u@127.0.0.1:1/x", "redis_url": "redis://h"}
    )
    engine = make_engine(nowhere, application_name="t", statement_timeout_seconds=1)
    with pytest.raises(DatabaseUnavailable, match="PostgreSQL does not answer"), transaction(engine):
        pass
    with pytest.raises(DatabaseUnavailable), autocommit(engine):
        pass
