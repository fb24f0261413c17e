"""Models that cannot be used or kill their process, and claims that were lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from model.artefact import build_artefact
from model.registration import new_version
from shared.batches.claims import extend_lease
from shared.config import Settings
from shared.errors import FenceLost
from shared.jobs.accept_singles import Accepted
from shared.models.registry import promote_version, register_version
from shared.models.signature import Signature
from shared.postgres.engine import transaction
from shared.sources.source import read_source
from shared.status import JobStatus, Queue
from tests.integration.jobs_support import answer, take
from tests.integration.scoring_support import features_of, results, score, submit_raw, trace_of
from tests.models import TestModel, right_answer
from tests.support import add_clients, add_model, change_client, job_of, submit_bulk
from worker.scoring.scorer import Scorer


def expire(engine: Engine) -> None:
    """Let every lease run out now."""
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.prediction_batches SET lease_until = now() WHERE status = 'running'"))


def lost_attempts(engine: Engine, attempts: int) -> None:
    """Claims of the one batch there is, whose workers died."""
    for _ in range(attempts):
        assert take(engine).attempt <= attempts
        expire(engine)


def test_rows_that_kill_or_hang_the_model_are_found_at_the_last_attempt(
    engine: Engine, scorer: Scorer, settings: Settings
) -> None:
    """After two lost workers the third finds the row that kills and the row that hangs, and answers all others."""
    add_clients(engine, 3)
    add_model(engine, TestModel(poisonous=True))
    change_client(engine, 2, age=61)
    change_client(engine, 3, age=62)
    accepted = submit_bulk(engine, [1, 2, 3])
    lost_attempts(engine, 2)
    patient = replace(scorer, settings=settings.model_copy(update={"batch_timeout_seconds": 0.4}))
    assert patient.work(Queue.BULK) == ["finished"]
    rows = {row.client_id: row for row in results(engine, accepted)}
    assert {key: row.error_detail for key, row in rows.items() if row.error_code == "model_failed"} == {
        2: "the model ended its process (signal 9)",
        3: "the model did not answer within 0.4 s",
    }
    assert rows[1].probability == right_answer(**features_of(1))


def corrupt(engine: Engine, change: dict[str, Any], content: bytes | None = None) -> int:
    """Register and promote a model whose metadata do not fit."""
    artefact = build_artefact(TestModel(), Signature(()), 0.5, name="bad")
    with transaction(engine) as connection:
        new = new_version(artefact, source_id=read_source(connection, "clients").id)
        new = replace(new, metadata={**artefact.metadata.to_json(), **change}, artefact=content or artefact.content)
        version = register_version(connection, new).id
        promote_version(connection, version)
    return version


@pytest.mark.parametrize(
    ("change", "content", "words"),
    [
        ({}, b"cut", "digest"),
        ({"library_versions": {"scikit-learn": "0.1"}}, None, "scikit-learn 0.1"),
        ({"library_versions": None}, None, "metadata is not as the training wrote it"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_stated_on_every_row(
    engine: Engine, scorer: Scorer, change: dict[str, Any], content: bytes | None, words: str
) -> None:
    """After the attempt cap every row says why its model is unavailable; batches of good models go on meanwhile."""
    add_clients(engine, 3)
    corrupt(engine, change, content)
    accepted = submit_bulk(engine, [1, 2, 999])
    add_model(engine)
    good = submit_bulk(engine, [3])
    outcomes = []
    for _ in range(4):  # the good one between the tries of the other: its lease runs on until it is given back
        outcomes += scorer.work(Queue.BULK)
        if len(outcomes) != 1:
            expire(engine)
    assert outcomes == ["failed", "finished", "failed", "finished"]
    assert job_of(engine, good.job_id).succeeded == 1
    rows = results(engine, accepted)
    assert {row.error_code for row in rows} == {"model_unavailable"}
    assert all(words in (row.error_detail or "") for row in rows)
    assert len(rows) == 3


def test_what_an_exception_says_goes_to_no_row_of_its_batch(
    engine: Engine, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may quote a row of somebody else. Rows have a sentence and the batch; the table has the type and no text."""
    add_clients(engine, 2)
    add_model(engine)
    accepted = submit_bulk(engine, [1, 2])

    def quote(*_: object) -> None:
        raise ValueError("Row #1: 35300000,,t,777000")

    monkeypatch.setattr("worker.scoring.scorer.predict_rows", quote)
    outcomes = []
    for _ in range(scorer.settings.max_attempts + 1):
        outcomes += scorer.work(Queue.BULK)
        with transaction(engine) as connection:
            kept = connection.execute(text("SELECT last_error FROM predictq.prediction_batches")).scalars().all()
        assert kept in (["ValueError"], [])
        expire(engine)
    assert outcomes == ["failed", "failed", "failed", "finished"]
    assert {row.error_detail for row in results(engine, accepted)} == {
        f"batch {accepted.batch_ids[0]} could not be scored"
    }


