"""Where screens lead: back to the page that somebody was on, as it was, and nowhere that does more than was asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import escape, unescape
from uuid import UUID

import httpx
import numpy as np
import pytest
from sqlalchemy import Engine, text

from shared.batches.claims import finish
from shared.config import Settings
from shared.postgres.engine import autocommit
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.integration.gateway.test_screens import browser_of, bulk
from tests.integration.jobs.jobs_support import page_of, take
from tests.roles import as_worker
from tests.support import OWNER, add_clients, add_model
from web.screens import clients
from worker.scoring.key_hashes import KeyHashes

_BACK = re.compile(r'name="back" value="([^"]*)"')
_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """With a live model and clients; signed in, as a browser is."""
    add_clients(engine, 20)
    add_model(engine)
    with running_gateway(settings, new_key(engine, OWNER, roles=("read", "predict", "bulk", "operate"))) as client:
        client.get(client.post("/v1/sign-in-links").json()["path"], follow_redirects=True)
        yield client


_ADDRESSES = (
    "/jobs?name=Ventes&status=queued",
    "/acts/repeat?name=Ventes",
    "/acts/cancel?name=a%26b%3D%C3%A9+%2B&status=queued",
    "/try?model=default",
    "/models/default/promote?version=1",
    "/models/a%3Fb%25?x=1",
    "/jobs?name=a%5Cb'%22%0D%0A//x.example",
    "/jobs?name=a\\b",
)


def test_a_choice_of_language_or_theme_leads_back_to_the_same_page(gateway: Gateway, engine: Engine) -> None:
    """With what its address says, whatever signs stand in it: without that an act would be one on more jobs."""
    with browser_of(gateway, new_key(engine, OWNER)) as browser:
        for address in _ADDRESSES:
            page = browser.get(address).text
            (back,) = set(_BACK.findall(page))
            fields = {"form_token": _TOKEN.findall(page)[0], "back": unescape(back), "theme": "dark"}
            answer = browser.post("/preferences", data=fields)
            assert answer.status_code == 303
            asked, led = httpx.URL(address), httpx.URL(answer.headers["location"])
            assert (led.host, led.path, led.params) == ("", asked.path, asked.params)


def test_a_link_that_signs_in_is_not_followed_by_a_choice_of_theme(gateway: Gateway, engine: Engine) -> None:
    """Where a page of another site led to it, it is a button, and the only one that takes it."""
    link = gateway.post("/v1/sign-in-links").json()["path"]
    with browser_of(gateway, new_key(engine, OWNER)) as browser:
        browser.cookies.clear()
        page = browser.get(f"{link}&next=/jobs", headers={"Sec-Fetch-Site": "cross-site"}).text
        assert 'name="link"' in page
        assert set(_BACK.findall(page)) == {"/sign-in?next=%2Fjobs"}


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ("since=rubbish", {"since": "This is no day."}),
        ("until=2026-02-31", {"until": "This is no day."}),
        ("since=2026-02-02&until=2026-02-01", {"until": "This day is before the first one."}),
        ("since=1900-01-01&until=1910-12-31", {}),
    ],
)
def test_a_wrong_day_is_told_at_its_field_and_an_old_one_is_taken(
    gateway: Gateway, engine: Engine, days: str, words: dict[str, str]
) -> None:
    """In the list of jobs and in the audit log; with a reader in Paris, whose clocks went by 9 min 21 s until 1911."""
    with browser_of(gateway, new_key(engine, "root", is_admin=True)) as browser:
        browser.cookies.set("predictq_zone", "Europe%2FParis")
        for path in ("/jobs", "/audit"):
            page = browser.get(f"{path}?{days}")
            assert page.status_code == (422 if words else 200), path
            assert dict(re.findall(r'role="alert" id="wrong-(\w+)">([^<]*)<', page.text)) == words, path
            assert ("Nothing was looked for" in page.text) == bool(words), path


@pytest.mark.parametrize("act", ["cancel", "repeat", "retry"])
def test_no_act_is_on_all_jobs_unless_the_address_says_all(gateway: Gateway, engine: Engine, act: str) -> None:
    """Neither without a filter nor with a part of one that nobody understands; the list's own button says it."""
    job = bulk(engine, "x")
    for query in ("", "?", "?name=", "?status=none-such", "?name=x&since=never", "?all=no"):
        page = gateway.get(f"/acts/{act}{query}")
        assert (page.status_code, "Choose jobs in the list first" in page.text) == (422, True), query
        assert f'<form method="post" action="/acts/{act}"' not in page.text
        assert str(job) not in page.text
    assert f'href="/acts/{act}?all=yes"' in gateway.get("/jobs").text
    assert f'href="/acts/{act}?name=x"' in gateway.get("/jobs?name=x").text
    for plain in ("?all=yes", "?name=x"):
        assert (str(job) in gateway.get(f"/acts/{act}{plain}").text) == (act != "retry")


