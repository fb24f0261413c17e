"""Screens of much stay small, and lead to all of it: a client with a thousand answers, hundreds of API keys."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html import unescape
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from cli.connection import client
from cli.main import app
from shared.batches.claims import finish
from shared.config import Settings
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.postgres.engine import transaction
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.integration.jobs.jobs_support import page_of, take
from tests.roles import as_worker
from tests.support import OWNER, add_clients, add_model, bulk_job
from web.frame.screen import Screen
from worker.scoring.key_hashes import KeyHashes

MOST_BYTES = 150_000
CLIENT = 2
JOBS = (130,) * 7 + (90,)  # rows of each: screens end within pages
KEYS = 500
WANTED = {"source": "clients", "client_id": CLIENT}
_OLDER = re.compile(r'<a class="button" rel="next" href="([^"]+)"')


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """Signed in as an administrator, as a browser is."""
    add_clients(engine, 3)
    add_model(engine)
    with running_gateway(settings, new_key(engine, OWNER, is_admin=True)) as signed_in:
        signed_in.get(signed_in.post("/v1/sign-in-links").json()["path"], follow_redirects=True)
        yield signed_in


def answer(engine: Engine, *jobs: int) -> None:
    """Bulk jobs of so many rows, each of which is the client."""
    for rows in jobs:
        accept_keys(engine, bulk_job(engine), ListedIds([CLIENT] * rows), rows)
        held = take(engine)
        hashes = KeyHashes(as_worker(engine))(np.array([CLIENT], np.int64), held.source_id or 0).tolist()
        finish(engine, [(held, replace(page_of(held), key_hashes=hashes))])


def follow(gateway: Gateway, path: str) -> Iterator[str]:
    """The screens from `path` on, each by the link of the one before."""
    following = path
    while following:
        page = gateway.get(following)
        assert page.status_code == 200
        assert len(page.content) <= MOST_BYTES
        yield page.text
        found = _OLDER.search(page.text)
        following = path + unescape(found[1]) if found else ""


def test_every_answer_of_a_client_is_reached_by_links(gateway: Gateway, engine: Engine) -> None:
    """A thousand of them: screens of a bounded size, newest first, no answer left out and none shown twice."""
    answer(engine, *JOBS)
    client_hash = gateway.post("/v1/clients/answers", json=WANTED).json()["client_hash"]
    shown: list[str] = []
    for page in follow(gateway, f"/clients/{client_hash}/clients"):
        found = re.findall(r'<td><a class="code" href="/answers/([^"]+)"', page)
        assert 0 < len(found) <= 100
        shown += found
    assert len(shown) == sum(JOBS)
    assert shown == sorted(set(shown), key=lambda id_: [-int(part) for part in id_.split("-")])


def test_only_what_was_answered_is_counted_as_an_answer_of_a_client(gateway: Gateway, engine: Engine) -> None:
    """A row that ended in an error has no answer, as one that was cancelled has none."""
    accept_keys(engine, bulk_job(engine), ListedIds([CLIENT] * 5), 5)
    held = take(engine)
    hashes = KeyHashes(as_worker(engine))(np.array([CLIENT] * 5, np.int64), held.source_id or 0).tolist()
    finish(engine, [(held, replace(page_of(held, errors=2), key_hashes=hashes))])
    client_hash = gateway.post("/v1/clients/answers", json=WANTED).json()["client_hash"]
    lead = gateway.get(f"/clients/{client_hash}/clients").text.partition("<h1>")[2].partition("</p>")[0]
    assert lead.endswith(" · 3 answers · 2 rows without an answer"), lead


def test_a_client_of_one_list_of_answers_has_no_link_to_older_ones(gateway: Gateway, engine: Engine) -> None:
    """The last answer is the end, also where it fills the list."""
    answer(engine, 5)
    ends = {limit: gateway.post("/v1/clients/answers", json={**WANTED, "limit": limit}).json() for limit in (4, 5)}
    assert [(len(found["answers"]), found["next"] is None) for found in ends.values()] == [(4, False), (5, True)]
    rest = gateway.post("/v1/clients/answers", json={**WANTED, "limit": 4, "cursor": ends[4]["next"]}).json()
    assert [row["request_id"] for row in rest["answers"]] == [ends[5]["answers"][-1]["request_id"]]
    assert rest["next"] is None


@pytest.mark.parametrize("cursor", ["x", "", "1042", "1042-7-1", "99999999999999999999-0"])
def test_a_cursor_that_no_list_gave_out_is_refused(gateway: Gateway, cursor: str) -> None:
    """As in the other lists, with the place in the body where it stands."""
    refused = gateway.post("/v1/clients/answers", json={**WANTED, "cursor": cursor})
    (flaw,) = refused.json()["errors"]
    assert (refused.status_code, flaw["pointer"], flaw["code"]) == (422, "/cursor", "invalid_value")


def test_every_key_is_reached_by_links(gateway: Gateway, engine: Engine) -> None:
    """Of hundreds; each leads to its own screen, which knows the key that took its place."""
    with transaction(engine) as connection:
        connection.execute(
            text("""
            INSERT INTO predictq.api_keys (owner, prefix, key_hash, roles, note)
            SELECT 'the team of underwriters no. ' || n, 'pq_' || lpad(n::text, 8, '0'), lpad(n::text, 64, '0'),
                   ARRAY['read', 'predict', 'bulk'], 'for the nightly run of the portfolio no. ' || n
            FROM generate_series(1, :keys) n
            """),
            {"keys": KEYS},
        )
    shown = [prefix for page in follow(gateway, "/keys") for prefix in re.findall(r'href="/keys/(pq_[^"]+)"', page)]
    assert len(shown) == len(set(shown)) == KEYS + 1
    oldest = shown[-2]
    new = gateway.post(f"/v1/keys/{oldest}/rotate", json={}).json()["prefix"]
    page = gateway.get(f"/keys/{oldest}")
    assert (page.status_code, f'href="/keys/{new}"' in page.text) == (200, True)
    assert gateway.get("/keys/pq_nobody1").status_code == 404


def test_the_command_line_follows_to_the_end(gateway: Gateway, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows all answers of a client and all keys, however many calls that takes."""
    answer(engine, 5)
    made = [gateway.post("/v1/keys", json={"owner": "sales"}).json()["prefix"] for _ in range(4)]
    monkeypatch.setattr(client, "_LISTED_AT_ONCE", 2)
    monkeypatch.setenv("PREDICTQ_API_URL", str(gateway.base_url))
    monkeypatch.setenv("PREDICTQ_API_KEY", gateway.headers["Authorization"].removeprefix("Bearer "))
    run = CliRunner().invoke
    answers = json.loads(run(app, ["clients", "answers", str(CLIENT), "--source", "clients", "--json"]).stdout)
    assert [row["request_id"].partition("-")[2] for row in answers["answers"]] == ["4", "3", "2", "1", "0"]
    keys = json.loads(run(app, ["keys", "list", "--json"]).stdout)
    assert [key["prefix"] for key in keys[:4]] == made[::-1]
    assert len(keys) == 5


def test_calls_go_on_while_a_screen_is_drawn(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its table is: another call is answered before the screen is ready."""
    render = Screen._render
    others_answered = threading.Event()

    def render_late(self: Screen, template: str, values: Mapping[str, Any]) -> str:
        assert others_answered.wait(10)
        return render(self, template, values)

    monkeypatch.setattr(Screen, "_render", render_late)
    with ThreadPoolExecutor(1) as others:
        page = others.submit(gateway.get, "/keys")
        assert gateway.get("/health/live").status_code == 200
        others_answered.set()
        assert page.result().status_code == 200
