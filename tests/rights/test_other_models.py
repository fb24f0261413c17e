"""A key limited to some models is told nothing of others that it does not name: no name, no source, on no screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Connection, Engine, text

from model.artefact import build_artefact
from model.registration import new_version
from shared.access.roles import ALL_ROLES
from shared.config import Settings
from shared.models.registry import promote_version, register_version, set_default
from shared.pauses import begin_pause
from shared.postgres.engine import transaction
from shared.sources.source import add_source, read_source
from shared.watching.workers import Worker, beat
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.models import SIGNATURE, TestModel
from tests.rights.table import CALLS, Call
from tests.rights.test_rights import NOTHING, application
from tests.support import add_clients, add_model

HERS = "default"
VEIL = "veiled"  # stands in every name and text of the other model, and nowhere else
OTHER, OTHER_SOURCE = f"{VEIL}-model", f"{VEIL}-source"
ROLES = tuple(role for role in ALL_ROLES if role != "admin")
FROM_ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with two models, each with a source; the other one is the default, and much is the matter with it.

    Hers has a second version, and a batch that no worker takes.
    """
    add_model(engine)
    add_clients(engine, 3)
    with transaction(engine) as connection:
        source = add_source(connection, replace(read_source(connection, "clients"), name=OTHER_SOURCE))
        artefact = build_artefact(TestModel(), SIGNATURE, 0.5, name=f"{VEIL} title")
        new = new_version(artefact, source_id=source.id, model=OTHER)
        promote_version(connection, register_version(connection, new).id)
        set_default(connection, OTHER)
    add_model(engine, promote=False)
    with running_gateway(settings) as client:
        yield client


@pytest.fixture
def things(gateway: Gateway, engine: Engine) -> list[dict[str, str]]:
    """What is named in paths: things of the other model, then hers; both are the same owner's."""
    found = [_things(gateway, engine, name) for name in (OTHER, HERS)]
    gateway.post("/v1/jobs", json={"client_ids": [1], "model": HERS}, headers=bearer(new_key(engine, "alice")))
    with transaction(engine) as connection:
        _trouble(connection)
    return found


def _things(gateway: Gateway, engine: Engine, model: str) -> dict[str, str]:
    alice, root = bearer(new_key(engine, "alice")), bearer(new_key(engine, "root", is_admin=True))
    named = {"model": model}
    job = gateway.post("/v1/jobs", json={"client_ids": [1, 2], "name": f"of {model}", **named}, headers=alice).json()
    single = gateway.post("/v1/predict", json={"client_id": 1, **named}, headers=alice).json()
    answer_batches(engine)
    export = gateway.post(f"/v1/jobs/{job['id']}/exports?format=parquet", headers=alice).json()
    paused = {"reason": f"of {model}", "queue": "interactive", **named}
    pause = gateway.post("/v1/pauses", json=paused, headers=root).json()
    client = {"source": OTHER_SOURCE if model == OTHER else "clients", "client_id": 1}
    answers = gateway.post("/v1/clients/answers", json=client, headers=alice).json()
    return {
        "job_id": job["id"], "request_id": single["request_id"], "export_id": export["id"], "name": HERS,
        "number": str(pause["id"]) if model == OTHER else "2", "pause_id": str(pause["id"]),
        "client_hash": answers["client_hash"], "source": "clients",
    }  # fmt: skip


def _trouble(connection: Connection) -> None:
    """Everything of the other model that might be told; and batches of hers that wait in vain."""
    worker = Worker("w@host", 1, ["bulk"], [OTHER], [""], {}, loaded_versions=[2])
    beat(connection, worker)
    begin_pause(connection, queue=None, model=OTHER, reason=f"{VEIL} reason", actor="olga")
    at = datetime.now(UTC).replace(second=0, microsecond=0)
    for statement in (
        "UPDATE predictq.prediction_batches SET created_at = created_at - interval '1 hour'",
        f"UPDATE predictq.sources SET away_since = now(), refused_since = now() WHERE name = '{OTHER_SOURCE}'",
    ):
        connection.execute(text(statement))
    for name in ("rows_per_second", "errors_per_second"):
        values = {"at": at, "name": name, "model": OTHER}
        connection.execute(
            text("INSERT INTO predictq.samples (at, name, queue, model, value) VALUES (:at, :name, 'bulk', :model, 9)"),
            values,
        )


# What is sent to a call beside nothing at all, so that it gets as far as the names.
BODIES: dict[str, dict[str, object]] = {
    "/v1/predict": {"client_id": 1}, "/v1/predict_raw": {"features": {}}, "/v1/jobs": {"client_ids": [1]},
    "/v1/clients/features": {"client_id": 1, "model": HERS}, "/v1/clients/answers": {"client_id": 1},
    "/v1/pauses": {"model": HERS, "reason": "x"}, "/v1/jobs/cancel": {"name": "none of these"},
    "/v1/jobs/count": {"filter": {"age": {"gte": 1}}},
}  # fmt: skip


def test_no_call_tells_of_another_model(gateway: Gateway, engine: Engine, things: list[dict[str, str]]) -> None:
    """Neither where it succeeds nor where it refuses: the default model, a pause and a worker may be others'."""
    limited = bearer(new_key(engine, "alice", roles=ROLES, models=[HERS]))
    told = {}
    for call in CALLS:
        for named in things:
            for body in ({}, BODIES.get(call.path, {"nonsense": 1})):
                said = _said(gateway, call, named, body, limited)
                if VEIL in said:
                    told[call.name] = _around(said)
    assert told == {}


