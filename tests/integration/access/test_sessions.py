"""Sessions of the screens: they end with their API key and by themselves; no form is taken without its token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Engine, text

from api.access import signing_in
from api.server.app import create_app
from shared.access.api_keys import revoke_key
from shared.access.sign_in import end_session
from shared.config import Settings
from shared.postgres.engine import transaction
from tests.integration.gateway.api_support import Gateway, bearer, new_key, running_gateway

_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


@pytest.fixture
def key(engine: Engine) -> str:
    return new_key(engine, "ann", is_admin=True)


@pytest.fixture
def gateway(settings: Settings, engine: Engine, key: str) -> Iterator[Gateway]:
    """What sends the key to the API; its cookies are empty."""
    assert engine
    with running_gateway(settings, key) as running:
        yield running


def browser(gateway: Gateway) -> httpx.Client:
    """A browser without cookies and without a key."""
    return httpx.Client(base_url=gateway.base_url, timeout=30)


def new_link(gateway: Gateway) -> str:
    made = gateway.post("/v1/sign-in-links")
    assert made.status_code == 201, made.text
    return str(made.json()["path"])


def sign_in(person: httpx.Client, gateway: Gateway) -> None:
    assert person.get(new_link(gateway)).status_code == 303
    assert person.get("/jobs").status_code == 200


def change(engine: Engine, statement: str, **values: Any) -> None:
    with transaction(engine) as connection:
        assert connection.execute(text(statement), values).rowcount == 1


def revoke(engine: Engine, key: str) -> None:
    with transaction(engine) as connection:
        revoke_key(connection, key[:11])


def let_expire(engine: Engine, key: str) -> None:
    change(
        engine,
        "UPDATE predictq.api_keys SET expires_at = now() - interval '1 s' WHERE prefix = :prefix",
        prefix=key[:11],
    )


def posted_paths(settings: Settings) -> set[str]:
    """All that the application takes by POST."""
    routes = [route for route in create_app(settings).routes if isinstance(route, APIRoute)]
    assert len(routes) > 100
    return {route.path for route in routes if "POST" in route.methods}


@pytest.mark.parametrize("end", [revoke, let_expire])
def test_a_session_ends_with_its_key(gateway: Gateway, engine: Engine, key: str, end: Any) -> None:
    """At once, revoked or expired: every screen leads to the sign-in, and what a form would do is not done."""
    with browser(gateway) as person:
        sign_in(person, gateway)
        (token, *_) = _TOKEN.findall(person.get("/keys/new").text)
        link = new_link(gateway)
        end(engine, key)
        for path in ("/", "/jobs", "/keys"):
            answer = person.get(path)
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in")
        acted = person.post("/keys/new", data={"form_token": token, "owner": "eve", "roles": "read"})
        assert (acted.status_code, acted.headers["location"].partition("?")[0]) == (303, "/sign-in")
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM predictq.api_keys")).scalar_one() == 1
    with browser(gateway) as stranger:  # a link of the key signs nobody in either
        assert stranger.get(link).status_code == 403
        assert "predictq_session" not in stranger.cookies


def test_a_session_lasts_twelve_hours_and_a_link_a_day(gateway: Gateway, engine: Engine) -> None:
    """To the second: what was made so long ago signs nobody in, and what was made a little later does."""
    aged = "UPDATE predictq.{} SET expires_at = expires_at - CAST(:age AS interval)"
    with browser(gateway) as person:
        sign_in(person, gateway)
        change(engine, aged.format("sessions"), age="11 h 59 min")
        assert person.get("/jobs").status_code == 200
        change(engine, aged.format("sessions"), age="1 min")
        answer = person.get("/jobs")
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in")
    for age, status in (("23 h 59 min", 303), ("24 h", 403)):
        link = new_link(gateway)
        change(engine, aged.format("sign_in_links"), age=age)
        with browser(gateway) as person:
            assert person.get(link).status_code == status
            assert ("predictq_session" in person.cookies) is (status == 303)


@pytest.mark.parametrize("site", ["none", "same-origin", ""])
def test_a_link_of_ones_own_signs_in_at_once(gateway: Gateway, site: str) -> None:
    """Opened out of a terminal or typed, and by a browser that does not tell."""
    with browser(gateway) as person:
        person.get(new_link(gateway), headers={"Sec-Fetch-Site": site} if site else {})
        assert person.get("/jobs").status_code == 200


@pytest.mark.parametrize(("language", "words"), [("en", "A page of another site"), ("fr", "Une page d’un autre site")])
def test_another_site_signs_nobody_in_by_its_link(gateway: Gateway, language: str, words: str) -> None:
    """Nor does a page of a sibling host: the link becomes a button that its visitor has to press; it is not used up."""
    for site in ("cross-site", "same-site"):
        link = new_link(gateway)
        with browser(gateway) as person:
            shown = person.get(f"{link}&next=/models", headers={"Sec-Fetch-Site": site, "Accept-Language": language})
            assert (shown.status_code, words in shown.text) == (200, True)
            assert "predictq_session" not in person.cookies
            assert person.get("/jobs").status_code == 303
            token, *_ = _TOKEN.findall(shown.text)
            pressed = {"link": link.partition("link=")[2], "next": "/models"}
            for given, status, leads_to in (("", 403, None), (token, 303, "/models"), ("", 403, None)):
                answer = person.post("/sign-in", data={**pressed, "form_token": given})
                assert (answer.status_code, answer.headers.get("location")) == (status, leads_to)
            assert person.get("/jobs").status_code == 200
        with browser(gateway) as second:
            token, *_ = _TOKEN.findall(second.get("/sign-in").text)
            assert second.post("/sign-in", data={**pressed, "form_token": token}).status_code == 403


@pytest.mark.parametrize(("language", "words"), [("en", "Become bob"), ("fr", "Devenir bob")])
def test_a_link_of_somebody_else_is_a_button_for_whoever_is_signed_in(
    gateway: Gateway, engine: Engine, language: str, words: str
) -> None:
    """It says who she is and whom it makes her; she stays who she is until she presses it, and it stays good."""
    of_bob = gateway.post("/v1/sign-in-links", headers=bearer(new_key(engine, "bob"))).json()["path"]
    with browser(gateway) as person:
        sign_in(person, gateway)
        shown = person.get(f"{of_bob}&next=/models", headers={"Accept-Language": language})
        assert (shown.status_code, words in shown.text) == (200, True)
        session = person.cookies["predictq_session"]
        assert "bob" not in person.get("/jobs").text
        (token,) = set(_TOKEN.findall(shown.text))
        pressed = {"link": of_bob.partition("link=")[2], "next": "/models", "form_token": token}
        assert person.post("/sign-in", data=pressed).headers["location"] == "/models"
        assert person.cookies["predictq_session"] != session
        assert "bob" in person.get("/jobs").text
        assert person.get(of_bob).headers["location"] == "/"  # it is used up, and she stays who she is
    with browser(gateway) as person:
        sign_in(person, gateway)
        own = new_link(gateway)
        assert person.get(own).headers["location"] == "/"
        with browser(gateway) as second:
            assert second.get(own).status_code == 403  # it was used


def test_who_only_looks_at_a_link_leaves_it_for_the_person(gateway: Gateway) -> None:
    """Programs that scan mails and chats ask with HEAD for what stands in them."""
    link = new_link(gateway)
    with browser(gateway) as scanner, browser(gateway) as person:
        looked = scanner.head(link)
        assert (looked.status_code, "predictq_session" in looked.headers.get("set-cookie", "")) == (200, False)
        assert person.get(link).status_code == 303


def test_guessing_sessions_and_links_is_limited(
    settings: Settings, engine: Engine, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address may try so many, then PostgreSQL is not asked. Who was signed in goes on; a browser that keeps the
    cookie of a session that has ended is none who guesses.
    """
    asked: list[str] = []
    for name in ("find_session", "follow_link"):
        look_up = getattr(signing_in, name)
        monkeypatch.setattr(signing_in, name, lambda *given, ask=look_up: asked.append(given[1]) or ask(*given))
    limited = settings.model_copy(update={"failed_keys_per_minute": 3})
    with running_gateway(limited, key) as gateway, browser(gateway) as person, browser(gateway) as left:
        for one in (person, left):
            sign_in(one, gateway)
        with transaction(engine) as connection:
            end_session(connection, left.cookies["predictq_session"])
        assert [left.get("/jobs").status_code for _ in range(8)] == [303] * 8
        link = new_link(gateway)
        asked.clear()
        with httpx.Client(base_url=gateway.base_url) as stranger:
            cookies = [{"Cookie": f"predictq_session=made-up-{number}"} for number in range(4)]
            assert [stranger.get("/jobs", headers=cookie).status_code for cookie in cookies] == [303, 303, 303, 429]
            assert stranger.get("/metrics", headers={**cookies[3], "Forwarded": "for=::1"}).status_code == 429
            assert asked == ["made-up-0", "made-up-1", "made-up-2"]
            refused = stranger.get("/sign-in?link=made-up", headers={"Accept-Language": "fr"})
            assert (refused.status_code, "Trop de connexions" in refused.text) == (429, True)
            assert len(asked) == 3
        assert person.get("/jobs").status_code == 200
        assert gateway.get("/v1/jobs").status_code == 200
    with running_gateway(limited) as gateway:
        links = [link, *(f"/sign-in?link=made-up-{number}" for number in range(5))]
        answers = [httpx.get(f"{gateway.base_url}{one}").status_code for one in links]
        assert answers == [303, 403, 403, 403, 429, 429]


def test_no_form_of_somebody_signed_in_is_taken_without_the_sessions_token(
    gateway: Gateway, settings: Settings
) -> None:
    """Every form there is: without a token, and with the one of before signing in, nothing is done."""
    forms = sorted(re.sub(r"{[^}]*}", "1", path) for path in posted_paths(settings) if not path.startswith("/v1/"))
    assert {"/keys/new", "/jobs/new", "/sign-in", "/sign-out", "/models/1/promote"} <= set(forms)
    with browser(gateway) as person:
        (visits,) = set(_TOKEN.findall(person.get("/sign-in").text))
        sign_in(person, gateway)
        (sessions,) = set(_TOKEN.findall(person.get("/jobs").text))
        assert visits != sessions
        for form in forms:
            for given in (None, visits):
                assert person.post(form, data={"form_token": given} if given else {}).status_code == 403, form
        assert person.get("/jobs").status_code == 200  # nor has it signed out
        taken = person.post("/preferences", data={"form_token": sessions})
        assert taken.status_code != 403
