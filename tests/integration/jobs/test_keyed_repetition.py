"""What was accepted under an Idempotency-Key stays accepted, whatever the model is by the time the call is repeated."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from uuid_utils.compat import uuid7

from model.artefact import build_artefact
from model.registration import new_version
from shared.config import Settings
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.jobs.accepting.singles import claim_idempotency_key
from shared.models.registry import promote_version, register_version
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.postgres.engine import transaction
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.integration.jobs.jobs_support import answer, take
from tests.integration.stored.erasure_support import erase, key_of
from tests.models import TestModel
from tests.support import OWNER, add_clients, add_model, bulk_job

FEATURES = {"age": 30, "monthly_income": 1000, "department": "Sales", "over_time": True}
CSV, NDJSON = {"Content-Type": "text/csv"}, {"Content-Type": "application/x-ndjson"}
PARQUET = {"Content-Type": "application/vnd.apache.parquet"}
ARROW = {"Content-Type": "application/vnd.apache.arrow.file"}
ROWS = ",".join(FEATURES) + "\n" + "30,1000,Sales,true\n" * 3
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "one client": ("/v1/predict", {"json": {"client_id": 1}}),
    "features of one": ("/v1/predict_raw", {"json": {"features": FEATURES}}),
    "a list": ("/v1/jobs", {"json": {"client_ids": [1, 2], "name": "July"}}),
    "a long list": ("/v1/jobs", {"json": {"client_ids": [1, 2] * 20_000}}),
    "a filter": ("/v1/jobs", {"json": {"where": {"age": 25}}}),
    "all": ("/v1/jobs", {"json": {"all": True}}),
    "keys as CSV": ("/v1/jobs", {"content": "client_id\n1\n2\n", "headers": CSV}),
    "many keys": ("/v1/jobs", {"content": "1\n" * 200_000, "headers": CSV}),
    "keys as NDJSON": ("/v1/jobs", {"content": "1\n2\n", "headers": NDJSON}),
    "features as CSV": ("/v1/jobs?features=upload", {"content": ROWS, "headers": CSV}),
    "features as NDJSON": ("/v1/jobs?features=upload", {"content": json.dumps(FEATURES) + "\n", "headers": NDJSON}),
    "a table": ("/v1/jobs", {"content": b"PAR1", "headers": PARQUET}),
    "repeat": ("/v1/jobs/JOB/repeat", {}),
    "retry": ("/v1/jobs/JOB/retry", {}),
}


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """Ten clients and a live model of their source."""
    add_clients(engine, 10)
    add_model(engine)
    with running_gateway(settings, new_key(engine, OWNER)) as client:
        yield client


def promote_without_source(engine: Engine) -> None:
    """Another version goes live: it takes other features, and they come with each call."""
    signature = Signature((FeatureSpec("height", FeatureKind.NUMBER),))
    with transaction(engine) as connection:
        version = new_version(build_artefact(TestModel(), signature, 0.5, name="other"), source_id=None)
        promote_version(connection, register_version(connection, version).id)


def ask(gateway: Gateway, path: str, call: dict[str, Any], key: str) -> httpx.Response:
    return gateway.post(path, **{**call, "headers": {**call.get("headers", {}), "Idempotency-Key": key}})


def test_a_repetition_is_answered_whatever_is_live_by_then(gateway: Gateway, engine: Engine) -> None:
    """By the job that the first call led to, on every route that makes jobs; the same under a new key is refused."""
    earlier = accept_keys(engine, bulk_job(engine), ListedIds([1, 2]), 2).job_id
    answer(engine, take(engine), errors=1)
    calls = {name: (path.replace("JOB", str(earlier)), call) for name, (path, call) in CALLS.items()}
    first = {
        name: ask(gateway, path, call, f"key-{number}") for number, (name, (path, call)) in enumerate(calls.items())
    }
    assert {name: made.status_code for name, made in first.items()} == dict.fromkeys(calls, 202)
    promote_without_source(engine)
    gateway.services.models.forget()
    for number, (name, (path, call)) in enumerate(calls.items()):
        again = ask(gateway, path, call, f"key-{number}")
        assert again.headers.get("Idempotency-Replayed") == "true", (name, again.text)
        assert again.json()["id"] == first[name].json()["id"], name
        assert ask(gateway, path, call, f"new-{number}").status_code == 422, name
        other = ask(gateway, path, call, f"key-{(number + 1) % len(calls)}")
        assert other.json()["type"] == "/problems/idempotency-key-reused", name


def test_a_repetition_is_answered_while_no_version_is_live(gateway: Gateway, engine: Engine) -> None:
    """On every route. A file that nobody looks at any more is read to its end, to see whether it is the same."""
    earlier = accept_keys(engine, bulk_job(engine), ListedIds([1, 2]), 2).job_id
    answer(engine, take(engine), errors=1)
    large = ("/v1/jobs?name=large", {"content": b"PAR1" + b"x" * 3_000_000, "headers": PARQUET})
    calls = {name: (path.replace("JOB", str(earlier)), call) for name, (path, call) in CALLS.items()}
    calls |= {"a large table": large}
    first = {name: ask(gateway, path, call, name.replace(" ", "-")) for name, (path, call) in calls.items()}
    assert {name: made.status_code for name, made in first.items()} == dict.fromkeys(calls, 202)
    with transaction(engine) as connection:
        connection.exec_driver_sql("UPDATE predictq.models SET live_version_id = NULL")
    gateway.services.models.forget()
    for name, (path, call) in calls.items():
        again = ask(gateway, path, call, name.replace(" ", "-"))
        assert again.headers.get("Idempotency-Replayed") == "true", (name, again.text)
        assert again.json()["id"] == first[name].json()["id"], name
        assert ask(gateway, path, call, "new").json()["type"] == "/problems/no-live-model", name
    with transaction(engine) as connection:
        kept = connection.exec_driver_sql("SELECT count(*) FROM predictq.uploads").scalar_one()
    assert kept == 2, "of each table once"


def test_keys_count_as_they_are_spelled(gateway: Gateway) -> None:
    """Two spellings of a client's key are two payloads: `client_id` comes back as it was written."""
    made = ask(gateway, "/v1/jobs", {"content": "client_id\n007\n", "headers": CSV}, "k")
    assert made.status_code == 202
    other = ask(gateway, "/v1/jobs", {"content": "client_id\n7\n", "headers": CSV}, "k")
    assert other.json()["type"] == "/problems/idempotency-key-reused"