def test_a_batch_that_cannot_be_read_is_given_up_with_a_stated_error(engine: Engine, scorer: Scorer) -> None:
    """Even features that slipped past every check end in a stated error, not in endless tries."""
    add_model(engine)
    (job,) = submit_raw(engine, [{"age": "old", "department": "Sales", "over_time": True}])
    outcomes = []
    for _ in range(4):
        outcomes += scorer.work(Queue.INTERACTIVE)
        expire(engine)
    assert outcomes == ["failed", "failed", "failed", "finished"]
    record = job_of(engine, job.job_id)
    assert (record.status, record.error_code) == (JobStatus.FAILED, "batch_failed")
    # A batch is shared: the text of an error may hold what another caller sent.
    assert "old" not in (record.error_detail or "")
    assert str(job.batch_ids[0]) in (record.error_detail or "")
    trace = trace_of(engine, job.request_id)
    assert (trace.error_code, trace.attempts, trace.features) == ("batch_failed", 4, None)  # it was never scored


def test_a_process_apart_that_cannot_start_gives_the_batch_back(
    engine: Engine, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the process apart cannot start, no row is blamed: the batch is tried again."""
    add_clients(engine, 1)
    add_model(engine)
    accepted = submit_bulk(engine, [1])
    lost_attempts(engine, 2)
    monkeypatch.setattr("worker.scoring.isolation.sys.executable", "/bin/false")
    assert scorer.work(Queue.BULK) == ["failed"]
    monkeypatch.undo()
    expire(engine)
    assert scorer.work(Queue.BULK) == ["finished"]
    assert job_of(engine, accepted.job_id).succeeded == 1


def submit_with(engine: Engine, version: int) -> Accepted:
    """A bulk job of client 1 for an earlier version."""
    with transaction(engine) as connection:
        promote_version(connection, version)
    return submit_bulk(engine, [1])


def test_a_job_keeps_the_model_it_was_accepted_with(engine: Engine, scorer: Scorer) -> None:
    """A promotion between acceptance and scoring changes new jobs only; one process serves many versions."""
    add_clients(engine, 1)
    pinned = []
    for number in range(6):  # more than a process keeps loaded
        version = add_model(engine, TestModel(offset=number / 1000))
        pinned.append((version, number, submit_bulk(engine, [1])))
    pinned.append((pinned[0][0], 0, submit_with(engine, pinned[0][0])))
    assert score(scorer, Queue.BULK) == ["finished"] * 7
    for version, number, accepted in pinned:
        (row,) = results(engine, accepted)
        assert row.model_version == version
        assert row.probability == right_answer(**features_of(1)) + number / 1000


def test_a_zombie_cannot_extend_or_end_what_another_claimed(engine: Engine, scorer: Scorer) -> None:
    """A heartbeat of an old claim is refused, and the newer claim's answers carry the newer fence."""
    add_clients(engine, 1)
    add_model(engine)
    accepted = submit_bulk(engine, [1])
    old = take(engine)
    expire(engine)
    assert scorer.work(Queue.BULK) == ["finished"]
    with pytest.raises(FenceLost, match="claim 1 is no longer the newest"):
        extend_lease(engine, old, lease_seconds=60)
    (row,) = results(engine, accepted)
    assert trace_of(engine, row.request_id).fence == 2
    assert answer(engine, old) is None
    assert results(engine, accepted) == [row]
