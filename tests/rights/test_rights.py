"""The table of who may do what holds for every call, every role, and things of one's own and of others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
import typer
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import Engine
from starlette.routing import BaseRoute, Mount

from api.server.app import create_app
from cli.main import app as command_line
from shared.access.roles import ALL_ROLES
from shared.config import Settings, load_settings
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.integration.gateway.test_singles import RAW
from tests.rights.page import PAGE, page
from tests.rights.table import ANY_KEY, BY_NAME, CALLS, COMMANDS, LOOK, NOBODY, OPERATE, OWN, UNKNOWN, Call
from tests.support import add_clients, add_model

FROM_ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}
BODY = {"nonsense": 1}  # so that nothing is done where the call is allowed
# What is named in paths, where nothing of it is there.
NOTHING = {
    "job_id": str(uuid4()), "upload_id": str(uuid4()), "export_id": str(uuid4()), "run_id": str(uuid4()),
    "erasure_id": str(uuid4()), "request_id": "999999-0", "name": "no-model", "number": "9", "prefix": "pq_nothing",
    "pause_id": "99", "hold_id": "99", "code": "forbidden",
    "rows_id": str(uuid4()),
}  # fmt: skip


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with a live model and clients, called without a key."""
    add_model(engine)
    add_clients(engine, 3)
    with running_gateway(settings) as client:
        yield client


def application() -> FastAPI:
    return create_app(load_settings(database_url="postgresql+psycopg2://nowhere/none", redis_url="redis://nowhere"))


def test_every_call_has_its_line_and_every_line_its_call() -> None:
    """Nothing can be added to the API without saying who may do it. The screens make these calls, and no others."""
    routes = [route for route in _routes(application().routes) if _is_of_the_api(route)]
    found = {f"{method} {route.path}" for route in routes for method in route.methods}
    assert found ^ set(BY_NAME) == set()


def _routes(routes: Sequence[BaseRoute]) -> Iterator[APIRoute]:
    """All of them. Whatever is none, nor a mount, must be looked at here."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        else:
            assert isinstance(route, Mount)


def _is_of_the_api(route: APIRoute) -> bool:
    """All but the screens, which are in no document and not under /v1."""
    return route.include_in_schema or route.path.startswith(("/v1", "/docs", "/openapi", "/metrics", "/health"))


def test_every_command_has_its_line_and_its_calls_are_there() -> None:
    """No command without a word on what it takes."""
    assert set(_commands(typer.main.get_command(command_line))) ^ set(COMMANDS) == set()
    called = {
        call for calls in COMMANDS.values() for call in calls if call.startswith(("GET", "POST", "PUT", "P", "DEL"))
    }
    assert called - set(BY_NAME) == set()


def _commands(command: Any, before: Sequence[str] = ()) -> Iterator[str]:
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(before)
        return
    for name, one in below.items():
        yield from _commands(one, (*before, name))


def test_the_page_is_the_table() -> None:
    """docs/who-may-what.md says what is tested here: make rights."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_call_is_for_the_roles_of_its_line(gateway: Gateway, engine: Engine) -> None:
    """Without a key 401; with one that lacks the role 403; with one that has it neither, whatever else is wrong."""
    keys = {role: new_key(engine, f"owner of {role}", roles=[role]) for role in ALL_ROLES}
    wrong = []
    for call in CALLS:
        status = ask(gateway, call)
        if (status != 401) != (call.roles == (NOBODY,)):
            wrong.append((call.name, "no key", status))
        for role, key in keys.items():
            status = ask(gateway, call, key)
            if status >= 500 or status == 401 or (status != 403) != is_allowed(call, role):
                wrong.append((call.name, role, status))
    assert wrong == []


def is_allowed(call: Call, role: str) -> bool:
    return role == "admin" or role in call.roles or bool({NOBODY, ANY_KEY, LOOK} & set(call.roles))


def test_only_whoever_may_read_is_told_an_answer(gateway: Gateway, engine: Engine) -> None:
    """No call tells a stored answer of the caller's own owner, nor whose it is, to a key without `read`."""
    own = bearer(new_key(engine, "alice"))
    single = gateway.post("/v1/predict", json={"client_id": 3}, headers=own).json()
    job = gateway.post("/v1/jobs", json={"client_ids": [1, 2], "name": "of July"}, headers=own).json()["id"]
    answer_batches(engine)
    assert '"probability":0.25' in gateway.get(f"/v1/jobs/{single['id']}", headers=own).text
    telling = [call for call in CALLS if {"read", ANY_KEY, LOOK, NOBODY}.isdisjoint(call.roles)]
    told = []
    for role in sorted({role for call in telling for role in call.roles} - {"admin"}):
        key = bearer(new_key(engine, "alice", roles=[role]))
        for call, job_id in ((call, job_id) for call in telling for job_id in (single["id"], job)):
            path = call.path.format(**{**NOTHING, "job_id": job_id, "request_id": single["request_id"]})
            body = {"json": {}} if call.path == "/v1/jobs/{job_id}/cancel" else {"json": BODY}
            text = gateway.request(call.method, path, headers=key, **body).text
            if '"probability"' in text or '"client_id":3' in text:
                told.append((call.name, role))
    assert told == []


