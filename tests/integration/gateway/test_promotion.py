"""Which versions do not go live: those that their source cannot feed, by promotion or by going back."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine, text

from model.artefact import build_artefact
from model.registration import new_version
from shared.config import Settings
from shared.models.registry import promote_version, register_version
from shared.postgres.engine import autocommit
from shared.sources.source import Source, read_source
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.models import SIGNATURE, TestModel
from tests.roles import as_worker
from tests.support import add_clients, add_model
from worker.sources.errands import SourceErrands

FORCED = {"force": "the table is mended tonight"}


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with two versions, the second of which is live, called by an admin."""
    add_model(engine)
    add_clients(engine, 5)
    with running_gateway(settings, new_key(engine, "root", is_admin=True)) as client:
        add_model(engine)
        yield client


def change(engine: Engine, statement: str) -> Source:
    """Change the table of the source, and check the source."""
    with autocommit(engine) as connection:
        source = read_source(connection, "clients")
    with engine.begin() as connection:
        connection.execute(text(statement.format(table=f'"{source.schema}"."{source.relation}"')))
    SourceErrands(as_worker(engine)).check({"source_id": source.id})
    return source


def assert_refused(answer: httpx.Response, words: str) -> None:
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/model-refused")
    assert words in answer.json()["detail"]


CHANGES = {
    "gone": ("ALTER TABLE {table} DROP COLUMN age", "needs 1 feature that the source clients does not have: age"),
    "of another type": (
        "ALTER TABLE {table} DROP COLUMN age, ADD COLUMN age text",
        "was registered when age of the source clients had another type",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_version_that_its_source_cannot_feed_goes_live_with_a_reason_alone(
    gateway: Gateway, engine: Engine, name: str
) -> None:
    """The words name the feature, by promotion as by going back; one registered since fits the column as it is."""
    statement, words = CHANGES[name]
    change(engine, statement)
    for path in ("promote", "versions/1/promote", "rollback"):
        assert_refused(gateway.post(f"/v1/models/default/{path}", json={}), words)
    assert gateway.get("/v1/models/default").json()["live_version"] == 2
    assert gateway.post("/v1/models/default/rollback", json=FORCED).json()["version"] == 1
    assert gateway.post("/v1/models/default/versions/2/promote", json=FORCED).status_code == 200
    if name == "of another type":
        add_model(engine, promote=False)
        assert gateway.post("/v1/models/default/promote", json={}).json()["version"] == 3


def test_a_version_whose_source_was_removed_does_not_go_live(gateway: Gateway, engine: Engine) -> None:
    """No reason helps: a source that a live version reads cannot be removed, and going back would undo that."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.sources SET removed_at = now() WHERE name = 'clients'"))
    for path in ("promote", "versions/1/promote", "rollback"):
        for body in ({}, FORCED):
            answer = gateway.post(f"/v1/models/default/{path}", json=body)
            assert_refused(answer, "reads the source clients, which was removed. Add it again")
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.sources SET removed_at = NULL WHERE name = 'clients'"))
    assert gateway.post("/v1/models/default/rollback", json={}).json()["version"] == 1


def test_a_model_is_taken_out_of_service_and_comes_back(gateway: Gateway, engine: Engine) -> None:
    """New jobs of it are refused, also those that name no model, whatever else is live; accepted ones stay."""
    accepted = gateway.post("/v1/predict", json={"client_id": 1})
    assert accepted.status_code == 202
    assert gateway.post("/v1/models/default/withdraw", json={}).status_code == 422
    withdrawn = gateway.post("/v1/models/default/withdraw", json={"reason": "biased"})
    assert (withdrawn.status_code, withdrawn.json()["version"], withdrawn.json()["is_live"]) == (200, 2, False)
    with engine.begin() as connection:
        artefact = build_artefact(TestModel(), SIGNATURE, 0.5, name="other")
        other = new_version(artefact, source_id=read_source(connection, "clients").id, model="other")
        promote_version(connection, register_version(connection, other).id)
    for body in ({"client_id": 1}, {"client_id": 1, "model": "default"}):
        refused = gateway.post("/v1/predict", json=body)
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/no-live-model")
        assert refused.json()["detail"].startswith("No version of model default is live: none was promoted yet")
    assert gateway.post("/v1/models/default/withdraw", json={"reason": "again"}).status_code == 503
    assert gateway.get(accepted.headers["location"]).json()["status"] == "queued"
    (act,) = [line for line in gateway.get("/v1/audit").json()["acts"] if line["action"] == "model.withdraw"]
    assert (act["object"], act["before"], act["after"], act["reason"]) == (
        "default",
        {"live": "default:2"},
        {"live": None},
        "biased",
    )
    assert gateway.post("/v1/models/default/versions/2/promote", json={}).status_code == 200
    assert gateway.post("/v1/predict", json={"client_id": 1}).json()["model_version"] == 2
