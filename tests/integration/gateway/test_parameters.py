"""Parameters in the address of a call: one that the call does not take is refused, and never dropped without a word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Engine

from api.http.cursors import make_cursor
from api.http.query_names import QueryNames, query_names
from api.server.app import create_app
from shared.config import Settings
from shared.postgres.engine import make_engine
from tests.integration.gateway.api_support import Gateway, answer_batches, new_key, running_gateway
from tests.rights.test_rights import NOTHING
from tests.roles import service_settings
from tests.support import OWNER, add_clients, add_model, submit_bulk

CSV = {"Content-Type": "text/csv"}
PARQUET = {"Content-Type": "application/vnd.apache.parquet"}


def api_routes() -> list[tuple[str, str, QueryNames]]:
    """Every call under /v1: its method, its path with something in it, and the names that it takes."""
    app = create_app(Settings(database_url="postgresql://nobody@localhost/none", redis_url="redis://localhost:1"))
    found = []
    for route in app.routes:
        if isinstance(route, APIRoute) and route.path.startswith("/v1"):
            names = query_names(route)
            assert names is not None, route.path
            path = re.sub(r"{(\w+)}", lambda name: NOTHING[name[1]], route.path)
            found += [(method, path, names) for method in route.methods or ()]
    return found


@pytest.fixture(scope="module")
def service(make_database: Callable[..., str], module_redis_url: str) -> Settings:
    """Of a database of this module."""
    return service_settings(make_database(), module_redis_url)


@pytest.fixture(scope="module")
def owner(service: Settings) -> Iterator[Engine]:
    """Its owner's connections, with a live model and clients 1…5."""
    engine = make_engine(service, application_name="test", pool_size=2)
    add_model(engine)
    add_clients(engine, 5)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def gateway(service: Settings, owner: Engine) -> Iterator[Gateway]:
    """A gateway that is called by somebody who may do everything."""
    with running_gateway(service, new_key(owner, OWNER, is_admin=True)) as client:
        yield client


def test_no_call_takes_a_parameter_that_it_does_not_know(gateway: Gateway) -> None:
    """Whatever the call: 422 with the name, before anything is done."""
    wrong = []
    for method, path, _ in api_routes():
        answer = gateway.request(method, path, params={"nosuch": "1"})
        flaws = [(flaw["pointer"], flaw["code"]) for flaw in answer.json().get("errors", [])]
        if (answer.status_code, flaws) != (422, [("/query/nosuch", "unknown_parameter")]):
            wrong.append((method, path, answer.status_code, flaws))
    assert wrong == []


def test_no_parameter_is_taken_twice_where_one_would_be_dropped(gateway: Gateway) -> None:
    """Of two models the last would win. Only the jobs of a stream are a list."""
    wrong, lists = [], []
    for method, path, names in api_routes():
        lists += [(path, name) for name in names.repeated]
        for name in set(names.names) - names.repeated:
            answer = gateway.request(method, path, params=[(name, "a"), (name, "b")])
            flaws = [(flaw["pointer"], flaw["code"]) for flaw in answer.json().get("errors", [])]
            if (answer.status_code, flaws) != (422, [(f"/query/{name}", "repeated_parameter")]):
                wrong.append((method, path, name, answer.status_code, flaws))
    assert wrong == []
    assert lists == [("/v1/events", "job")]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("feature=upload", "'feature' is no parameter of this call: did you mean features? It takes model, name,"),
        ("Model=x", "'Model' is no parameter of this call: did you mean model? It takes"),
        ("deadlin=2999-01-01T00:00:00Z", "did you mean deadline?"),
        ("nmae=x", "did you mean name?"),
        ("nmae", "did you mean name?"),
        ("model=a&model=b", "model stands 2 times: give it once"),
        ("sheet=Sheet1", "sheet is one of a workbook, and what was sent is none"),
        (f"{'x' * 3000}=1", "is no parameter of this call: it takes model, name, deadline, features, sheet"),
        ("&".join(f"a{number}=1" for number in range(900)), "'a0' is no parameter of this call"),
    ],
)
@pytest.mark.parametrize("sent", [CSV, PARQUET], ids=["csv", "parquet"])
def test_a_misspelt_parameter_is_told_with_the_name_that_is_near(
    gateway: Gateway, sent: dict[str, str], query: str, said: str
) -> None:
    """Of an upload, which would have been scored by other features, or by another model."""
    answer = gateway.post(f"/v1/jobs?{query}", content=b"client_id\n1\n", headers=sent)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
    assert said in answer.json()["errors"][0]["detail"]
    assert len(answer.json()["errors"]) <= 20
    assert gateway.get("/v1/jobs?kind=bulk").json()["jobs"] == []


