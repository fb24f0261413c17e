"""The answers on docs/api.md have the members that a running service gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.support import Up
from tests.support import ROOT

LEFT_OUT = "…"
# Members of which a test stack has other types than the page's example: keys and labels are numbers or texts.
_OF_ANY_TYPE = {"client_id", "label"}
# Objects whose members are named by data: features, models, libraries, whatever an act changed.
_NAMED_BY_DATA = {"features", "libraries", "about", "before", "after"}
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]|…|[^\s{}\[\],:"…]+')


def samples() -> list[str]:
    """Each JSON object that the page shows as an answer or a part of one: it follows a command, or stands alone."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    found = []
    for block in re.findall(r"(?:^(?: {4}.*)?\n)+", page, re.MULTILINE):
        for piece in re.split(r"^ {4}\$ ", block, flags=re.MULTILINE):
            if not piece.startswith("cat "):
                found += re.findall(r"^ {4}\{.*\n(?: {5,}.*\n)*", piece, re.MULTILINE)
    return found


def parsed(sample: str) -> Any:
    """The sample as JSON; where the page leaves something out, an object or a list has LEFT_OUT."""
    return _value(_next(tokens := _tokens(sample)), tokens)


def _tokens(sample: str) -> Iterator[str]:
    return iter(_TOKEN.findall(sample))


def _next(tokens: Iterator[str]) -> str:
    return next(tokens)


def _value(token: str, tokens: Iterator[str]) -> Any:
    if token == "[":
        return [_value(item, tokens) for item in iter(lambda: next(tokens), "]")]
    if token == "{":
        return {
            json.loads(name) if name != LEFT_OUT else name: None if name == LEFT_OUT else _value(next(tokens), tokens)
            for name in iter(lambda: next(tokens), "}")
        }
    return token if token == LEFT_OUT else json.loads(token)


FOR_OTHER_LANGUAGES = {"about", "reason"}  # members of problems, which the samples need not repeat


def is_shape_of(sample: Any, answer: Any) -> bool:
    """Whether the answer has the sample's members, no others but where some are left out, and values of its types."""
    if isinstance(sample, dict) and isinstance(answer, dict):
        named = sample.keys() - {LEFT_OUT}
        had = answer.keys() - (FOR_OTHER_LANGUAGES - named)
        if not (named <= had if LEFT_OUT in sample else named == had):
            return False
        return all(_fits(name, sample[name], answer[name]) for name in named)
    if isinstance(sample, list) and isinstance(answer, list):
        named_items = [item for item in sample if item != LEFT_OUT] if answer else []
        return all(any(is_shape_of(item, other) for other in answer) for item in named_items)
    return sample is None or answer is None or _type(sample) is _type(answer)


def _fits(name: str, sample: Any, answer: Any) -> bool:
    if name in _OF_ANY_TYPE:
        return True
    if name in _NAMED_BY_DATA and isinstance(sample, dict):
        return answer is None or isinstance(answer, dict)
    return is_shape_of(sample, answer)


def _type(value: Any) -> type:
    return float if type(value) is int else type(value)


@pytest.fixture(scope="module")
def answers(up: Up) -> list[Any]:
    """What the service answers to calls like those on the page."""
    state = up.state
    with httpx.Client(
        base_url=state["api_url"], headers={"Authorization": f"Bearer {state['api_key']}"}, timeout=60
    ) as api:
        return [*_jobs(api), *_refusals(api), *_files(api), *_stored(api), *_of_operators(api)]


def _jobs(api: httpx.Client) -> Iterator[Any]:
    wait = {"Prefer": "wait=30"}
    yield api.post("/v1/predict", json={"client_id": 5}).json()
    yield api.post("/v1/predict", json={"client_id": 5}, headers=wait).json()
    bulk = api.post("/v1/jobs", json={"client_ids": [3, 1, 999999, 1], "name": "July run"}, headers=wait).json()
    yield bulk
    yield api.post("/v1/jobs", json={"where": {"department": "Sales"}}).json()
    yield api.get(f"/v1/jobs/{bulk['id']}/results?limit=3").json()
    rows = api.get(f"/v1/jobs/{bulk['id']}/results", headers={"Accept": "application/x-ndjson"}).text
    row = json.loads(rows.splitlines()[0])
    yield row
    yield api.get(f"/v1/predictions/{row['request_id']}").json()
    yield api.post(f"/v1/jobs/{bulk['id']}/retry").json()
    yield api.get("/v1/jobs?limit=2").json()
    yield api.post("/v1/jobs/cancel", json={"name": "nobody's"}).json()
    yield api.post("/v1/jobs/count", json={"where": {"department": "Sales"}}).json()
    yield api.get("/v1/filter-columns").json()


