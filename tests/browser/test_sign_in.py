"""Signing in and out, and what keeps strangers' pages from doing it for somebody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from pydantic import SecretStr
from sqlalchemy import Engine

from devstack.servers.ports import free_port
from shared.config import Settings
from tests.browser.conftest import Visit
from tests.browser.looking import Looking, find_barriers, new_page, sign_in_link, take_picture
from tests.e2e.support import Up
from tests.integration.access.test_oidc import provider, with_provider
from tests.integration.gateway.api_support import running_gateway


def test_a_link_signs_in_once(stack: Up, visit: Visit) -> None:
    """The first browser that opens it is in; the second is told so, and how to get another."""
    link = sign_in_link(stack.state["api_url"], stack.state["api_key"])
    first, second = visit(key=""), visit(key="")
    first.goto(link)
    expect(first.locator("h1")).to_have_text("Overview")
    assert "link=" not in first.url
    second.goto(link)
    expect(second.get_by_role("alert")).to_contain_text("used before")


def test_a_key_signs_in_and_a_wrong_one_does_not(stack: Up, visit: Visit) -> None:
    """Whoever was on the way to a screen gets there; signing out ends the session for the old cookie, too."""
    page = visit(key="")
    page.goto("/jobs?status=failed")
    expect(page.locator("h1")).to_have_text("Sign in")
    page.get_by_label("API key").fill("pq_no_such_key")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("unknown or was revoked")
    assert find_barriers(page) == []
    take_picture(page, "sign-in")
    page.get_by_label("API key").fill(stack.state["api_key"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("h1")).to_have_text("Jobs")
    assert page.url.endswith("/jobs?status=failed")
    (cookie,) = [item for item in page.context.cookies() if item["name"] == "predictq_session"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("h1")).to_have_text("Sign in")
    answer = httpx.get(f"{stack.state['api_url']}/jobs", cookies={"predictq_session": cookie["value"]})
    assert answer.headers["location"].startswith("/sign-in")


def test_people_sign_in_by_their_organisation(
    settings: Settings, engine: Engine, browser: Browser, tmp_path: Path
) -> None:
    """A button leads to the provider and back to the screen that was wanted; whoever is in no group is told so."""
    assert engine
    with provider(free_port()) as issuer:
        by_provider = with_provider(
            settings, issuer, oidc_client_id="predictq-screens", oidc_client_secret=SecretStr("a secret")
        )
        with running_gateway(by_provider) as gateway, _closing(Looking(str(gateway.base_url), "", tmp_path)) as looking:
            ann = new_page(browser, looking, key="")
            ann.goto("/jobs?status=failed")
            assert find_barriers(ann) == []
            take_picture(ann, "sign-in-provider")
            ann.get_by_role("link", name="Sign in with your organisation").click()
            ann.get_by_role("button", name="ann").click()
            expect(ann.locator("h1")).to_have_text("Jobs")
            assert ann.url.endswith("/jobs?status=failed")
            ann.get_by_role("button", name="Sign out").click()
            expect(ann.locator("h1")).to_have_text("Sign in")
            eve = new_page(browser, looking, key="", language="fr-FR", has_script=False)
            eve.goto("/")
            eve.get_by_role("link", name="Se connecter avec votre organisation").click()
            eve.get_by_role("button", name="eve").click()
            expect(eve.get_by_role("alert")).to_contain_text("aucun des groupes")


@contextmanager
def _closing(looking: Looking) -> Iterator[Looking]:
    try:
        yield looking
    finally:
        looking.finish()


def test_the_language_is_the_browsers_or_the_chosen_one(visit: Visit) -> None:
    """French for a French browser, and English once it is chosen, with all that it remembers in cookies."""
    page = visit(language="fr-FR")
    expect(page.locator("h1")).to_have_text("Vue d’ensemble")
    assert page.locator("html").get_attribute("lang") == "fr"
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("Overview")


def test_light_and_dark_can_be_chosen(visit: Visit) -> None:
    """Against what the system says, and back to that."""
    page = visit(is_dark=True)
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.get_by_role("button", name="Light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert page.evaluate(paper) != dark
    page.get_by_role("button", name="As the system").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "auto")
    assert page.evaluate(paper) == dark


@pytest.mark.parametrize("token", [None, "0" * 64, "é"])
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/preferences"])
def test_no_form_is_taken_without_its_token(stack: Up, path: str, token: str | None) -> None:
    """Neither without one nor with another's, and a key that comes with it signs nobody in."""
    form = {"key": stack.state["api_key"], **({} if token is None else {"form_token": token})}
    answer = httpx.post(stack.state["api_url"] + path, data=form, cookies={"predictq_visit": "somebody"})
    assert answer.status_code == 403
    assert "predictq_session" not in answer.headers.get("set-cookie", "")


def test_a_strangers_host_name_is_shown_nothing(stack: Up) -> None:
    """A name that was led to this address after its page was loaded (DNS rebinding) gets no screen."""
    for path in ("/", "/sign-in", "/jobs"):
        answer = httpx.get(stack.state["api_url"] + path, headers={"Host": "stranger.example"})
        assert answer.status_code == 421
        assert "PREDICTQ_ALLOWED_HOSTS" in answer.text


def test_an_unknown_address_is_a_page_for_people_and_a_problem_for_programs(stack: Up) -> None:
    """Whoever prefers HTML gets a screen that leads back; the API's own paths answer as the API does."""
    url = stack.state["api_url"]
    shown = httpx.get(f"{url}/no/such/screen", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (shown.status_code, shown.headers["content-type"]) == (404, "text/html; charset=utf-8")
    for path, accept in (("/no/such/screen", "*/*"), ("/v1/no/such/call", "text/html")):
        answer = httpx.get(url + path, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_every_screen_forbids_code_of_others_and_frames(stack: Up) -> None:
    """The policy allows scripts and styles from here alone, none within the page, and no frame around it."""
    for path in ("/sign-in", "/no/such/screen"):
        answer = httpx.get(stack.state["api_url"] + path, headers={"Accept": "text/html"})
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/jobs?until=9999-12-31", 422),
        ("/jobs?since=0001-01-01", 422),
        ("/audit?until=9999-12-31", 422),
        ("/live?job=x", 404),
    ],
)
def test_an_odd_address_is_no_fault_of_ours(visit: Visit, path: str, status: int) -> None:
    """The last day of the calendar, the first, which in UTC is none, and what is no job."""
    answer = visit().goto(path)
    assert answer is not None
    assert answer.status == status


@pytest.mark.parametrize(
    "wanted", ["https://stranger.example/", "//stranger.example", "/\\stranger.example", "javascript:1"]
)
def test_signing_in_leads_nowhere_else(stack: Up, wanted: str) -> None:
    """A link to the sign-in that names another site leads to the first screen."""
    url = stack.state["api_url"]
    link = sign_in_link(url, stack.state["api_key"])
    answer = httpx.get(url + link, params={**httpx.URL(link).params, "next": wanted})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"


def test_times_are_the_readers_own(visit: Visit) -> None:
    """In the browser's time zone, which its script tells once, and with the zone in full on hover; in UTC without."""
    page = visit()
    page.goto("/")
    shown = page.locator("#title time").first
    hours = "new Date(document.querySelector('#title time').dateTime).getHours()"
    assert int(shown.inner_text().partition(":")[0]) == page.evaluate(hours)
    assert re.search(r"CES?T|\+", shown.get_attribute("title") or "")
