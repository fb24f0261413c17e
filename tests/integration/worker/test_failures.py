"""Models that cannot be used or kill their process, and claims that were lost."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sqlalchemy import Engine, text

from cli.doctor.examinations import LiveModelFails, _model
from model.artefact import build_artefact
from model.registration import new_version
from shared.batches.claims import extend_lease
from shared.config import Settings
from shared.errors import FenceLost
from shared.jobs.accepting.singles import Accepted
from shared.models.registry import promote_version, register_version
from shared.models.signature import Signature
from shared.postgres.engine import transaction
from shared.sources.source import read_source
from shared.status import JobStatus, Queue
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.integration.jobs.jobs_support import answer, take
from tests.integration.worker.scoring_support import features_of, results, score, submit_raw, trace_of
from tests.models import SIGNATURE, OnLoading, TestModel, right_answer
from tests.support import (
    add_clients,
    add_model,
    change_client,
    job_of,
    publish,
    submit_bulk,
    wait_for_job,
    wait_until,
    worker_process,
)
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


def corrupt(engine: Engine, content: bytes, sha256: str | None = None) -> int:
    """Register and promote a model whose file does not fit."""
    artefact = build_artefact(TestModel(), SIGNATURE, 0.5, name="bad")
    with transaction(engine) as connection:
        new = new_version(artefact, source_id=read_source(connection, "clients").id)
        new = replace(new, sha256=sha256 or hashlib.sha256(content).hexdigest(), artefact=content)
        version = register_version(connection, new).id
        promote_version(connection, version)
    return version


OLD = pickle.dumps(LogisticRegression().fit([[0.0], [1.0]], [0, 1])).replace(
    b"\x8c\x05" + sklearn.__version__.encode(), b"\x8c\x051.5.2"
)


@pytest.mark.parametrize(
    ("content", "sha256", "words"),
    [
        (b"cut", "0" * 64, "digest"),
        (OLD, None, "scikit-learn 1.5.2"),
        (pickle.dumps(OnLoading("exits")), None, "ends the process that loads it (exit 7)"),
        (pickle.dumps({"model": TestModel(), "columns": []}), None, "a dict with model, columns: save the model alone"),
        (b"", None, "is empty"),
    ],
    ids=["cut", "old", "exits", "dict", "empty"],
)
def test_a_model_that_cannot_be_loaded_is_stated_on_every_row(
    engine: Engine, scorer: Scorer, content: bytes, sha256: str | None, words: str
) -> None:
    """After the attempt cap every row says why its model is unavailable; batches of good models go on meanwhile."""
    add_clients(engine, 3)
    corrupt(engine, content, sha256)
    accepted = submit_bulk(engine, [1, 2, 999])
    add_model(engine)
    good = submit_bulk(engine, [3])
    outcomes = []
    assert _model(engine)  # the good one is live
    for _ in range(4):  # the good one between the tries of the other: its lease runs on until it is given back
        outcomes += scorer.work(Queue.BULK)
        if len(outcomes) != 1:
            expire(engine)
    assert outcomes == ["failed", "finished", "failed", "finished"]
    assert job_of(engine, good.job_id).succeeded == 1
    rows = results(engine, accepted)
    assert {row.error_code for row in rows} == {"model_unavailable"}
    assert all(words in (row.error_detail or "") for row in rows), rows[0].error_detail
    assert len(rows) == 3


def test_what_an_exception_says_goes_to_no_row_of_its_batch(
    engine: Engine, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may quote a row of somebody else. Rows have a sentence and the batch; the table has the type and no text."""
    add_clients(engine, 2)
    add_model(engine)
    accepted = submit_bulk(engine, [1, 2])

    def quote(*_: object, **__: object) -> None:
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


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("hangs", "The model was not loaded within 0.5 s."),
        ("dies", "The model ended the process that loaded it (signal 9)."),
    ],
)
def test_a_model_that_hangs_or_dies_while_it_is_loaded_is_stated_at_the_last_attempt(
    engine: Engine, scorer: Scorer, settings: Settings, what: str, words: str
) -> None:
    """Then no code of the model runs in the scoring process: a process apart loads it, under a time-out."""
    add_clients(engine, 1)
    corrupt(engine, pickle.dumps(OnLoading(what)))
    accepted = submit_bulk(engine, [1])
    lost_attempts(engine, 2)
    patient = replace(scorer, settings=settings.model_copy(update={"batch_timeout_seconds": 0.5}))
    assert patient.work(Queue.BULK) == ["finished"]
    (row,) = results(engine, accepted)
    assert (row.error_code, row.error_detail) == ("model_unavailable", words)
    with pytest.raises(LiveModelFails, match=r"the work of \w+:\d+, which is live, fails: The model"):
        _model(engine)


