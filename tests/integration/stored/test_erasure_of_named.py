"""Persons whom nobody looked up: calls named them beside their features. They are found and erased like all others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from model.artefact import build_artefact
from model.registration import new_version
from shared.config import Settings
from shared.erasure.find import unhashed_pages
from shared.erasure.kept_hashes import LOG_NAME, read_log
from shared.erasure.keys import NO_SOURCE, client_key
from shared.models.registry import promote_version, register_version
from shared.postgres.engine import transaction
from shared.status import Queue
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.integration.jobs.planning_support import planner_process
from tests.integration.stored.erasure_support import PERSON, add_source, everything, key_of, places
from tests.integration.worker.scoring_support import score
from tests.models import SIGNATURE, TestModel
from tests.roles import as_upkeep
from tests.support import OWNER, add_clients, add_model, job_of, wait_until
from worker.erasure.duties import ErasureDuty
from worker.scoring.scorer import Scorer
from worker.upkeep.deadlines import Deadlines
from worker.upkeep.duty import database_clock

NAME = "ZQXJ-KVW äö"
FEATURES: dict[str, Any] = {"age": 30, "monthly_income": 2000, "department": "Sales", "over_time": True}


@pytest.fixture
def gateway(engine: Engine, settings: Settings) -> Iterator[Gateway]:
    """A gateway, and a client with an admin key of the owner of all jobs here."""
    with running_gateway(settings, new_key(engine, OWNER, is_admin=True)) as gateway:
        yield gateway


def add_model_without_source(engine: Engine) -> None:
    with transaction(engine) as connection:
        artefact = build_artefact(TestModel(), SIGNATURE, 0.5, name="test")
        promote_version(connection, register_version(connection, new_version(artefact, source_id=None)).id)


def call(gateway: Gateway, name: int | str) -> None:
    assert gateway.post("/v1/predict_raw", json={"client_id": name, "features": FEATURES}).status_code == 202


def upload(gateway: Gateway, names: list[int | str], **more: str) -> None:
    content = "".join(json.dumps({"client_id": name, **FEATURES}) + "\n" for name in names)
    headers = {"Content-Type": "application/x-ndjson"}
    answer = gateway.post("/v1/jobs", params={"features": "upload", **more}, content=content.encode(), headers=headers)
    assert answer.status_code == 202


def erase(gateway: Gateway, engine: Engine, directory: Path, **order: Any) -> dict[str, Any]:
    place = gateway.post("/v1/erasures", json={"reason": "art. 17", **order}).headers["Location"]
    ErasureDuty(directory).run(as_upkeep(engine))
    erasure: dict[str, Any] = gateway.get(place).json()
    return erasure


def test_a_client_of_models_without_a_source(gateway: Gateway, engine: Engine, scorer: Scorer, tmp_path: Path) -> None:
    """Her answers are found by what calls named her, in small pages, large ones and open batches; then none is."""
    add_model_without_source(engine)
    call(gateway, NAME)
    upload(gateway, [NAME, 7, *(f"row {number}" for number in range(70))])
    score(scorer)
    score(scorer, Queue.BULK)
    call(gateway, NAME)  # nobody has scored it yet
    her = {"no_source": True, "client_id": NAME}

    found = gateway.post("/v1/clients/answers", json=her).json()
    assert (found["source"], found["client_id"], len(found["answers"])) == (None, NAME, 3)
    by_hash = gateway.post("/v1/clients/answers", json={"no_source": True, "client_hash": found["client_hash"]}).json()
    assert by_hash == found
    held = gateway.post("/v1/clients/export", json=her).json()
    assert (held["source"], held["source_row"]["state"], len(held["predictions"])) == (None, "none", 3)
    assert NAME in everything(engine)

    done = erase(gateway, engine, tmp_path, **her)
    assert (done["status"], done["answers"], done["source"]) == ("done", 3, None)
    assert NAME not in everything(engine)
    assert gateway.post("/v1/clients/answers", json=her).json()["answers"] == []
    assert [place.rows for place in places(engine, client_key(NO_SOURCE, 7))] == [(1,)]
    score(scorer)
    assert NAME not in everything(engine)


def test_a_client_of_a_source_who_was_only_named(
    gateway: Gateway, engine: Engine, scorer: Scorer, tmp_path: Path
) -> None:
    """A key of the source beside given features is hers: she goes with it, and is nobody without a source."""
    add_model(engine)
    add_clients(engine, 3)
    call(gateway, PERSON)
    call(gateway, 2)
    score(scorer)
    assert [place.rows for place in places(engine, key_of(engine))] == [(0,)]
    elsewhere = gateway.post("/v1/clients/answers", json={"no_source": True, "client_id": str(PERSON)}).json()
    assert elsewhere["answers"] == []

    done = erase(gateway, engine, tmp_path, client_id=PERSON)
    assert (done["status"], done["answers"], done["source"]) == ("done", 1, "clients")
    assert str(PERSON) not in everything(engine)
    assert len(places(engine, key_of(engine, 2))) == 1


def test_a_replay_finds_who_had_no_source(gateway: Gateway, engine: Engine, scorer: Scorer, tmp_path: Path) -> None:
    """Her line of erasures.log has an empty source."""
    add_model_without_source(engine)

    def load() -> None:
        call(gateway, NAME)
        call(gateway, "somebody else")
        score(scorer)

    load()
    erase(gateway, engine, tmp_path, no_source=True, client_id=NAME)
    load()  # as a restored backup would bring her back
    (line,) = read_log((tmp_path / LOG_NAME).read_text().splitlines())
    assert line.source == ""
    place = gateway.post("/v1/erasures/replay", json={"erased": [line._asdict()], "reason": "restore"}).headers[
        "Location"
    ]
    ErasureDuty(tmp_path).run(as_upkeep(engine))
    replayed = gateway.get(place).json()
    assert (replayed["status"], replayed["answers"]) == ("done", 1)
    assert NAME not in everything(engine)
    assert len(places(engine, client_key(NO_SOURCE, "somebody else"))) == 2


def test_who_is_in_a_page_that_a_deadline_ended(
    gateway: Gateway, engine: Engine, scorer: Scorer, tmp_path: Path
) -> None:
    """No worker has written it, and she is found in it like in any other."""
    add_model_without_source(engine)
    late = datetime.now(UTC) + timedelta(seconds=2)
    upload(gateway, [NAME, 7], deadline=late.isoformat())
    clock = database_clock(engine)
    wait_until(lambda: clock() > late, what="the deadline")
    assert Deadlines().run(as_upkeep(engine), clock)
    assert NAME in everything(engine)
    done = erase(gateway, engine, tmp_path, no_source=True, client_id=NAME)
    assert (done["status"], done["answers"]) == ("done", 1)
    assert NAME not in everything(engine)


def test_a_plan_that_goes_on_meanwhile_reads_her_out_of_no_file(
    gateway: Gateway, engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever claims it anew finds the file gone."""
    add_model_without_source(engine)
    content = b"client_id;age;monthly_income;department;over_time\n" + f"{NAME};30;2000;Sales;true\n".encode() * 3
    order = gateway.post("/v1/uploads", content=content).json()
    job = gateway.post("/v1/jobs", json={"upload": order["id"], "features": True}).json()

    def after_the_open_batches(*arguments: Any, **more: Any) -> list[int]:
        with planner_process(settings):
            wait_until(lambda: job_of(engine, UUID(job["id"])).status.is_terminal, what="the plan's end")
        monkeypatch.undo()
        return unhashed_pages(*arguments, **more)

    monkeypatch.setattr("worker.erasure.runner.unhashed_pages", after_the_open_batches)
    erase(gateway, engine, tmp_path, no_source=True, client_id=NAME)
    assert job_of(engine, UUID(job["id"])).error_code == "upload_gone"
    assert NAME not in everything(engine)