def _refusals(api: httpx.Client) -> Iterator[Any]:
    yield api.post("/v1/predict", json={"client_id": "five"}).json()
    yield api.post("/v1/predict_raw", json={"features": {"age": 41.5, "shoe_size": 43}}).json()
    yield api.post("/v1/jobs", json={"where": {"departement": "Sales"}}).json()
    yield api.post("/v1/jobs", content="client_id\nabc\n", headers={"Content-Type": "text/csv"}).json()
    open_job = api.post("/v1/jobs", json={"all": True, "name": "too early"}).json()["id"]
    yield api.get(f"/v1/jobs/{open_job}/results").json()
    cancelled = api.post("/v1/jobs", json={"all": True, "name": "a mistake"}).json()["id"]
    api.post(f"/v1/jobs/{cancelled}/cancel")
    yield api.get(f"/v1/jobs/{cancelled}").json()
    yield api.get("/problems/backlogged").json()


def _files(api: httpx.Client) -> Iterator[Any]:
    """A table with a key alone: what the worker sees in it; and an employee, the body that the page sends."""
    upload = api.post("/v1/uploads", content="client_id;Nom\n007;Ada\n").json()["id"]
    yield api.post(f"/v1/uploads/{upload}/look", json={}).json()
    yield {"features": {}}


def _stored(api: httpx.Client) -> Iterator[Any]:
    yield api.post("/v1/clients/answers", json={"source": "clients", "client_id": 5}).json()
    yield api.post("/v1/clients/features", json={"client_id": 5}).json()
    yield api.post("/v1/erasures", json={"source": "clients", "client_id": 7_654_321, "reason": "art. 17"}).json()


def _of_operators(api: httpx.Client) -> Iterator[Any]:
    for path in ("/v1/models", "/v1/workers", "/v1/audit?limit=1", "/health/live", "/health/ready", "/health"):
        yield api.get(path).json()
    key = api.post("/v1/keys", json={"owner": "risk", "roles": ["read"]}).json()
    yield key
    api.post(f"/v1/keys/{key['prefix']}/revoke").raise_for_status()
    pause = api.post("/v1/pauses", json={"queue": "plan", "reason": "a look at what needs a person"}).json()
    yield api.get("/v1/attention").json()
    api.delete(f"/v1/pauses/{pause['id']}").raise_for_status()


def test_the_page_has_the_answers_of_today(answers: list[Any]) -> None:
    """Each sample has the members of an answer, all of them unless it says that some are left out, with their types."""
    shown = samples()
    assert len(shown) >= 35
    assert [text for text in shown if not any(is_shape_of(parsed(text), answer) for answer in answers)] == []


def test_a_csv_of_results_has_the_columns_of_the_page(up: Up) -> None:
    """The header that the page shows is the one that comes."""
    state = up.state
    with httpx.Client(base_url=state["api_url"], headers={"Authorization": f"Bearer {state['api_key']}"}) as api:
        job = api.post("/v1/jobs", json={"client_ids": [1]}, headers={"Prefer": "wait=30"}).json()["id"]
        table = api.get(f"/v1/jobs/{job}/results", headers={"Accept": "text/csv"}).text
    assert f"    {table.splitlines()[0]}\n" in (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_a_sample_that_lacks_a_member_is_noticed() -> None:
    """A member too few, one too many or another type is no shape of the answer; what is left out may be anything."""
    answer = {"id": "x", "counts": {"total": 1}, "rows": [{"key": None}]}
    assert is_shape_of(parsed('{"id": "y", "counts": {"total": null}, "rows": [{"key": "a"}]}'), answer)
    assert is_shape_of(parsed('{"id": "y", "counts": {…}, …}'), answer)
    assert not is_shape_of(parsed('{"id": "y", "counts": {"total": 2}}'), answer)
    assert not is_shape_of(parsed('{"id": "y", "model": 1, …}'), answer)
    assert not is_shape_of(parsed('{"id": 7, …}'), answer)
    assert not is_shape_of(parsed('{"rows": [{"value": 1}], …}'), answer)
