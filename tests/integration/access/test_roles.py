"""What an API key may do: its roles, the models that it is limited to, its end, and when it was used last."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from api.access.key_use import KeyUse
from model.artefact import build_artefact
from model.registration import SAMPLE_MODEL, new_version
from shared.access.api_keys import create_key, hash_key
from shared.access.roles import PLAIN_ROLES
from shared.config import Settings
from shared.models.registry import promote_version, register_version
from shared.postgres.engine import autocommit, transaction
from shared.sources.source import read_source
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.models import SIGNATURE, TestModel
from tests.support import add_clients, add_model, wait_until

OTHER = "other"  # a model besides the sample's


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with two live models over the same clients, called by alice, who may use both."""
    add_model(engine)
    add_clients(engine, 5)
    add_other_model(engine)
    with running_gateway(settings, new_key(engine, "alice")) as client:
        yield client


def add_other_model(engine: Engine) -> None:
    artefact = build_artefact(TestModel(), SIGNATURE, 0.5, name="test")
    with transaction(engine) as connection:
        source = read_source(connection, "clients")
        new = new_version(artefact, source_id=source.id, model=OTHER)
        promote_version(connection, register_version(connection, new).id)


def limited(engine: Engine, *models: str, **options: Any) -> dict[str, str]:
    return bearer(new_key(engine, "alice", models=models, **options))


def kind(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).removeprefix("/problems/")


def test_a_key_limited_to_a_model_does_nothing_with_others(gateway: Gateway, engine: Engine) -> None:
    """Other models are refused before it is asked whether there are any; their jobs are as if they were not there."""
    key = limited(engine, SAMPLE_MODEL, roles=(*PLAIN_ROLES, "features", "operate"))
    both = (SAMPLE_MODEL, OTHER)
    singles = {name: gateway.post("/v1/predict", json={"client_id": 1, "model": name}).json() for name in both}
    bulks = {name: gateway.post("/v1/jobs", json={"client_ids": [1, 2], "model": name}).json() for name in both}
    answer_batches(engine)
    for calls in (singles, bulks):
        seen, hidden = f"/v1/jobs/{calls[SAMPLE_MODEL]['id']}", f"/v1/jobs/{calls[OTHER]['id']}"
        for suffix in ("", "/results", "/events"):
            assert gateway.get(seen + suffix, headers=key).status_code == 200
            assert kind(gateway.get(hidden + suffix, headers=key)) == "job-unknown"
        assert kind(gateway.post(f"{hidden}/cancel", headers=key)) == "job-unknown"
        assert kind(gateway.post(f"{hidden}/repeat", headers=key)) == "job-unknown"
        assert kind(gateway.post(f"{hidden}/retry", headers=key)) == "job-unknown"
    assert gateway.get(f"/v1/predictions/{singles[SAMPLE_MODEL]['request_id']}", headers=key).status_code == 200
    assert kind(gateway.get(f"/v1/predictions/{singles[OTHER]['request_id']}", headers=key)) == "prediction-unknown"
    assert {job["model"] for job in gateway.get("/v1/jobs", headers=key).json()["jobs"]} == {SAMPLE_MODEL}
    assert {job["model"] for job in gateway.get("/v1/jobs").json()["jobs"]} == {SAMPLE_MODEL, OTHER}
    assert gateway.get(f"/v1/jobs?model={OTHER}", headers=key).json()["jobs"] == []
    for name in (OTHER, "not-there"):
        for path, body in (
            ("/v1/predict", {"client_id": 1}),
            ("/v1/predict_raw", {"features": {}}),
            ("/v1/jobs", {"client_ids": [1]}),
            ("/v1/jobs/count", {}),
        ):
            refused = gateway.post(path, json={**body, "model": name}, headers=key)
            assert (refused.status_code, kind(refused)) == (403, "forbidden"), path
            assert "for the model default, not for" in refused.json()["detail"]
        for method, path in (
            ("GET", f"/v1/models/{name}"),
            ("GET", f"/v1/models/{name}/versions/1"),
            ("POST", f"/v1/models/{name}/promote"),
            ("POST", f"/v1/models/{name}/rollback"),
            ("POST", f"/v1/models/{name}/versions/1/promote"),
            ("POST", f"/v1/models/{name}/versions/1/retire"),
            ("POST", f"/v1/models/{name}/versions/1/check"),
        ):
            assert gateway.request(method, path, headers=key).status_code == 403, path
    assert [model["name"] for model in gateway.get("/v1/models", headers=key).json()["models"]] == [SAMPLE_MODEL]
    assert gateway.patch("/v1/models/default", json={"is_default": True}, headers=key).status_code == 403
    assert gateway.get("/v1/storage", headers=key).status_code == 403
    for name in both:
        gateway.post("/v1/predict", json={"client_id": 1, "model": name})
    found = gateway.post("/v1/clients/answers", json={"client_id": 1, "source": "clients"}, headers=key).json()
    assert {answer["model"] for answer in found["answers"]} == {SAMPLE_MODEL}