def test_what_stands_in_a_body_is_not_read_from_the_address(gateway: Gateway) -> None:
    """A model in the address of a call with a JSON body would be dropped, and the default one asked."""
    answer = gateway.post("/v1/predict?model=nosuch", json={"client_id": 1})
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        "'model' is no parameter of this call: it takes none in its address; what it takes stands in its body"
    )
    answer = gateway.post("/v1/jobs?model=nosuch", json={"client_ids": [1]})
    assert (answer.status_code, answer.json()["detail"]) == (422, "model stands in the body of a JSON call")
    assert gateway.post("/v1/predict?", json={"client_id": 1}).status_code == 202


def test_pages_for_people_and_for_probes_take_strange_parameters(gateway: Gateway) -> None:
    """What a mail program or a monitor adds to an address is nobody's question."""
    for path in ("/health/live", "/health", "/metrics", "/docs", "/problems", "/sign-in"):
        assert gateway.get(f"{path}?utm_source=mail").status_code == gateway.get(path).status_code < 400, path


_JOB = "01a21a76-8c8c-796f-b219-fb02b7c54611"


@pytest.mark.parametrize(
    ("path", "cursors"),
    [
        ("/v1/audit", [("n", 2**63), ("n", -1), ("x", 5), ("n", "٥"), (5,), (1, 1, 1)]),
        ("/v1/audit?order=oldest", [(4_000_000_000, 1, 1), (1, 2**64, 1), (1, 1, 2**63), (1, 1), ("n", 5), (1, 1, "")]),
        ("/v1/keys", [(2**31,), (2**63,), ("x",), (1, 1)]),
        ("/v1/jobs", [(5,), (_JOB, 1), ("n", 5)]),
    ],
)
def test_a_cursor_that_no_call_gave_out_is_refused(
    gateway: Gateway, path: str, cursors: list[tuple[object, ...]]
) -> None:
    """Whatever number stands in it, and whatever other list it is of."""
    for parts in cursors:
        answer = gateway.get(path, params={**httpx.URL(path).params, "cursor": make_cursor(*parts)})
        assert answer.status_code == 422, (parts, answer.text)
        assert answer.json()["errors"][0]["pointer"] == "/query/cursor"