def ask(gateway: Gateway, call: Call, key: str | None = None, **named: str) -> int:
    """The status of a call as it comes from elsewhere, with a body that makes nothing of it."""
    path = re.sub(r"{(\w+)}", lambda found: named.get(found[1]) or NOTHING[found[1]], call.path)
    headers = {**FROM_ELSEWHERE, **(bearer(key) if key else {})}
    body = {} if call.method in ("GET", "DELETE") else {"json": BODY}
    params = {"format": "parquet"} if path.endswith("/exports") else {}
    if path.endswith("/events"):  # which has no end where it is answered
        with gateway.stream(call.method, path, headers=headers) as answer:
            return answer.status_code
    return gateway.request(call.method, path, headers=headers, params=params, **body).status_code


def test_things_of_another_owner_are_as_if_they_were_not_there(gateway: Gateway, engine: Engine) -> None:
    """Also for an admin; only whoever operates can cancel them."""
    alice, bob = (bearer(new_key(engine, owner)) for owner in ("alice", "bob"))
    root = new_key(engine, "root", is_admin=True)
    job = gateway.post("/v1/jobs", json={"client_ids": [1, 2]}, headers=alice).json()["id"]
    single = gateway.post("/v1/predict", json={"client_id": 1}, headers=alice).json()
    upload = gateway.post("/v1/uploads", content=b"client_id\n1\n", headers=alice).json()["id"]
    answer_batches(engine)
    export = gateway.post(f"/v1/jobs/{job}/exports?format=parquet", headers=alice).json()["id"]
    things = {"request_id": single["request_id"], "upload_id": upload, "export_id": export}
    body = {"json": {"model": "default"}}
    wrong = []
    for call in (call for call in CALLS if call.others in (UNKNOWN, OPERATE)):
        for job_id in (job, single["id"]) if "job_id" in call.path else (job,):
            path = call.path.format(**things, job_id=job_id)
            params = {"format": "parquet"} if path.endswith("/exports") else {}
            for key, expected in ((bob, 404), (bearer(root), 200 if call.others == OPERATE else 404)):
                status = gateway.request(
                    call.method, path, headers=key, params=params, **(body if path.endswith("/look") else {})
                ).status_code
                if status != expected:
                    wrong.append((call.name, expected, status))
    assert wrong == []


# Lines that say "own only" and are tried here, each by a probe below. The others make something new for whoever calls.
OF_LISTS = {
    "GET /v1/jobs",
    "GET /v1/events",
    "POST /v1/jobs/cancel",
    "POST /v1/clients/answers",
    "GET /v1/rows/{rows_id}",
    "DELETE /v1/rows/{rows_id}",
}
OF_REPEATED_KEYS = {"POST /v1/predict", "POST /v1/predict_raw", "POST /v1/jobs"}
THAT_ONLY_MAKE = {"POST /v1/uploads", "POST /v1/sign-in-links"}


def test_every_line_of_ones_own_is_tried() -> None:
    """A line that is added is tried, or is said to make something new and no more."""
    assert {call.name for call in CALLS if call.others == OWN} == OF_LISTS | OF_REPEATED_KEYS | THAT_ONLY_MAKE