def test_a_model_is_loaded_under_the_watch_that_ends_what_hangs(
    engine: Engine, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the last attempt it is loaded in the scoring process: for a batch, and for a promotion."""
    add_clients(engine, 1)
    add_model(engine)
    watched = []
    load = scorer.models.get

    def get(*given: Any, **more: Any) -> Any:
        watched.append(scorer.keeper._call_started is not None)
        return load(*given, **more)

    monkeypatch.setattr(scorer.models, "get", get)
    submit_bulk(engine, [1])
    assert scorer.work(Queue.BULK) == ["finished"]
    assert watched
    assert all(watched)


@pytest.mark.parametrize("change", ["threshold = 0.9", "classes = '[1, 0]'", "signature = '{SIGNATURE}'"])
def test_a_version_that_was_altered_is_not_loaded(engine: Engine, scorer: Scorer, change: str) -> None:
    """Its digest covers threshold, classes and signature: an altered version answers nothing."""
    add_clients(engine, 1)
    version = add_model(engine)
    other = json.dumps(Signature(SIGNATURE.features[::-1]).to_json()).replace("'", "''")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE predictq.model_versions DISABLE TRIGGER USER"))
        assignment = change.replace("{SIGNATURE}", other)
        statement = f"UPDATE predictq.model_versions SET {assignment} WHERE version = {version}"
        connection.exec_driver_sql(statement.replace("%", "%%"))
    accepted = submit_bulk(engine, [1])
    lost_attempts(engine, 2)
    assert scorer.work(Queue.BULK) == ["finished"]
    (row,) = results(engine, accepted)
    assert row.error_code == "model_unavailable"
    assert "were altered" in (row.error_detail or "")


@pytest.mark.parametrize("what", ["hangs", "dies", "exits", "raises"])
def test_a_worker_starts_whatever_the_live_version_does(
    engine: Engine, settings: Settings, what: str, tmp_path: Path
) -> None:
    """It says so, takes work, and scores with the version that is promoted then."""
    add_clients(engine, 1)
    corrupt(engine, pickle.dumps(OnLoading(what)))
    quick = settings.model_copy(update={"batch_timeout_seconds": 4.0, "lease_seconds": 5.0})
    log = tmp_path / "worker.log"
    with worker_process(quick, log=log), running_gateway(quick, new_key(engine, "admin", roles=["admin"])) as gateway:
        wait_until(lambda: "worker starts" in log.read_text(), what="the start", seconds=60)
        assert "the live model cannot be loaded" in log.read_text()
        version = add_model(engine, promote=False)
        promoted = gateway.post(f"/v1/models/default/versions/{version}/promote", json={})
        assert promoted.status_code == 200, promoted.text
        accepted = submit_bulk(engine, [1])
        publish(quick, accepted)
        assert wait_for_job(engine, accepted.job_id).succeeded == 1


def test_features_that_slipped_past_every_check_cost_their_row_alone(engine: Engine, scorer: Scorer) -> None:
    """They end in a stated error, not in endless tries, and their neighbours are answered."""
    add_model(engine)
    right = {"age": 30, "monthly_income": 7, "department": "Sales", "over_time": True}
    bad, good = submit_raw(engine, [{**right, "age": "old"}, right])
    assert scorer.work(Queue.INTERACTIVE) == ["finished"]
    record = job_of(engine, bad.job_id)
    assert (record.status, record.error_code) == (JobStatus.FAILED, "invalid_feature")
    assert job_of(engine, good.job_id).status is JobStatus.SUCCEEDED


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


@pytest.mark.parametrize("state", ["53200", "57014"])  # no memory, and too long
def test_a_batch_whose_statement_is_given_up_each_time_ends_in_a_stated_error(
    engine: Engine, scorer: Scorer, state: str
) -> None:
    """It is tried for minutes, for that may pass; its neighbours are answered; then its rows say so."""
    add_clients(engine, 2)
    add_model(engine)
    accepted = submit_bulk(engine, [1])
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    IF NEW.features IS NOT NULL AND NEW.batch_id = {accepted.batch_ids[0]}
                    THEN RAISE SQLSTATE '{state}' USING MESSAGE = 'given up'; END IF;
                    RETURN NEW; END $$;
                CREATE TRIGGER refuse BEFORE INSERT ON predictq.batch_outputs FOR EACH ROW EXECUTE FUNCTION refuse()"""
        )
    assert scorer.work(Queue.BULK) == ["failed"]
    with transaction(engine) as connection:
        kept = connection.execute(text("SELECT last_error FROM predictq.prediction_batches")).scalar_one()
    assert kept.endswith(": given up")
    good = submit_bulk(engine, [2])
    assert scorer.work(Queue.BULK) == ["finished"]
    assert job_of(engine, good.job_id).succeeded == 1
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.prediction_batches SET attempts = 29"))
    expire(engine)
    assert scorer.work(Queue.BULK) == ["failed"]
    expire(engine)
    assert scorer.work(Queue.BULK) == ["finished"]
    (row,) = results(engine, accepted)
    assert (row.error_code, row.error_detail) == (
        "batch_failed",
        f"batch {accepted.batch_ids[0]} could not be scored",
    )


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
