"""Plain FastAPI routes: what is wrong with a call is said as everywhere else, and roles are asked for in one place."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.access.caller import Caller
from api.access.dependencies import AdminCaller, JobId, current_caller, require_role
from api.http.model_route import ModelRoute
from api.http.problems import Problem, problem_of, render
from shared.errors import PredictqError


class Item(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(max_length=5)
    rows: list[int] = []


class Answer(BaseModel):
    """What was understood."""

    limit: int
    key: str


router = APIRouter(route_class=ModelRoute)


@router.post("/things/{number}")
async def add(number: int, body: Item, limit: Annotated[int, Query(ge=1, le=5)] = 3) -> Answer:
    return Answer(limit=limit + number, key=body.key)


@router.get("/jobs/{job_id}")
async def read(job_id: JobId) -> Answer:
    return Answer(limit=1, key=str(job_id))


@router.get("/admin")
async def for_admins(caller: AdminCaller) -> Answer:
    return Answer(limit=1, key=caller.owner)


@router.get("/operate")
async def for_operators(caller: Annotated[Caller, Depends(require_role("operate"))]) -> Answer:
    return Answer(limit=1, key=caller.owner)


def call(method: str, path: str, *, roles: tuple[str, ...] = (), **options: Any) -> httpx.Response:
    """A call to an app with these routes, by somebody with these roles."""
    app = FastAPI()
    app.include_router(router)
    app.dependency_overrides[current_caller] = lambda: Caller("alice", roles)

    async def answer_error(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        assert problem is not None
        return render(problem, instance=request.url.path, request_id="1")

    for kind in (Problem, PredictqError, HTTPException):
        app.add_exception_handler(kind, answer_error)

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            return await client.request(method, path, **options)

    return asyncio.run(run())


def flaws(answer: httpx.Response) -> dict[str, str]:
    """The code of each flaw by its pointer; every one is explained."""
    assert all(flaw["detail"] for flaw in answer.json()["errors"])
    return {flaw["pointer"]: flaw["code"] for flaw in answer.json()["errors"]}


def test_what_is_right_is_answered() -> None:
    """The body and the parameters arrive."""
    assert call("POST", "/things/2?limit=4", json={"key": "a"}).json() == {"limit": 6, "key": "a"}


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/things/1?limit=9", {"key": "a"}, {"/query/limit": "invalid_parameter"}),
        ("/things/1?limit=x", {}, {"/query/limit": "invalid_parameter", "/key": "missing"}),
        ("/things/1", {"key": "a", "x/y": 1}, {"/x~1y": "unknown_field"}),
        (
            "/things/1",
            {"key": "longer than five", "rows": [1, "z"]},
            {"/key": "invalid_value", "/rows/1": "invalid_value"},
        ),
        ("/things/1", [1], {"": "object_expected"}),
        ("/things/1", {"key": "a", "rows": ["x"] * 50}, {f"/rows/{n}": "invalid_value" for n in range(20)}),
    ],
)
def test_flaws_have_pointers_and_codes(path: str, body: object, expected: dict[str, str]) -> None:
    """As on the routes that are written by hand, at most twenty."""
    answer = call("POST", path, json=body)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
    assert answer.headers["content-type"] == "application/problem+json"
    assert flaws(answer) == expected


@pytest.mark.parametrize(
    ("content", "media_type", "kind"),
    [
        (b"{oops", "application/json", "malformed-body"),
        (b"\xff", "application/json", "malformed-body"),
        (b"{}", "text/plain", "unsupported-media-type"),
        (b'{"key": "a"}' + b" " * 1_000_000, "application/json", "content-too-large"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(content: bytes, media_type: str, kind: str) -> None:
    """Before anything is made of it."""
    answer = call("POST", "/things/1", content=content, headers={"Content-Type": media_type})
    assert answer.json()["type"] == f"/problems/{kind}"


def test_a_path_that_names_nothing_is_404() -> None:
    """Whatever else is wrong; a job that cannot be one is an unknown job."""
    assert call("POST", "/things/one?limit=9", json={}).json()["type"] == "/problems/model-version-unknown"
    assert call("GET", "/jobs/nonsense").json()["type"] == "/problems/job-unknown"


def test_roles_are_asked_for() -> None:
    """An admin may do everything; others what their key says, and are told what it lacks."""
    assert call("GET", "/admin", roles=("admin",)).status_code == 200
    assert call("GET", "/operate", roles=("admin",)).status_code == 200
    assert call("GET", "/operate", roles=("read", "operate")).status_code == 200
    for path in ("/admin", "/operate"):
        refused = call("GET", path, roles=("read", "predict"))
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    assert "'operate'; yours has read, predict" in call("GET", "/operate", roles=("read", "predict")).json()["detail"]