def test_a_model_that_is_not_there_is_answered_with_those_that_the_key_may_use(
    gateway: Gateway, engine: Engine
) -> None:
    """A misspelt name is seen at once; a key for one that is still to come learns of no other."""
    asked = {"client_id": 1, "model": "not-there"}
    answer = gateway.post("/v1/predict", json=asked)
    names = ", ".join(sorted((SAMPLE_MODEL, OTHER)))
    assert (answer.status_code, answer.json()["detail"]) == (404, f"There is no model 'not-there'. There are {names}.")
    for models, said in ((("not-there",), ""), (("not-there", OTHER), f" There is {OTHER}.")):
        refused = gateway.post("/v1/predict", json=asked, headers=limited(engine, *models))
        assert refused.json()["detail"] == f"There is no model 'not-there'.{said}"


def test_the_default_model_is_no_way_around_the_limit(gateway: Gateway, engine: Engine) -> None:
    """A call that names no model means the default one, which this key is not for; which that is it is not told."""
    refused = gateway.post("/v1/predict", json={"client_id": 1}, headers=limited(engine, OTHER))
    assert (refused.status_code, kind(refused)) == (422, "model-required")
    assert SAMPLE_MODEL not in refused.json()["detail"].replace("the default", "")


def test_a_repeated_call_is_no_way_around_the_limit(gateway: Gateway, engine: Engine) -> None:
    """An Idempotency-Key that led to a job of another model does not show that job."""
    again = {"Idempotency-Key": "k-1"}
    first = gateway.post("/v1/predict", json={"client_id": 1}, headers=again)
    assert first.json()["model"] == SAMPLE_MODEL
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.models SET is_default = false"))
        connection.execute(text("UPDATE predictq.models SET is_default = true WHERE name = :other"), {"other": OTHER})
    gateway.services.models.forget()
    answer = gateway.post("/v1/predict", json={"client_id": 1}, headers={**again, **limited(engine, OTHER)})
    assert (answer.status_code, kind(answer)) == (404, "job-unknown")


def test_features_are_shown_to_those_who_may_see_them_and_leave_a_line(gateway: Gateway, engine: Engine) -> None:
    """A trace without the role has none and says so; with it the audit log tells who looked at which prediction."""
    request_id = gateway.post("/v1/predict_raw", json={"features": RAW, "model": SAMPLE_MODEL}).json()["request_id"]
    path = f"/v1/predictions/{request_id}"
    assert (gateway.get(path).json()["features"], gateway.get(path).json()["features_left_out"]) == (None, True)
    assert audit(engine) == []
    reader, stored = create(engine, "alice", roles=("read", "features"))
    seen = gateway.get(path, headers={**bearer(reader), "X-Request-ID": "look-1"})
    assert seen.json()["features_left_out"] is False
    expected = ("api key", "alice", stored.id, "127.0.0.1", "features.read", f"prediction {request_id}", "look-1")
    assert audit(engine) == [expected]
    assert gateway.get("/v1/predictions/999999-0", headers=bearer(reader)).status_code == 404
    assert len(audit(engine)) == 1


