"""Single predictions through a real gateway: accepted, validated, replayed, waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.sources.source import read_source, update_source
from shared.status import Queue
from tests.integration.gateway.api_support import Gateway, answer_batches, new_key, running_gateway
from tests.support import add_clients, add_model, wait_until
from worker.scoring.scorer import Scorer

RAW = {"age": 30, "monthly_income": 2000, "department": "Sales", "over_time": True}


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with a live model and clients 1…50, called by alice."""
    add_model(engine)
    add_clients(engine, 50)
    with running_gateway(settings, new_key(engine, "alice")) as client:
        yield client


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_a_202_is_in_the_database_and_points_to_the_job(gateway: Gateway, engine: Engine) -> None:
    """The answer has the job, where to ask and when; the job is the same when it is read."""
    answer = gateway.post("/v1/predict", json={"client_id": 5})
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert UUID(answer.json()["id"]).version == 7
    assert count(engine, "predictq.jobs") == 1
    read = gateway.get(answer.headers["location"])
    assert read.status_code == 200
    assert read.json() == answer.json()
    assert read.json()["status"] == "queued"
    assert read.headers["retry-after"] == "1"


def test_a_source_that_is_read_as_a_whole_refuses_single_keys_with_a_way_out(gateway: Gateway, engine: Engine) -> None:
    """It may have been measured at a busy moment: the refusal names the command that measures anew."""
    with engine.begin() as connection:
        update_source(connection, replace(read_source(connection, "clients"), is_scan=True))
    refused = gateway.post("/v1/predict", json={"client_id": 5})
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/source-too-slow")
    assert "predictq sources check clients measures anew" in refused.json()["detail"]
    assert gateway.post("/v1/predict_raw", json={"features": RAW}).status_code == 202


@pytest.mark.parametrize(
    "for_gateway", ["", "CREATE POLICY low ON predictq_data.clients TO predictq_gateway USING (client_id < 5)"]
)
def test_clients_that_row_security_hides_from_the_gateway_alone_are_answered(
    settings: Settings, engine: Engine, scorer: Scorer, for_gateway: str
) -> None:
    """The worker's word counts: whom it finds she has an answer, whom it does not find is an unknown client."""
    add_model(engine)
    add_clients(engine, 10)
    with engine.begin() as connection:
        connection.execute(
            text(
                "ALTER TABLE predictq_data.clients ENABLE ROW LEVEL SECURITY; "
                "CREATE POLICY all_rows ON predictq_data.clients TO predictq_worker USING (client_id < 10);"
                + for_gateway
            )
        )
    found = []
    with running_gateway(settings, new_key(engine, "alice")) as client:
        for client_id in (5, 10, 99):
            accepted = client.post("/v1/predict", json={"client_id": client_id})
            assert accepted.status_code == 202, accepted.text
            assert scorer.work(Queue.INTERACTIVE) == ["finished"]
            found.append(client.get(accepted.headers["location"]).json())
    assert [job["status"] for job in found] == ["succeeded", "failed", "failed"]
    assert [job["error"]["code"] for job in found[1:]] == ["unknown_client"] * 2


def test_the_result_is_in_the_job(gateway: Gateway, engine: Engine) -> None:
    """Once answered, the job has its result, its counts and its times, and no advice to ask again."""
    location = gateway.post("/v1/predict", json={"client_id": 5}).headers["location"]
    answer_batches(engine)
    read = gateway.get(location)
    job = read.json()
    assert "retry-after" not in read.headers
    assert job["status"] == "succeeded"
    assert job["request_counts"] == {"total": 1, "succeeded": 1, "failed": 0, "cancelled": 0}
    assert job["result"] == {
        "client_id": 5,
        "probability": 0.25,
        "label": 0,
        "threshold": 0.5,
        "model": "default",
        "model_version": 1,
    }
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    assert job["error"] is None


def test_features_are_stored_as_the_model_wants_them(gateway: Gateway, engine: Engine) -> None:
    """A whole number given as 3.0 is stored as 3; the order of the fields does not matter."""
    answer = gateway.post("/v1/predict_raw", json={"features": {**RAW, "age": 30.0}})
    assert answer.status_code == 202
    assert answer.json()["client_id"] is None
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT given[1] FROM predictq.batch_requests")).scalar_one()
    assert '"age":30,' in stored


