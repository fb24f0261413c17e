"""What a gateway refuses, and how it says so. One gateway for all of these, because a refusal leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.postgres.engine import make_engine
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.roles import service_settings
from tests.support import add_clients, add_model

RAW = {"age": 30, "monthly_income": 2000, "department": "Sales", "over_time": True}
CSV = {"Content-Type": "text/csv"}
TABLES = (
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.file",
    "application/vnd.apache.arrow.stream",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
)


@pytest.fixture(scope="module")
def shared_settings(make_database: Callable[..., str], module_redis_url: str) -> Settings:
    """Settings with small limits, on a database of this module's own."""
    return service_settings(make_database(), module_redis_url, max_upload_rows=1000, max_json_ids=100)


@pytest.fixture(scope="module")
def shared_engine(shared_settings: Settings) -> Iterator[Engine]:
    """An engine on that database."""
    engine = make_engine(shared_settings, application_name="test", pool_size=2)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def gateway(shared_settings: Settings, shared_engine: Engine) -> Iterator[Gateway]:
    """A gateway with a live model and clients 1…50, called by alice."""
    add_model(shared_engine)
    add_clients(shared_engine, 50)
    with running_gateway(shared_settings, new_key(shared_engine, "alice")) as client:
        yield client


def count_bulk_jobs(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM predictq.jobs WHERE kind = 'bulk'")).scalar_one())


@pytest.mark.parametrize(
    ("body", "status", "pointers"),
    [
        ({"client_id": 0}, 404, ["/client_id"]),
        ({"client_id": -5}, 404, ["/client_id"]),
        ({"client_id": 2**63}, 422, ["/client_id"]),
        ({"client_id": 10**30}, 422, ["/client_id"]),
        ({"client_id": "five"}, 422, ["/client_id"]),
        ({"client_id": "51"}, 404, ["/client_id"]),
        ({"client_id": {"no": 5}}, 422, ["/client_id"]),
        ({"client_id": 5.0}, 422, ["/client_id"]),
        ({"client_id": True}, 422, ["/client_id"]),
        ({"client_id": None}, 422, ["/client_id"]),
        ({}, 422, ["/client_id"]),
        ({"client_id": 5, "x/y": 1}, 422, ["/x~1y"]),
        ([5], 422, [""]),
        ({"client_id": 51}, 404, ["/client_id"]),
    ],
)
def test_a_bad_client_id_is_refused_with_a_pointer(
    gateway: Gateway, body: object, status: int, pointers: list[str]
) -> None:
    """Only whole numbers from 1 to 2⁶³-1 of clients that exist, and no other field."""
    answer = gateway.post("/v1/predict", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert [error["pointer"] for error in problem["errors"]] == pointers
    assert problem["status"] == status
    assert problem["instance"] == "/v1/predict"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert gateway.get(problem["type"]).json()["title"] == problem["title"]


@pytest.mark.parametrize(
    ("features", "pointers"),
    [
        ({**RAW, "age": "thirty"}, ["/features/age"]),
        ({**RAW, "age": 13, "department": "Elsewhere"}, ["/features/age", "/features/department"]),
        ({name: RAW[name] for name in ("age", "department")}, ["/features/over_time"]),
        ({**RAW, "shoe_size": 44}, ["/features/shoe_size"]),
        ([1], ["/features"]),
        (None, ["/features"]),
    ],
)
def test_features_are_held_against_the_live_model(gateway: Gateway, features: object, pointers: list[str]) -> None:
    """Every problem has its pointer."""
    answer = gateway.post("/v1/predict_raw", json={"features": features})
    assert answer.status_code == 422
    assert sorted(error["pointer"] for error in answer.json()["errors"]) == pointers


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{oops", {}, 400),
        (b"\xff", {}, 400),
        (b"", {}, 400),
        (b'{"client_id": 5}', {"Content-Type": "text/plain"}, 415),
        (b'{"client_id": 5}', {"Content-Encoding": "gzip"}, 415),
        (b'{"client_id": 5}' + b" " * 1_000_000, {}, 413),
        (b'{"client_id": 5}', {"Idempotency-Key": "a b"}, 422),
        (b'{"client_id": 5}', {"Content-Type": "application/json; charset=utf-8"}, 202),
        (b'{"client_id": 5}', {"Content-Type": "application/vnd.x+json"}, 202),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(
    gateway: Gateway, content: bytes, headers: dict[str, str], status: int
) -> None:
    """With the status that tells why."""
    answer = gateway.post("/v1/predict", content=content, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == status, answer.text
    if status != 202:
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status", "pointers"),
    [
        ({}, 422, [""]),
        ({"client_ids": [1], "all": True}, 422, [""]),
        ({"clients": [1]}, 422, ["/clients"]),
        ({"client_ids": []}, 422, ["/client_ids"]),
        ({"client_ids": "1"}, 422, ["/client_ids"]),
        ({"client_ids": [1, True, "x", 3.0, 2**64]}, 422, [f"/client_ids/{n}" for n in range(1, 5)]),
        ({"client_ids": [None] * 50}, 422, [f"/client_ids/{n}" for n in range(20)]),
        ({"client_ids": [1] * 101}, 413, None),
        ({"all": False}, 422, ["/all"]),
        ({"where": {}}, 422, ["/where"]),
        ({"where": [1]}, 422, ["/where"]),
        ({"where": {"shoe_size": 44}}, 422, ["/where/shoe_size"]),
        ({"where": {"age": {"above": 30}}}, 422, ["/where/age"]),
        ({"where": {"age": [30, "x"]}}, 422, ["/where/age"]),
    ],
)
def test_a_bad_selection_is_refused(
    gateway: Gateway, body: dict[str, Any], status: int, pointers: list[str] | None
) -> None:
    """With pointers, at most twenty."""
    answer = gateway.post("/v1/jobs", json=body)
    assert answer.status_code == status
    assert [error["pointer"] for error in answer.json().get("errors", [])] == (pointers or [])


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"1\nx\n", CSV, 422),
        (b"client_id\n", CSV, 422),
        (b'client_id,n\n1,"abc\n2,x\n3,x\n', CSV, 422),
        (b"client_id\r1\r2\n3\n4\n", CSV, 422),
        (b"", CSV, 422),
        (b"1\n" * 1001, CSV, 413),
        (b"1\n", {**CSV, "Content-Encoding": "gzip"}, 415),
        (b"<ids/>", {"Content-Type": "application/xml"}, 415),
        (b"x\n" + b"1\n" * 2_000_000, CSV, 422),
    ],
)
def test_a_bad_upload_leaves_nothing_behind(
    gateway: Gateway, shared_engine: Engine, content: bytes, headers: dict[str, str], status: int
) -> None:
    """Refused as a whole, also where the fault shows before the end has come."""
    before = count_bulk_jobs(shared_engine)
    answer = gateway.post("/v1/jobs", content=content, headers=headers)
    assert answer.status_code == status
    assert count_bulk_jobs(shared_engine) == before


