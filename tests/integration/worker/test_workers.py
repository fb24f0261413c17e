"""What workers say of themselves, and what follows from it: who gets work, what is promoted, what waits in vain."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from model.registration import SAMPLE_MODEL
from shared.batches.claims import claim
from shared.batches.others_work import waits_for_others
from shared.batches.unloadable import read_unloadable, unloadable
from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.errors import DatabaseUnavailable
from shared.messaging.messages import count_messages, make_redis
from shared.models.warm_up import ENDED, ask, end, progress, report
from shared.postgres.engine import autocommit
from shared.status import Queue
from shared.watching.workers import Worker, beat, living_workers
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.roles import as_worker, settings_of
from tests.support import (
    add_clients,
    add_model,
    job_of,
    publish,
    submit_bulk,
    wait_for_job,
    wait_until,
    worker_process,
)
from tests.unloadable_models import BrokenWhenLoaded, EndlessWhenLoaded
from worker.celery.notifier import Notifier
from worker.celery.pool_process import ProcessSlot
from worker.models import loadable
from worker.models.loadable import Loadable, tell_of_the_ended
from worker.models.model_store import ModelStore
from worker.scoring import passing_on
from worker.scoring.passing_on import PassingOn
from worker.scoring.scorer import Scorer


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    add_clients(engine, 50)
    with running_gateway(settings, new_key(engine, "olga", roles=("read", "predict", "bulk", "operate"))) as client:
        yield client


def say(engine: Engine, name: str, *, models: list[str] | None = None, requirements: tuple[str, ...] = ("",)) -> None:
    """A worker in the place of a real one says who it is."""
    worker = Worker(name, 2, ["bulk"], models, list(requirements), {"scikit-learn": "1.0.0"})
    with autocommit(engine) as connection:
        beat(connection, worker)


def test_a_worker_tells_who_it_is_and_leaves_when_it_ends(gateway: Gateway, engine: Engine, settings: Settings) -> None:
    """Processes, queues, models, libraries, what is loaded and how quick it is; nothing is left after its end."""
    add_model(engine)
    with worker_process(settings, concurrency=1, name="teller"):
        job = submit_bulk(engine, range(1, 51))
        publish(settings, job)
        wait_for_job(engine, job.job_id)

        def told() -> dict[str, object] | None:
            found = gateway.get("/v1/workers").json()["workers"]
            return next((worker for worker in found if worker["loaded_versions"] == [f"{SAMPLE_MODEL}:1"]), None)

        worker = wait_until(told, what="a worker that has loaded the version")
    assert str(worker["name"]).startswith("teller@")
    assert (worker["processes"], worker["queues"], worker["models"]) == (1, ["interactive", "bulk"], None)
    assert "scikit-learn" in worker["libraries"]  # type: ignore[operator]
    assert gateway.get("/v1/workers").json()["workers"] == []


def test_only_operators_see_the_workers(gateway: Gateway, engine: Engine) -> None:
    """Names of machines are nothing for every caller."""
    key = new_key(engine, "alice")
    assert gateway.get("/v1/workers", headers={"Authorization": f"Bearer {key}"}).status_code == 403


def test_a_worker_for_some_models_leaves_the_work_of_others(engine: Engine, settings: Settings) -> None:
    """`--models` names what it takes; another worker takes the rest."""
    add_clients(engine, 20)
    add_model(engine)
    with worker_process(settings, name="choosy", models="another"):
        job = submit_bulk(engine, range(1, 21))
        publish(settings, job)
        wait_until(lambda: _living(engine), what="the choosy worker")
        assert job_of(engine, job.job_id).status == "queued"
        with worker_process(settings, name="willing"):
            assert wait_for_job(engine, job.job_id).succeeded == 20


def test_a_message_that_is_for_another_worker_goes_back_to_its_queue(engine: Engine, settings: Settings) -> None:
    """By a process that takes no work of that model, once another worker does; what it has to do itself it does."""
    add_clients(engine, 2)
    add_model(engine)
    submit_bulk(engine, [1, 2])
    slot = ProcessSlot(settings_of(DatabaseRole.WORKER, settings), ModelStore(), node="test", takes=["another"])
    slot.prepare()
    try:
        assert slot.scorer.work(Queue.BULK) == ["not_needed"]
        say(engine, "b@host", models=[SAMPLE_MODEL])
        slot.scorer.passing_on._next.clear()  # as if a while had passed
        assert slot.scorer.work(Queue.BULK) == ["passed_on"]
        with make_redis(settings) as redis:
            assert count_messages(redis, Queue.BULK) == 1
    finally:
        slot.end()
        slot.scorer.engine.dispose()


def test_work_for_another_worker_is_work_that_one_alive_takes(engine: Engine) -> None:
    """Not one's own, and not what nobody takes; without a claim that has run out, nothing that is being done."""
    add_clients(engine, 2)
    add_model(engine)
    submit_bulk(engine, [1, 2])

    def waits(*models: str, requirements: tuple[str, ...] = ("",), queue: Queue = Queue.BULK) -> bool:
        return waits_for_others(as_worker(engine), queue, requirements=requirements, models=models or None)

    assert not waits("another"), "nobody lives"
    say(engine, "a@host", models=["third"])
    assert not waits("another"), "nobody takes it"
    say(engine, "b@host", models=[SAMPLE_MODEL])
    assert waits("another")
    assert not waits()
    assert not waits(SAMPLE_MODEL)
    assert not waits("another", queue=Queue.INTERACTIVE)
    assert claim(as_worker(engine), Queue.BULK, worker="b", lease_seconds=60)
    assert not waits("another"), "somebody is at it"
    submit_bulk(engine, [1, 2])
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.prediction_batches SET requirements = 'lightgbm==4.*'"))
    assert not waits(), "it has other needs, which nobody meets"
    say(engine, "c@host", requirements=("", "lightgbm==4.*"))
    assert waits()