@pytest.mark.parametrize("name", ["a list", "a filter", "all", "keys as CSV", "features as NDJSON", "a table"])
def test_another_deadline_or_name_is_another_payload(gateway: Gateway, name: str) -> None:
    """Whoever asks for it by another time must not be told of a job that ends at the first one."""
    path, call = CALLS[name]
    first = {"deadline": "2999-01-01T12:00:00Z", "name": "July"}
    same = {"deadline": "2999-01-01T13:00:00+01:00", "name": "July"}
    others: list[dict[str, str]] = [
        {"deadline": "2999-01-02T12:00:00Z", "name": "July"}, {"deadline": "2999-01-01T12:00:00Z", "name": "August"},
        {"deadline": "2999-01-01T12:00:00Z"}, {"name": "July"}, {},
    ]  # fmt: skip

    def told(said: dict[str, str]) -> httpx.Response:
        if "json" in call:
            body = {name: value for name, value in call["json"].items() if name != "name"}
            return ask(gateway, path, {"json": {**body, **said}}, "k")
        return ask(gateway, str(httpx.URL(path).copy_merge_params(said)), call, "k")

    made = told(first)
    assert made.status_code == 202, made.text
    assert told(same).json()["id"] == made.json()["id"]
    for said in others:
        assert told(said).json()["type"] == "/problems/idempotency-key-reused", said


def test_a_key_that_another_gateway_is_accepting_stops_nobody(gateway: Gateway, engine: Engine) -> None:
    """A bulk job may take minutes: a single call of its key is a 409 at once, and others are accepted as ever."""
    with transaction(engine) as connection:
        claim_idempotency_key(connection, OWNER, "k", "a" * 64, uuid7())
        began = time.monotonic()
        in_flight = ask(gateway, *CALLS["one client"], "k")
        assert (in_flight.status_code, in_flight.json()["type"]) == (409, "/problems/idempotency-key-in-flight")
        assert ask(gateway, *CALLS["one client"], "other").status_code == 202
        assert gateway.post("/v1/predict", json={"client_id": 1}).status_code == 202
        assert gateway.post("/v1/predict", json={"client_id": 99}).status_code == 404
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("kinds", [(CSV, NDJSON), (NDJSON, CSV), (PARQUET, ARROW)])
def test_the_same_bytes_of_another_kind_are_another_payload(
    gateway: Gateway, kinds: tuple[dict[str, str], dict[str, str]]
) -> None:
    """The kind says how bytes are read: as CSV and as NDJSON a file may name other clients."""
    made, other, again = (
        ask(gateway, "/v1/jobs", {"content": "1\n2\n", "headers": kind}, "k") for kind in (*kinds, kinds[0])
    )
    assert made.status_code == 202, made.text
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    written_otherwise = {"Content-Type": kinds[0]["Content-Type"].upper() + "; charset=UTF-8"}
    spelled = ask(gateway, "/v1/jobs", {"content": "1\n2\n", "headers": written_otherwise}, "k")
    assert [one.json()["id"] for one in (again, spelled)] == [made.json()["id"]] * 2


@pytest.mark.parametrize(
    "asked", [{"client_ids": [1, 2]}, {"where": {"client_id": [1, 2]}}], ids=["a list", "a filter that names her"]
)
def test_a_repetition_after_an_erasure_names_the_job(gateway: Gateway, engine: Engine, asked: dict[str, Any]) -> None:
    """A caller who has lost the 202 of a bulk job still learns its id, though one of its clients was erased.

    What was asked is forgotten, so that another payload is told the same.
    """
    made = ask(gateway, "/v1/jobs", {"json": asked}, "nightly")
    assert made.status_code == 202, made.text
    erase(engine, key_of(engine, 1))
    for payload in (asked, {"client_ids": [3]}):
        again = ask(gateway, "/v1/jobs", {"json": payload}, "nightly")
        assert (again.status_code, again.json()["type"]) == (410, "/problems/erased")
        assert (again.json()["reason"], again.json()["about"]) == (
            "job-asked-for-erased",
            {"job_id": made.json()["id"]},
        )
        assert made.json()["id"] in again.json()["detail"]
        assert "Nothing of it is left" not in again.json()["detail"]
    assert gateway.get(f"/v1/jobs/{made.json()['id']}").json()["status"] == "queued"