def test_many_jobs_are_repeated_by_whoever_types_their_number(gateway: Gateway, engine: Engine) -> None:
    """One is asked again at a press; several may be a day of work for every worker."""
    first = bulk(engine, "x")
    assert 'name="to_type"' not in gateway.get("/acts/repeat?name=x").text
    bulk(engine, "x")
    with browser_of(gateway, new_key(engine, OWNER)) as browser:
        page = browser.get("/acts/repeat?name=x").text
        names = re.findall(r'<input type="hidden" name="(job|nonce|to_type)" value="([^"]+)"', page)
        assert ("to_type", "2") in names
        fields = {name: [value for own, value in names if own == name] for name, _ in names}
        given = {**fields, "form_token": _TOKEN.findall(page)[0]}
        before = len(gateway.get("/v1/jobs").json()["jobs"])
        for typed, status in (("", 422), ("3", 422), ("2", 200)):
            assert browser.post("/acts/repeat", data={**given, "typed": typed}).status_code == status, typed
        assert len(gateway.get("/v1/jobs").json()["jobs"]) == before + 2
        assert str(first) in page


def test_the_answer_of_a_form_offers_no_choice_that_would_lose_it(gateway: Gateway, engine: Engine) -> None:
    """A key that is shown once, and what was typed wrongly; the page says why. Its address alone leads nowhere."""
    with browser_of(gateway, new_key(engine, "root", is_admin=True)) as browser:
        page = browser.get("/keys").text
        assert "this one answers a form" not in page
        token = _TOKEN.findall(page)[0]
        made = browser.post("/keys/new", data={"form_token": token, "owner": "x", "role": "read"})
        (secret,) = re.findall(r'<code id="key">([^<]+)<', made.text)
        answers = [
            made,
            browser.post("/keys/new", data={"form_token": token, "owner": "x"}),
            browser.post("/clients", data={"form_token": token, "key": "nobody"}),
        ]
        assert secret
        assert [answer.status_code for answer in answers] == [200, 422, 404]
        for answer in answers:
            assert 'action="/preferences"' not in answer.text
            assert "this one answers a form" in answer.text


def test_no_browser_is_shown_json_where_a_page_is_wanted(gateway: Gateway, engine: Engine) -> None:
    """An address that takes a form alone, one that takes none, and one that nobody serves: each is a page."""
    with browser_of(gateway, new_key(engine, OWNER), "fr") as browser:
        for method, path, status in (
            ("GET", "/find", 405),
            ("GET", "/keys/abc/rotate", 405),
            ("POST", "/jobs", 405),
            ("POST", "/no/such", 404),
        ):
            answer = browser.request(method, path)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8"), path
            assert answer.headers.get("allow") == (
                {"GET": "POST", "POST": "GET, HEAD"}[method] if status == 405 else None
            )
            assert '<html lang="fr"' in answer.text
        program = browser.get("/find", headers={"Accept": "application/json"})
        assert (program.status_code, program.headers["content-type"]) == (405, "application/problem+json")