def test_a_composite_key_beside_features_comes_back_as_it_was_given(
    gateway: Gateway, engine: Engine, scorer: Scorer
) -> None:
    """In the status, in the trace, and in the results alike."""
    key = {"area": "EU", "number": 7}
    source_id = add_source(engine, "offices", "text", ("area", "number"))
    with transaction(engine) as connection:
        kinds = [{"name": "area", "type": "text"}, {"name": "number", "type": "integer"}]
        connection.execute(
            text("UPDATE predictq.sources SET key_columns = CAST(:kinds AS jsonb) WHERE id = :id"),
            {"kinds": json.dumps(kinds), "id": source_id},
        )
        artefact = build_artefact(TestModel(), SIGNATURE, 0.5, name="test")
        promote_version(connection, register_version(connection, new_version(artefact, source_id=source_id)).id)
    job = gateway.post("/v1/predict_raw", json={"client_id": key, "features": FEATURES}).json()
    score(scorer)
    status = gateway.get(f"/v1/jobs/{job['id']}").json()
    (row,) = gateway.get(f"/v1/jobs/{job['id']}/results").json()["rows"]
    trace = gateway.get(f"/v1/predictions/{status['request_id']}").json()
    assert [row["client_id"], trace["client_id"]] == [key, key]


def test_one_is_a_client_of_a_source_or_of_none(gateway: Gateway) -> None:
    """Both at once is refused."""
    order = {"source": "clients", "no_source": True, "client_id": 1}
    for path in ("/v1/clients/answers", "/v1/clients/export", "/v1/erasures"):
        assert gateway.post(path, json={**order, "reason": "art. 17"} if "eras" in path else order).status_code == 422