def test_the_largest_numbers_are_taken_or_refused(gateway: Gateway) -> None:
    """A number that its column does not take is an error of the caller."""
    most = {"cursor": make_cursor(2**31 - 1)}
    assert gateway.get("/v1/keys", params=most).status_code == 200
    assert gateway.get("/v1/audit", params={"cursor": make_cursor("n", 2**63 - 1)}).status_code == 200
    end = {"order": "oldest", "cursor": make_cursor(2**31 - 1, 2**63 - 1, 2**63 - 1)}
    assert gateway.get("/v1/audit", params=end).status_code == 200
    for number in (2**31 - 1, 2**31, 2**63, 2**64, 10**30):
        for method, path in (
            ("DELETE", f"/v1/holds/{number}"),
            ("DELETE", f"/v1/pauses/{number}"),
            ("GET", f"/v1/models/default/versions/{number}"),
            ("GET", f"/v1/predictions/{number}-1"),
            ("GET", f"/v1/predictions/1-{number}"),
        ):
            assert gateway.request(method, path).status_code == 404, path
    for period in ("99999 years", "99999 days", "99999 months"):
        for path, body in (("/v1/retention", {"keep_for": period}), ("/v1/retention/floor", {"floor": period})):
            answer = gateway.put(path, json=body)
            assert answer.status_code < 500, (path, period, answer.text)
    for path in ("/v1/retention", "/v1/storage"):
        assert gateway.get(path).status_code == 200, path
    newest = {"client_id": 1, "cursor": "999999999999999999-999999"}
    assert gateway.post("/v1/clients/answers", json=newest).status_code in (200, 404)
    for answer in (
        gateway.get("/v1/jobs", params={"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z"}),
        gateway.get("/v1/audit", params={"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z"}),
    ):
        assert answer.status_code == 200


def test_a_value_without_a_name_is_called_so(gateway: Gateway) -> None:
    """It was said that '' is no parameter."""
    answer = gateway.get("/v1/models?=1")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["detail"].startswith("What stands before `=` is empty, and is no parameter")


@pytest.mark.parametrize("path", ["/v1/filter-columns", "/v1/signature"])
def test_the_document_allows_no_name_of_a_model_that_is_refused_for_its_length(gateway: Gateway, path: str) -> None:
    """Empty, or longer than any name with a version."""
    (parameter,) = gateway.get("/openapi.json").json()["paths"][path]["get"]["parameters"]
    (schema,) = (kind for kind in parameter["schema"]["anyOf"] if kind["type"] == "string")
    assert (schema["minLength"], schema["maxLength"]) == (1, 110)
    for name in ("", "m" * 111):
        answer = gateway.get(path, params={"model": name})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/query/model")
    assert gateway.get(path, params={"model": "m" * 100}).status_code == 404


@pytest.mark.parametrize("value", ["", "x" * 201, "yesterday", "a:b:c", "\x01", "-1", "2020-01-01T00:00:00Z"])
def test_what_is_wrong_in_the_address_is_pointed_at_there(gateway: Gateway, value: str) -> None:
    """Though the same field of a JSON body is read by the same code."""
    wrong = []
    for method, path, names in api_routes():
        for name in names.names:
            if method != "GET" and path != "/v1/jobs":
                continue  # of the others the body is looked at first
            answer = gateway.request(method, path, params={name: value}, content=b"client_id\n1\n", headers=CSV)
            flaws = answer.json().get("errors", ()) if answer.status_code == 422 else ()
            pointers = {flaw["pointer"].removesuffix("/0") for flaw in flaws}
            if answer.status_code >= 500 or pointers - {f"/query/{name}"}:
                wrong.append((method, path, name, answer.status_code, pointers))
    assert wrong == []


def test_a_code_that_no_row_has_is_refused_with_the_near_one(gateway: Gateway, owner: Engine) -> None:
    """`unknown_clientt` would be a list without rows, and the reader think that all is well."""
    path = f"/v1/jobs/{submit_bulk(owner, [1]).job_id}/results"
    answer_batches(owner)
    for code, said in (
        ("unknown_clientt", "did you mean unknown_client?"),
        ("zzz", "it is only, or one of unknown_client,"),
    ):
        for accept in ("application/json", "text/csv"):
            refused = gateway.get(path, params={"errors": code}, headers={"Accept": accept})
            assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/query/errors")
            assert said in refused.json()["detail"]
    for code in ("only", "unknown_client", "erased"):
        assert gateway.get(path, params={"errors": code}).json()["rows"] == []
    refused = gateway.get(path, headers={"Accept": PARQUET["Content-Type"]})
    assert (refused.status_code, refused.json()["type"]) == (406, "/problems/not-acceptable")
    assert "POST /v1/jobs/{job_id}/exports" in refused.json()["detail"]