RAW = {"age": 30, "monthly_income": 2000, "department": "Sales", "over_time": True}


def create(engine: Engine, owner: str, **options: Any) -> Any:
    with transaction(engine) as connection:
        return create_key(connection, owner, **options)


def audit(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT actor_kind, actor, key_id, address, action, object, call_id FROM predictq.audit_log ORDER BY id"
            )
        )
        return [tuple(row) for row in rows]


def test_an_operator_cancels_the_jobs_of_others_and_learns_nothing_of_clients(gateway: Gateway, engine: Engine) -> None:
    """The audit log has a line of it; to others the job is as one that never was."""
    job = gateway.post("/v1/jobs", json={"client_ids": [1, 2], "name": "secret", "model": SAMPLE_MODEL}).json()
    single = gateway.post("/v1/predict", json={"client_id": 1, "model": SAMPLE_MODEL}).json()
    answer_batches(engine, limit=1)
    stranger = bearer(new_key(engine, "bob"))
    operator = bearer(new_key(engine, "carol", roles=("operate",)))
    for found in (job, single):
        assert kind(gateway.post(f"/v1/jobs/{found['id']}/cancel", headers=stranger)) == "job-unknown"
        answer = gateway.post(f"/v1/jobs/{found['id']}/cancel", headers=operator)
        assert answer.status_code == 200
        assert not {"name", "client_id", "result", "request_id", "error"} & set(answer.json())
    assert gateway.get(f"/v1/jobs/{job['id']}").json()["status"] == "cancelled"
    assert [line[1:2] + line[4:6] for line in audit(engine)] == [
        ("carol", "job.cancel", f"job {found['id']}") for found in (job, single)
    ]
    own = gateway.post("/v1/jobs", json={"client_ids": [1], "name": "mine", "model": SAMPLE_MODEL}).json()
    for _ in range(2):  # a cancel that stops nothing is no act
        assert gateway.post(f"/v1/jobs/{own['id']}/cancel").json()["name"] == "mine"
    alone = gateway.post("/v1/predict", json={"client_id": 1, "model": SAMPLE_MODEL}).json()
    assert gateway.post(f"/v1/jobs/{alone['id']}/cancel").json()["status"] == "cancelled"
    assert [line[4:6] for line in audit(engine)[2:]] == [("job.cancel", f"job {job['id']}") for job in (own, alone)]


def test_a_key_ends_when_it_is_meant_to(gateway: Gateway, engine: Engine) -> None:
    """From its end on it is as good as unknown; until then nobody notices that it has one."""
    lasting = bearer(new_key(engine, "alice", expires_at=datetime.now(UTC) + timedelta(hours=1)))
    ended = bearer(key := new_key(engine, "alice", expires_at=datetime.now(UTC) + timedelta(hours=1)))
    with autocommit(engine) as connection:
        past = text("UPDATE predictq.api_keys SET expires_at = now() - interval '1 s' WHERE key_hash = :hash")
        connection.execute(past, {"hash": hash_key(key)})
    assert gateway.get("/v1/models", headers=lasting).status_code == 200
    assert gateway.get("/v1/models", headers=ended).status_code == 401


def test_the_last_use_of_a_key_is_noted_in_the_background(gateway: Gateway, engine: Engine) -> None:
    """All keys that were in use, by one statement now and then; one that nobody uses keeps its time."""
    services = gateway.services
    _, unused = create(engine, "alice")
    gateway.get("/v1/models")

    def write() -> bool:
        async def once() -> None:
            await KeyUse(services.auth, services.quick).write()

        asyncio.run(once())
        with engine.connect() as connection:
            used = connection.execute(text("SELECT id, last_used_at FROM predictq.api_keys")).all()
        return dict(map(tuple, used))[unused.id] is None and any(at is not None for _, at in used)

    wait_until(write, what="the use of a key is noted")