def test_nobody_is_told_of_models_without_a_key(gateway: Gateway, things: list[dict[str, str]]) -> None:
    """Neither by what needs no key, nor by what refuses without one."""
    assert things
    said = {call.name: _said(gateway, call, NOTHING, {}, FROM_ELSEWHERE) for call in CALLS}
    assert {name: _around(text) for name, text in said.items() if VEIL in text} == {}


def test_a_source_of_others_is_as_one_that_is_not_there(
    gateway: Gateway, engine: Engine, things: list[dict[str, str]]
) -> None:
    """By its name, with a key of any type, and with the hash of a client of it; without a name hers is meant."""
    limited = bearer(new_key(engine, "alice", roles=ROLES, models=[HERS]))
    for client in ({"client_id": 1}, {"client_id": "x"}, {"client_hash": things[0]["client_hash"]}):
        answers = [
            gateway.post("/v1/clients/answers", json={**client, "source": name}, headers=limited)
            for name in (OTHER_SOURCE, "no-source")
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].json()["detail"].replace(OTHER_SOURCE, "no-source") == answers[1].json()["detail"]
    hers = gateway.post("/v1/clients/answers", json={"client_id": 1}, headers=limited).json()
    assert (hers["source"], {answer["model"] for answer in hers["answers"]}) == ("clients", {HERS})


def test_what_is_of_her_own_models_is_told(gateway: Gateway, engine: Engine, things: list[dict[str, str]]) -> None:
    """A source that one of them reads, a pause, a worker's models: what is left out is others' alone."""
    assert things
    limited = bearer(new_key(engine, "alice", roles=ROLES, models=[HERS]))
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.sources SET away_since = now()"))
        beat(connection, Worker("w@host", 1, ["bulk"], [HERS, OTHER], [""], {}))
    needs = gateway.get("/v1/attention", headers=limited).json()["needs"]
    assert [need["about"]["source"] for need in needs if need["code"] == "source_away"] == ["clients"]
    (worker,) = gateway.get("/v1/workers", headers=limited).json()["workers"]
    assert (worker["models"], worker["takes_others"]) == ([HERS], True)
    refused = gateway.post("/v1/predict", json={"client_id": 1}, headers=limited).json()
    assert (refused["type"], refused["about"]) == ("/problems/model-required", {"models": [HERS]})


def _around(said: str) -> str:
    at = said.index(VEIL)
    return said[max(at - 80, 0) : at + 80]


def _said(gateway: Gateway, call: Call, named: dict[str, str], body: object, headers: dict[str, str]) -> str:
    """All that a call answers; of a stream what comes within a moment."""
    path = call.path.format(**{**NOTHING, **named})
    more = {} if call.method in ("GET", "DELETE") else {"json": body}
    params = {"format": "parquet"} if path.endswith("/exports") else {}
    if not path.endswith("/events"):
        answer = gateway.request(call.method, path, headers=headers, params=params, **more)
        return f"{answer.status_code} {answer.headers} {answer.text}"
    said = ""
    try:
        with gateway.stream(call.method, path, headers=headers, timeout=1) as answer:
            for piece in answer.iter_text():
                said += piece
    except httpx.ReadTimeout:
        pass
    return said


def test_no_screen_tells_of_another_model(gateway: Gateway, engine: Engine, things: list[dict[str, str]]) -> None:
    """All that can be looked at, and every form as if nothing had been filled in."""
    key = new_key(engine, "alice", roles=ROLES, models=[HERS])
    told = {}
    with _browser(gateway, key) as browser:
        token = re.findall(r'name="form_token" value="([^"]+)"', browser.get("/").text)[0]
        for route in _screens():
            for named in things:
                given = {**NOTHING, "act": "cancel", "client_hash": "0" * 16, "number": "99", **named}
                path = re.sub(r"{(\w+)(:path)?}", lambda found, given=given: given[found[1]], route.path)
                for method in route.methods - {"HEAD"}:
                    data = {"data": {"form_token": token}} if method == "POST" else {}
                    said = browser.request(method, path, **data).text
                    if VEIL in said:
                        told[f"{method} {route.path}"] = _around(said)
    assert told == {}


@contextmanager
def _browser(gateway: Gateway, key: str) -> Iterator[Gateway]:
    """Signed in with this key; it follows wherever a screen leads."""
    with Gateway(base_url=gateway.base_url, headers={"Accept": "text/html"}, timeout=30) as browser:
        browser.follow_redirects = True
        link = browser.post("/v1/sign-in-links", headers={**bearer(key), "Accept": "*/*"}).json()["path"]
        browser.get(link)
        yield browser


def _screens() -> list[APIRoute]:
    """All of them but the ways out, and what streams without end."""
    screens = [route for route in application().routes if isinstance(route, APIRoute) and not route.include_in_schema]
    found = [route for route in screens if not route.path.startswith(("/v1", "/docs", "/openapi", "/metrics"))]
    assert {"/", "/try", "/pauses/{number}/resume"} <= {route.path for route in found}
    return [route for route in found if route.path not in ("/sign-out", "/live", "/sign-in/provider")]