def test_what_was_found_has_an_address_without_what_was_sought(
    gateway: Gateway, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that Back leads from a job or a client to the others that were found, and no key gets into an address."""

    async def twice(_: object) -> list[str]:  # for one key in two sources
        return ["clients", "clients"]

    jobs = [bulk(engine, "Run 77777"), bulk(engine, "Run 777778")]
    held = take(engine)
    hashes = KeyHashes(as_worker(engine))(np.array([1], np.int64), held.source_id or 0).tolist()
    finish(as_worker(engine), [(held, replace(page_of(held), key_hashes=hashes))])
    with browser_of(gateway, new_key(engine, OWNER)) as browser:
        token = _TOKEN.findall(browser.get("/jobs").text)[0]
        led = browser.post("/find", data={"form_token": token, "find": "77777"})
        assert led.status_code == 303
        address = led.headers["location"]
        assert (address.startswith("/found?"), "77777" in address) == (True, False)
        page = browser.get(f"{address}&job=x&job={UUID(int=1)}&models=default&sources=clients").text
        assert all(f'href="/jobs/{job}"' in page for job in jobs)
        assert ('href="/models/default"' in page, 'href="/sources/clients"' in page) == (True, False)
        assert 'action="/preferences"' in page
        with browser_of(gateway, new_key(engine, "another")) as other:
            assert not re.search(r'href="/jobs/[0-9a-f]{8}-', other.get(address).text)
        assert browser.get("/found").status_code == 404
        monkeypatch.setattr(clients, "_sources", twice)
        for path, field in (("/find", "find"), ("/clients", "key")):
            led = browser.post(path, data={"form_token": token, field: "1"})
            assert re.fullmatch(r"/clients/which(.of=[\w-]+%2Fclients){2}", led.headers["location"])
        page = browser.get(led.headers["location"]).text
        assert len(re.findall(r'href="/clients/[\w-]+/clients"', page)) == 2


def test_a_form_of_a_session_that_has_ended_leads_back_to_its_page(gateway: Gateway, engine: Engine) -> None:
    """By way of signing in, which says why; also where the file in it is larger than strangers may send."""
    site = str(gateway.base_url).rstrip("/")
    with browser_of(gateway, new_key(engine, OWNER)) as browser:
        token = _TOKEN.findall(browser.get("/jobs").text)[0]
        with autocommit(engine) as connection:
            connection.execute(text("DELETE FROM predictq.sessions"))
        for path, referer, wanted in (
            ("/jobs/new", f"{site}/jobs/new?model=default", "/jobs/new?model=default"),
            ("/acts/repeat", f"{site}/acts/repeat?name=a%26b", "/acts/repeat?name=a%26b"),
            ("/pauses", f"{site}/", "/"),
            ("/jobs/new", "", "/jobs/new"),
            ("/find", "", "/"),
            ("/find", f"{site}/find", "/"),
            ("/find", "https://x.example/jobs", "/"),
            ("/find", "https://[", "/"),
        ):
            led = browser.post(path, data={"form_token": token}, headers={"Referer": referer})
            address = httpx.URL(led.headers["location"])
            assert (led.status_code, address.path) == (303, "/sign-in")
            assert dict(address.params) == {**({} if wanted == "/" else {"next": wanted}), "ended": "yes"}, referer
            page = browser.get(led.headers["location"]).text
            assert "Your session has ended" in page
            assert f'name="next" value="{escape(wanted)}"' in page
        sent = browser.post("/jobs/new/file", data={"form_token": token}, files={"file": b"x" * 300_000})
        assert (sent.status_code, "ended=yes" in sent.headers["location"]) == (303, True)
        assert "Your session has ended" not in browser.get("/sign-in?next=/jobs").text


@pytest.mark.parametrize(("roles", "may"), [(("read",), False), (("read", "bulk"), False), (("read", "predict"), True)])
def test_a_prediction_is_offered_to_whoever_may_ask_for_one(
    gateway: Gateway, engine: Engine, roles: tuple[str, ...], may: bool
) -> None:
    """In the frame, on the overview and on the page of a model."""
    with browser_of(gateway, new_key(engine, OWNER, roles=roles)) as browser:
        for path in ("/", "/models/default"):
            page = browser.get(path)
            assert page.status_code == 200
            links = re.findall(r'href="/try(\?[^"]*)?"', page.text)
            assert (len(links) >= 2) if may else (links == []), path