def test_calls_that_come_together_share_a_batch(gateway: Gateway, engine: Engine) -> None:
    """Many callers at once, far fewer batches, and each caller gets the job it asked for."""
    answers: dict[int, Any] = {}

    def call(client_id: int) -> None:
        answers[client_id] = gateway.post("/v1/predict", json={"client_id": client_id})

    threads = [threading.Thread(target=call, args=(client_id,)) for client_id in range(1, 41)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.text for answer in answers.values() if answer.status_code != 202] == []
    assert sorted(answer.json()["client_id"] for answer in answers.values()) == list(range(1, 41))
    assert count(engine, "predictq.prediction_batches") < 40


@pytest.mark.parametrize(
    ("path", "body", "other"),
    [
        ("/v1/predict", {"client_id": 5}, {"client_id": 6}),
        ("/v1/predict_raw", {"features": RAW}, {"features": {**RAW, "age": 31}}),
        ("/v1/jobs", {"client_ids": [1, 2]}, {"client_ids": [2, 1]}),
        ("/v1/jobs", {"where": {"department": "Sales"}}, {"all": True}),
    ],
)
def test_an_idempotency_key_makes_a_repeat_harmless(
    gateway: Gateway, engine: Engine, path: str, body: dict[str, Any], other: dict[str, Any]
) -> None:
    """The same payload gives the same job as it stands now, another payload 422, another owner a job of its own."""
    headers = {"Idempotency-Key": "order-17"}
    first = gateway.post(path, json=body, headers=headers)
    assert first.status_code == 202
    assert "idempotency-replayed" not in first.headers
    again = gateway.post(path, json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert again.headers["idempotency-replayed"] == "true"
    answer_batches(engine)
    done = gateway.post(path, json=body, headers=headers)
    assert (done.status_code, done.json()["status"]) == (200, "succeeded")
    refused = gateway.post(path, json=other, headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert count(engine, "predictq.jobs") == 1
    stranger = {**headers, "Authorization": f"Bearer {new_key(engine, 'bob')}"}
    assert gateway.post(path, json=body, headers=stranger).json()["id"] != first.json()["id"]


def test_a_key_that_is_being_accepted_right_now_is_409(gateway: Gateway, engine: Engine) -> None:
    """Two calls with one key at the same moment: one is told to come again."""
    statuses = []
    call = {"json": {"client_id": 5}, "headers": {"Idempotency-Key": "k"}}
    with engine.connect() as connection:  # holds up every accept until it is closed
        connection.execute(text("LOCK TABLE predictq.jobs IN SHARE MODE"))
        slow = threading.Thread(target=lambda: statuses.append(gateway.post("/v1/predict", **call).status_code))
        slow.start()
        wait_until(lambda: gateway.services.intake.idempotency._in_flight, what="the first call is in flight")
        second = gateway.post("/v1/predict", **call)
    slow.join()
    assert second.status_code == 409
    assert second.json()["type"] == "/problems/idempotency-key-in-flight"
    assert statuses == [202]


def test_prefer_wait_answers_with_the_result(gateway: Gateway, engine: Engine, settings: Settings) -> None:
    """As soon as a notice says that the batch is done."""
    answers = []
    call = threading.Thread(
        target=lambda: answers.append(gateway.post("/v1/predict", json={"client_id": 5}, headers={"Prefer": "wait=20"}))
    )
    wait_until(lambda: gateway.services.notices.is_subscribed, what="subscribed")
    call.start()
    wait_until(lambda: answer_batches(engine, settings), what="the job is there")
    call.join()
    assert answers[0].status_code == 200
    assert answers[0].headers["preference-applied"] == "wait=20"
    assert answers[0].json()["result"]["client_id"] == 5


def test_prefer_wait_needs_no_notice(gateway: Gateway, engine: Engine) -> None:
    """A lost notice costs a poll, no more; reading a job can wait as well."""
    location = gateway.post("/v1/predict", json={"client_id": 5}).headers["location"]
    answers = []
    call = threading.Thread(target=lambda: answers.append(gateway.get(location, headers={"Prefer": "wait=20"})))
    call.start()
    wait_until(lambda: gateway.services.waiting.open, what="somebody waits")
    answer_batches(engine)
    call.join()
    assert answers[0].json()["status"] == "succeeded"
    assert answers[0].headers["preference-applied"] == "wait=20"
    assert gateway.services.waiting.open == 0


def test_prefer_wait_ends_in_time(gateway: Gateway) -> None:
    """A job that is not done by then is a 202, or a 200 that says so, as without the preference."""
    answer = gateway.post("/v1/predict", json={"client_id": 5}, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers
    read = gateway.get(answer.headers["location"], headers={"Prefer": "wait=1"})
    assert (read.status_code, read.json()["status"]) == (200, "queued")
    assert "preference-applied" not in read.headers


def test_a_new_model_is_noticed_between_check_and_accept(gateway: Gateway, engine: Engine) -> None:
    """Features are checked against the version that will score them, even when it went live a moment ago."""
    assert gateway.post("/v1/predict_raw", json={"features": RAW}).json()["model_version"] == 1
    add_model(engine)
    assert gateway.post("/v1/predict_raw", json={"features": RAW}).json()["model_version"] == 2


def test_without_a_live_model_nothing_is_accepted(settings: Settings, engine: Engine) -> None:
    """503, with what to do."""
    add_clients(engine, 1)
    with running_gateway(settings, new_key(engine, "alice")) as gateway:
        calls = {"/v1/predict": {"client_id": 1}, "/v1/predict_raw": {"features": RAW}, "/v1/jobs": {"all": True}}
        for path, body in calls.items():
            answer = gateway.post(path, json=body)
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/no-live-model")
            assert int(answer.headers["retry-after"]) > 0


def test_job_ids_go_by_the_clock_of_the_database(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs are partitioned by the time that their ids say: a gateway whose clock is years off accepts all the same."""
    add_model(engine)
    add_clients(engine, 1)
    with engine.begin() as connection:  # the database's clock is three years ahead of the gateway's
        connection.execute(text(_LATER))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with running_gateway(settings, new_key(engine, "alice")) as gateway:
        for path, body in (("/v1/predict", {"client_id": 1}), ("/v1/predict_raw", {"features": RAW})):
            accepted = gateway.post(path, json=body)
            assert accepted.status_code == 202, accepted.text
        for selection in ({"client_ids": [1]}, {"all": True}):
            assert gateway.post("/v1/jobs", json=selection).status_code == 202
        listed = gateway.get("/v1/jobs").json()["jobs"]
    years = [(UUID(job["id"]).int >> 80) / 1000 / 31_557_600 + 1970 for job in listed]
    with engine.connect() as connection:
        now = connection.execute(text("SELECT extract(epoch FROM now())::float8 / 31557600 + 1970")).scalar_one()
    assert [round(year - now, 2) for year in years] == [3.0] * 4


_LATER = """
CREATE SCHEMA later;
GRANT USAGE ON SCHEMA later TO PUBLIC;
CREATE FUNCTION later.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
    $$ SELECT pg_catalog.clock_timestamp() + 3 * 31557600 * interval '1 second' $$;
SELECT predictq.add_partition(
    'jobs', 'jobs_later', predictq.first_uuid_of(later.clock_timestamp() - interval '1 hour')::text,
    predictq.first_uuid_of(later.clock_timestamp() + interval '1 hour')::text);
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = later, pg_catalog', current_database());
END $$;
"""


@pytest.mark.parametrize("value", [30, 30.0])
def test_a_key_leads_to_its_job_whatever_model_is_live(gateway: Gateway, engine: Engine, value: float) -> None:
    """Another model takes other features: the repetition of what was accepted is its job, another payload a 422."""
    asked = {"features": {**RAW, "age": 30}}
    keyed = {"Idempotency-Key": "k"}
    first = gateway.post("/v1/predict_raw", json=asked, headers=keyed)
    assert first.status_code == 202
    add_model(engine, signature=Signature((FeatureSpec("age", FeatureKind.CATEGORY, nullable=False),)))
    gateway.services.models.forget()
    assert gateway.post("/v1/predict_raw", json=asked).status_code == 422, "the live model takes it no more"
    again = gateway.post("/v1/predict_raw", json={"features": {**RAW, "age": value}}, headers=keyed)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert again.headers["idempotency-replayed"] == "true"
    for features in ({**RAW, "age": 31}, {"age": "a word"}):
        other = gateway.post("/v1/predict_raw", json={"features": features}, headers=keyed)
        assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.models SET live_version_id = NULL"))
    gateway.services.models.forget()
    assert gateway.post("/v1/predict_raw", json=asked, headers=keyed).json()["id"] == first.json()["id"]