def test_a_list_of_ones_own_has_nothing_of_others(gateway: Gateway, engine: Engine) -> None:
    """Nor does an act on all of one's own: not for another owner, whatever is named, and not for an admin."""
    alice, bob = (bearer(new_key(engine, owner)) for owner in ("alice", "bob"))
    root, other = (bearer(new_key(engine, owner, is_admin=True)) for owner in ("root", "other"))
    gateway.post("/v1/jobs", json={"client_ids": [1, 2], "name": "July"}, headers=alice)
    single = gateway.post("/v1/predict", json={"client_id": 1}, headers=alice).json()["id"]
    answer_batches(engine)
    still_open = gateway.post("/v1/jobs", json={"client_ids": [1, 2], "name": "July"}, headers=alice).json()["id"]
    client = {"source": "clients", "client_id": 1}
    assert gateway.post("/v1/clients/answers", json=client, headers=alice).json()["answers"]
    rows_id = gateway.post("/v1/sources/clients/rows", json={"columns": ["age"]}, headers=root).json()["id"]
    for stranger in (bob, other):
        for query in ("", "?status=succeeded", "?status=queued", "?name=July", "?kind=single", "?model=default"):
            assert gateway.get(f"/v1/jobs{query}", headers=stranger).json()["jobs"] == []
        for wanted in ({"name": "July"}, {"model": "default"}, {"status": "queued"}):
            told = gateway.post("/v1/jobs/cancel", json=wanted, headers=stranger).json()
            assert (told["matching"], told["cancelled"]) == (0, 0)
        for wanted in (client, {**client, "model": "default"}, {**client, "cursor": "999999999-0"}):
            assert gateway.post("/v1/clients/answers", json=wanted, headers=stranger).json()["answers"] == []
    for method in ("GET", "DELETE"):
        assert gateway.request(method, f"/v1/rows/{rows_id}", headers=other).status_code == 404
    assert gateway.get(f"/v1/rows/{rows_id}", headers=root).status_code == 409  # it is there still
    assert gateway.get(f"/v1/jobs/{still_open}", headers=alice).json()["status"] == "queued"
    with gateway.stream("GET", "/v1/events", headers=bob) as stream:
        gateway.post(f"/v1/jobs/{still_open}/cancel", headers=alice)
        own = gateway.post("/v1/jobs", json={"client_ids": [1]}, headers=bob).json()["id"]
        told = []
        for line in stream.iter_lines():
            told.append(line)
            if own in line:  # what came before it was told before
                break
    assert not any(job_id in line for line in told for job_id in (still_open, single))


def test_an_idempotency_key_of_another_owner_leads_to_no_job_of_hers(gateway: Gateway, engine: Engine) -> None:
    """The same text is another key there, of each call that makes jobs."""
    alice, bob = (bearer(new_key(engine, owner)) for owner in ("alice", "bob"))
    bodies: dict[str, Any] = {
        "/v1/predict": {"client_id": 1}, "/v1/predict_raw": {"features": RAW}, "/v1/jobs": {"client_ids": [1, 2]},
    }  # fmt: skip
    assert {f"POST {path}" for path in bodies} == OF_REPEATED_KEYS
    for path, body in bodies.items():
        key = {"Idempotency-Key": f"again-{path[4:]}"}
        answers = [gateway.post(path, json=body, headers={**who, **key}) for who in (alice, alice, bob)]
        made = [answer.json().get("id") for answer in answers]
        assert None not in made, answers[0].text
        assert made[0] == made[1] != made[2]
        assert gateway.get(f"/v1/jobs/{made[2]}", headers=alice).status_code == 404


def test_a_key_for_another_model_meets_what_its_line_says(gateway: Gateway, engine: Engine) -> None:
    """Refused before it is asked whether there is such a model; jobs as if they were not there."""
    alice = bearer(new_key(engine, "alice"))
    job = gateway.post("/v1/jobs", json={"client_ids": [1, 2]}, headers=alice).json()["id"]
    single = gateway.post("/v1/predict", json={"client_id": 1}, headers=alice).json()
    upload = gateway.post("/v1/uploads", content=b"client_id\n1\n", headers=alice).json()["id"]
    answer_batches(engine)
    export = gateway.post(f"/v1/jobs/{job}/exports?format=parquet", headers=alice).json()["id"]
    pause = gateway.post(
        "/v1/pauses", json={"model": "default", "reason": "x"}, headers=bearer(new_key(engine, "o", roles=["operate"]))
    ).json()["id"]
    limited = new_key(engine, "alice", roles=[role for role in ALL_ROLES if role != "admin"], models=["another"])
    things = {
        "job_id": job, "request_id": single["request_id"], "upload_id": upload, "export_id": export, "name": "default",
        "number": "1", "pause_id": str(pause),
    }  # fmt: skip
    named = {"model": "default"}
    bodies: dict[str, dict[str, Any]] = {
        "/v1/predict": {"client_id": 1, **named}, "/v1/predict_raw": {"features": {}, **named},
        "/v1/jobs": {"client_ids": [1], **named}, "/v1/jobs/count": named,
        f"/v1/uploads/{upload}/look": named, "/v1/clients/features": {"client_id": 1, "model": "default"},
        "/v1/pauses": {"model": "default", "reason": "x"}, "/v1/models/default/withdraw": {"reason": "the end"},
    }  # fmt: skip
    wrong = []
    for call in (call for call in CALLS if call.models in ("403", "404")):
        path = call.path.format(**things)
        params = {"format": "parquet"} if path.endswith("/exports") else {}
        params |= {"model": "default"} if path in ("/v1/signature", "/v1/filter-columns") else {}
        content = {} if call.method in ("GET", "DELETE") else {"json": bodies.get(path, {})}
        status = gateway.request(call.method, path, headers=bearer(limited), params=params, **content).status_code
        if str(status) != call.models:
            wrong.append((call.name, call.models, status))
    assert wrong == []
