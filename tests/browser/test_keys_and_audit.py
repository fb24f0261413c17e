"""API keys and the audit log, as administrators see them, and as nobody else does."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.looking import find_barriers, take_picture
from tests.e2e.support import Up

HOSTILE = "<script>alert(1)</script>"


def make(page: Page, owner: str, *roles: str) -> str:
    """Make a key by the form; returns it."""
    page.goto("/keys/new")
    page.get_by_label("Owner").fill(owner)
    for role in ("read", "predict", "bulk"):
        page.locator(f"input[value={role}]").set_checked(role in roles)
    page.get_by_role("button", name="Make the key").click()
    return page.locator("#key").inner_text()


def status_with(stack: Up, key: str) -> int:
    """What the API answers to a call with the key."""
    return httpx.get(f"{stack.state['api_url']}/v1/jobs", headers={"Authorization": f"Bearer {key}"}).status_code


def test_a_key_is_made_shown_once_replaced_and_revoked(stack: Up, page: Page) -> None:
    """The new key works at once; its successor, too; and after a revocation neither a call nor a list has it active."""
    key = make(page, "marketing", "read")
    assert status_with(stack, key) == 200
    take_picture(page, "key-made")
    page.get_by_role("link", name="I have copied it").click()
    assert key not in page.content()
    prefix = key[:11]
    page.get_by_role("link", name=prefix).click()
    assert find_barriers(page) == []
    page.get_by_label("The old key goes on").select_option("0")
    page.get_by_role("button", name="Replace", exact=True).click()
    successor = page.locator("#key").inner_text()
    assert successor != key
    assert status_with(stack, successor) == 200
    page.goto(f"/keys/{successor[:11]}")
    page.get_by_label("To be sure").fill("pq_wrong")
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was done")
    page.get_by_label("To be sure").fill(successor[:11])
    page.get_by_role("button", name="Revoke").click()
    expect(page.locator("tr", has_text=successor[:11])).to_contain_text("revoked")
    expect(page.locator("tr", has_text=prefix)).to_contain_text("expired")
    take_picture(page, "keys")


def test_what_a_key_cannot_be_is_said_and_nothing_typed_is_lost(page: Page) -> None:
    """The form comes back with its values and the API's own sentence."""
    page.goto("/keys/new")
    page.get_by_label("Owner").fill("night\u202eshift")
    page.get_by_label("Note").fill("for the cron job")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Note")).to_have_value("for the cron job")


@pytest.mark.parametrize(
    ("language", "said"), [("en-GB", "The last day is past"), ("fr-FR", "Le dernier jour est passé")]
)
def test_a_last_day_that_is_past_is_refused(visit: Visit, language: str, said: str) -> None:
    """With what it would come to; the day that was typed is still there."""
    page = visit(language=language)
    page.goto("/keys/new")
    page.locator("#owner").fill("team of yesterday")
    page.locator("#expires").fill("2020-01-31")
    page.locator("button.main").click()
    expect(page.get_by_role("alert")).to_contain_text(said)
    expect(page.locator("#expires")).to_have_value("2020-01-31")
    page.goto("/keys")
    expect(page.locator("main")).not_to_contain_text("team of yesterday")


def test_the_audit_log_shows_who_did_what(page: Page) -> None:
    """A key that was made is a line with its maker, address and what it may; a filter finds it; a script stays text."""
    make(page, HOSTILE, "read")
    page.goto("/audit")
    row = page.locator("tbody tr", has_text="key.create").first
    expect(row).to_contain_text("made a key")
    expect(row).to_contain_text("by an API key")
    expect(row).to_contain_text("127.0.0.1")
    row.get_by_text("What changed").click()
    expect(row).to_contain_text(f"owner: {HOSTILE}")
    expect(row).to_contain_text("roles: read")
    expect(row).to_contain_text("models: not set")
    assert find_barriers(page) == []
    take_picture(page, "audit")
    page.get_by_label("Act").fill("key.create")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr").first).to_be_visible()
    assert set(page.locator("tbody td:nth-child(3) code").all_inner_texts()) == {"key.create"}
    page.goto("/audit?action=no.such.act")
    expect(page.locator("main")).to_contain_text("No line fits.")


@pytest.mark.parametrize(
    ("path", "title"),
    [("/keys", "Clés"), ("/keys/new", "Nouvelle clé"), ("/audit", "Journal d’audit"), ("/kept", "Conservation")],
)
def test_both_screens_speak_french_and_fit_a_telephone(visit: Visit, path: str, title: str) -> None:
    """Nothing stands out of a window of 390 pixels, in the dark, without a script."""
    page = visit(language="fr-FR", width=390, is_dark=True, has_script=False)
    page.goto(path)
    expect(page.locator("h1")).to_have_text(title)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_others_than_administrators_see_neither(stack: Up, page: Page, visit: Visit) -> None:
    """Not in the frame, and not by the address either."""
    other = visit(key=make(page, "sales", "read"))
    other.goto("/")
    assert other.locator("nav a[href='/keys']").count() == 0
    for path in ("/keys", "/keys/new", "/audit", "/kept"):
        answer = other.goto(path)
        assert answer is not None
        assert answer.status == 403