def test_a_media_type_that_nobody_reads_is_told_what_is_read(gateway: Gateway) -> None:
    """415 names every type that the call takes, for people in detail and for programs in Accept."""
    for path, types in (
        ("/v1/predict", ["application/json"]),
        ("/v1/jobs", ["application/json", "text/csv", "application/x-ndjson", *TABLES]),
    ):
        answer = gateway.post(path, content=b"x", headers={"Content-Type": "application/pdf"})
        assert (answer.status_code, answer.headers["accept"]) == (415, ", ".join(types))
        assert all(media_type in answer.json()["detail"] for media_type in types)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=10001", "limit=x", "limit=1.5", "cursor=!", "cursor=AAAA", "cursor=eHg6eHg"]
)
def test_a_bad_page_is_refused(gateway: Gateway, shared_engine: Engine, query: str) -> None:
    """422 with a pointer to the parameter."""
    location = gateway.post("/v1/jobs", json={"client_ids": [1]}).headers["location"]
    answer_batches(shared_engine)
    for path in (f"{location}/results", "/v1/jobs"):
        answer = gateway.get(f"{path}?{query}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == f"/query/{query.partition('=')[0]}"


def test_a_media_type_that_cannot_be_given_is_406(gateway: Gateway) -> None:
    """With what there is."""
    location = gateway.post("/v1/jobs", json={"all": True}).headers["location"]
    answer = gateway.get(f"{location}/results", headers={"Accept": "application/pdf"})
    assert (answer.status_code, answer.json()["type"]) == (406, "/problems/not-acceptable")


@pytest.mark.parametrize("text", [r"a\u0000b", r"\u0000", r"\ud800", r"x\udc00y"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/predict", '{"client_id": "TEXT"}'),
        ("POST", "/v1/predict", '{"TEXT": 1}'),
        ("POST", "/v1/predict_raw", '{"features": {"department": "TEXT"}}'),
        ("POST", "/v1/predict_raw", '{"features": {"TEXT": 1}}'),
        ("POST", "/v1/jobs", '{"client_ids": ["TEXT"]}'),
        ("POST", "/v1/jobs", '{"where": {"department": ["Sales", "TEXT"]}}'),
        ("POST", "/v1/jobs", '{"where": {"TEXT": 1}}'),
        ("POST", "/v1/erasures", '{"client_id": "TEXT", "reason": "x"}'),
        ("POST", "/v1/erasures", '{"client_id": 1, "reason": "TEXT"}'),
        ("POST", "/v1/erasures", '{"client_id": {"a": "TEXT"}, "reason": "x"}'),
        ("POST", "/v1/clients/export", '{"client_id": 1, "source": "TEXT"}'),
        ("POST", "/v1/holds", '{"client_id": "TEXT", "reason": "x"}'),
        ("POST", "/v1/holds", '{"model": "TEXT", "reason": "x"}'),
        ("PUT", "/v1/retention", '{"keep_for": "13 months", "model": "TEXT"}'),
        ("PUT", "/v1/retention/floor", '{"floor": "TEXT"}'),
    ],
)
def test_nul_and_halves_of_characters_are_refused(
    gateway: Gateway, shared_engine: Engine, method: str, path: str, body: str, text: str
) -> None:
    """Wherever a text can stand: neither PostgreSQL nor its driver takes them, so that a 500 would be the answer."""
    admin = {**bearer(new_key(shared_engine, "root", is_admin=True)), "Content-Type": "application/json"}
    answer = gateway.request(method, path, content=body.replace("TEXT", text), headers=admin)
    assert answer.status_code in (400, 422), answer.text


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/jobs/%00", "/v1/jobs/%00/results", "/v1/predictions/1-%00", "/v1/models/%00", "/v1/erasures/%00"),
        *("/v1/retention/runs/%00", "/v1/jobs?cursor=%00", "/v1/jobs?status=%00", "/problems/%00", "/docs/assets/%00"),
        *("/v1/jobs/%ed%a0%80", "/v1/predictions/%ed%a0%80", "/v1/jobs?cursor=%ed%a0%80"),
    ],
)
def test_no_path_and_no_parameter_holds_them(gateway: Gateway, shared_engine: Engine, path: str) -> None:
    """Refused as what is not there, or not valid."""
    admin = bearer(new_key(shared_engine, "root", is_admin=True))
    assert gateway.get(path, headers=admin).status_code in (404, 422)