def test_a_message_does_not_go_round_and_round(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the worker that it is for is busy, a process passes a message of a queue on once in a while."""
    monkeypatch.setattr(passing_on, "_PAUSE_SECONDS", 600.0)
    add_clients(engine, 2)
    add_model(engine)
    submit_bulk(engine, [1, 2])
    say(engine, "b@host", models=[SAMPLE_MODEL])
    with make_redis(settings) as redis:
        own, notifier = as_worker(engine), Notifier(redis)
        takes_all = PassingOn(own, notifier, Loadable(own))
        assert takes_all.pass_on(Queue.BULK) == "not_needed"
        takes_some = PassingOn(own, notifier, Loadable(own, ["another"]))
        assert takes_some.pass_on(Queue.INTERACTIVE) == "not_needed"
        outcomes = [takes_some.pass_on(Queue.BULK) for _ in range(20)]
        assert outcomes == ["passed_on", *["not_needed"] * 19]
        assert count_messages(redis, Queue.BULK) == 1


def test_a_version_that_no_running_worker_can_load_is_not_promoted(gateway: Gateway, engine: Engine) -> None:
    """With words of what lacks; a reason overrules it, and without any worker nothing is held against it."""
    add_model(engine, promote=False, requirements="lightgbm==4.*, scikit-learn==1.9.*")
    say(engine, "old@host")
    refused = gateway.post("/v1/models/default/promote", json={})
    assert refused.status_code == 409
    assert "old@host lacks lightgbm 4 (it has none), scikit-learn 1.9 (it has 1.0.0)" in refused.json()["detail"]
    assert gateway.post("/v1/models/default/promote", json={"force": "the new workers come tonight"}).status_code == 200
    other = add_model(engine, promote=False, requirements="lightgbm==4.*")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM predictq.workers"))
    assert gateway.post(f"/v1/models/default/versions/{other}/promote", json={}).status_code == 200


def test_promotion_loads_a_version_in_the_processes_first(gateway: Gateway, engine: Engine, settings: Settings) -> None:
    """Each process holds it before the first call comes; one that no process can load stays where it is."""
    add_model(engine)
    patient = settings.model_copy(update={"batch_timeout_seconds": 60})  # on a busy machine loading takes a while
    with worker_process(patient, concurrency=2, name="warm"):
        wait_until(lambda: _living(engine), what="the worker")
        version = add_model(engine, promote=False)
        live = gateway.post("/v1/models/default/promote", json={"reason": "better figures"})
        assert (live.status_code, live.json()["version"]) == (200, version)
        loaded = "predictq_worker_loaded_versions"
        wait_until(lambda: version in _loaded(engine), what=f"{loaded} of the new version")
        broken = add_model(engine, BrokenWhenLoaded(), promote=False)
        refused = gateway.post(f"/v1/models/default/versions/{broken}/promote", json={})
        assert refused.status_code == 409
        assert "a part of this model is not here" in refused.json()["detail"]
    assert gateway.get("/v1/models/default").json()["live_version"] == version
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.warm_ups")).scalar_one() == 0


def test_a_version_that_ends_whatever_loads_it_is_not_promoted(
    gateway: Gateway, engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    """Its processes die without a word: the worker says so for them, and no other of its processes tries it again."""
    live = add_model(engine)
    log = tmp_path / "worker.log"
    with worker_process(settings, concurrency=1, name="mortal", log=log):
        wait_until(lambda: _living(engine), what="the worker")
        endless = add_model(engine, EndlessWhenLoaded(), promote=False)
        refused = gateway.post(f"/v1/models/default/versions/{endless}/promote", json={})
        assert refused.status_code == 409, log.read_text()
        assert "the process that loaded it ended" in refused.json()["detail"]
    assert gateway.get("/v1/models/default").json()["live_version"] == live
    assert log.read_text().count("a process ended while it loaded a version") == 1


def test_a_version_that_ended_a_process_is_left_alone_by_the_others_of_its_worker(engine: Engine) -> None:
    """Those of another worker try it; asked for once more, all do."""
    version = add_model(engine)

    def wanted_by(worker: str) -> list[int]:
        process = Loadable(engine, worker=worker)
        process.look_again()
        return process.still_wanted()

    with autocommit(engine) as connection:
        ask(connection, version)
        report(connection, version, "one@host/17", error=ENDED)
    assert (wanted_by("one@host"), wanted_by("other@host"), wanted_by("one@hos")) == ([], [version], [version])
    with autocommit(engine) as connection:
        ask(connection, version)
    assert wanted_by("one@host") == [version]


def test_only_a_process_that_is_not_there_any_more_has_ended(engine: Engine) -> None:
    """One that is at it, one that has told of it, and one of another worker are left alone."""
    version = add_model(engine)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with autocommit(engine) as connection:
        ask(connection, version)
        report(connection, version, f"one@host/{os.getpid()}")
        report(connection, version, f"other@host/{gone.pid}")
        assert not tell_of_the_ended(connection, "one@host")
        report(connection, version, f"one@host/{gone.pid}")
        assert tell_of_the_ended(connection, "one@host")
        assert not tell_of_the_ended(connection, "one@host")
        found = progress(connection, version)
    assert (found.loaded, found.loading, found.errors) == (0, 2, [ENDED])


def test_a_version_stays_wanted_until_it_is_told_how_loading_it_went(
    engine: Engine, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever loses PostgreSQL in between tries again, and does not leave it at "loading" or without a word."""
    version = add_model(engine)
    tell, fails = loadable.report, [True, False, True, False, False]

    def fail_at_times(*arguments: Any, **options: Any) -> None:
        if fails.pop(0):
            raise DatabaseUnavailable(OSError("away"))
        tell(*arguments, **options)

    monkeypatch.setattr(loadable, "report", fail_at_times)
    with autocommit(engine) as connection:
        ask(connection, version)
    outcomes = []
    while fails:
        outcomes.append(scorer.work(Queue.BULK)[-1])
        with autocommit(engine) as connection:
            loaded = progress(connection, version).loaded
    assert outcomes == ["interrupted", "interrupted", "not_needed"]
    assert loaded == 1


def test_a_version_is_loaded_once_each_time_that_it_is_asked_for(engine: Engine) -> None:
    """A second promotion after a failed one tries again, also where the process looked at nothing in between."""
    version = add_model(engine)
    process = Loadable(as_worker(engine))

    def taken() -> list[int]:
        time.sleep(0.6)  # what was read is that old before it is read anew
        process.look_again()
        found = process.still_wanted()
        for number in found:
            process.report(number, "one@host/17", is_loaded=True)
        return found

    with autocommit(engine) as connection:
        ask(connection, version)
    assert (taken(), taken()) == ([version], [])
    with autocommit(engine) as connection:
        end(connection, version)
        ask(connection, version)
    assert (taken(), taken()) == ([version], [])


def test_what_nobody_alive_can_load_is_named(engine: Engine) -> None:
    """By libraries and by models; a worker that is able makes it loadable again."""
    add_clients(engine, 5)
    add_model(engine)
    submit_bulk(engine, range(1, 6))
    with autocommit(engine) as connection:
        assert read_unloadable(connection, [Queue.BULK], patience_seconds=0) == []  # nobody is alive at all
    say(engine, "other@host", models=["another"])
    (needs,) = unloadable(engine, Queue.BULK, patience_seconds=0)
    assert (needs.model, needs.requirements, needs.batches) == ("default", "", 1)
    say(engine, "able@host")
    assert unloadable(engine, Queue.BULK, patience_seconds=0) == []
    add_model(engine, requirements="lightgbm==4.*")
    submit_bulk(engine, range(1, 6))
    assert [needs.requirements for needs in unloadable(engine, Queue.BULK, patience_seconds=0)] == ["lightgbm==4.*"]


def _living(engine: Engine) -> list[Worker]:
    with autocommit(engine) as connection:
        return living_workers(connection)


def _loaded(engine: Engine) -> list[int]:
    return [version for worker in _living(engine) for version in worker.loaded_versions]
