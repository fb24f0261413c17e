"""Parameters in the address of a call: one that the call does not take is refused, and never dropped without a word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Engine

from api.http.query_names import QueryNames, query_names
from api.server.app import create_app
from shared.config import Settings
from shared.postgres.engine import make_engine
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.rights.test_rights import NOTHING
from tests.roles import service_settings
from tests.support import add_clients, add_model

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
def gateway(make_database: Callable[..., str], module_redis_url: str) -> Iterator[Gateway]:
    """A gateway with a live model and clients 1…5, called by somebody who may do everything."""
    settings = service_settings(make_database(), module_redis_url)
    engine: Engine = make_engine(settings, application_name="test", pool_size=2)
    add_model(engine)
    add_clients(engine, 5)
    with running_gateway(settings, new_key(engine, "root", is_admin=True)) as client:
        yield client
    engine.dispose()


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
