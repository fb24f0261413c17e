"""The screens by a keyboard and by a screen reader: where the focus is, and what is read out of what moves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.looking import api_of, find_barriers
from tests.e2e.support import Up
from tests.torture.machinery.proxy import Proxy


def test_a_job_that_ends_is_read_out(stack: Up, page: Page) -> None:
    """Its name and its new state, once each time that the state changes."""
    with api_of(stack) as client:
        pause = client.post("/v1/pauses", json={"queue": "bulk", "reason": "a test"}).json()["id"]
        try:
            order = {"client_ids": list(range(1, 40)), "name": "Read out"}
            job = client.post("/v1/jobs", json=order).json()["id"]
            page.goto(f"/jobs/{job}")
            expect(page.locator("h1 .chip")).to_contain_text("paused")
            expect(page.get_by_role("status")).to_have_text("")
        finally:
            client.delete(f"/v1/pauses/{pause}")
    expect(page.get_by_role("status")).to_have_text("Read out: succeeded", timeout=60_000)
    expect(page.locator("h1 .chip")).to_contain_text("succeeded")


def test_what_was_kept_for_the_focus_in_it_is_swapped_once_that_has_gone(stack: Up, page: Page) -> None:
    """A job that ended while somebody was on its button is not shown as open for ever."""
    with api_of(stack) as client:
        pause = client.post("/v1/pauses", json={"queue": "bulk", "reason": "a test"}).json()["id"]
        try:
            job = client.post("/v1/jobs", json={"client_ids": [1, 2], "name": "Kept"}).json()["id"]
            page.goto(f"/jobs/{job}")
            page.locator("#title").get_by_role("link", name="Cancel").focus()
        finally:
            client.delete(f"/v1/pauses/{pause}")
    expect(page.get_by_role("status")).to_have_text("Kept: succeeded", timeout=60_000)
    page.get_by_role("searchbox").focus()
    expect(page.locator("h1 .chip")).to_contain_text("succeeded")


def test_a_screen_that_moves_says_when_its_session_has_ended(page: Page) -> None:
    """It would stay as it was for ever, without a word; the link leads back to it."""
    page.goto("/jobs")
    expect(page.locator("#session-ended")).to_be_hidden()
    page.context.clear_cookies(name="predictq_session")
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended", timeout=60_000)
    assert page.get_by_role("alert").get_by_role("link").get_attribute("href") == "/sign-in?next=%2Fjobs"


def test_a_screen_finds_its_way_back_where_a_connection_is_gone_without_a_word(
    stack: Up, page: Page, line: Proxy
) -> None:
    """As after a change of Wi-Fi: what was open stays silent for ever, and new connections work."""
    with api_of(stack) as client:
        pause = client.post("/v1/pauses", json={"queue": "bulk", "reason": "a test"}).json()["id"]
        try:
            job = client.post("/v1/jobs", json={"client_ids": [1, 2], "name": "Out of touch"}).json()["id"]
            page.goto(f"http://127.0.0.1:{line.port}/jobs/{job}")
            listed = page.context.new_page()
            listed.goto(f"http://127.0.0.1:{line.port}/jobs")
            row = listed.locator("table.jobs tbody tr").filter(has_text="Out of touch").first
            for place in (page.locator("h1 .chip"), row):
                expect(place).to_contain_text("paused")
            line.silence()
            line.unsilence()
        finally:
            client.delete(f"/v1/pauses/{pause}")
    for place in (page.locator("h1 .chip"), row):
        expect(place).to_contain_text("succeeded", timeout=60_000)


def test_a_screen_that_moves_says_since_when_nobody_answers(page: Page, line: Proxy) -> None:
    """And takes it back once somebody does."""
    page.goto(f"http://127.0.0.1:{line.port}/jobs")
    expect(page.locator("#no-answer")).to_be_hidden()
    line.silence()
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"No answer since \d\d:\d\d:"), timeout=60_000)
    assert find_barriers(page) == []
    line.unsilence()
    expect(page.locator("#no-answer")).to_be_hidden(timeout=60_000)


def test_a_file_that_is_written_is_read_out_and_fetched(stack: Up, visit: Visit) -> None:
    """The page stays, and the download begins by itself."""
    page = visit(language="fr-FR")
    with api_of(stack) as client:
        made = client.post("/v1/jobs", json={"client_ids": [1, 2, 3]}, headers={"Prefer": "wait=40"}).json()["id"]
    page.goto(f"/jobs/{made}")
    with page.expect_download(timeout=60_000) as waiting:
        page.get_by_role("button", name="Excel").click()
    assert waiting.value.suggested_filename.endswith(".xlsx")
    expect(page.locator("h1")).to_have_text("Le téléchargement a commencé")


@pytest.mark.parametrize("is_read", [True, False])
def test_the_focus_is_on_what_comes_after_a_file(page: Page, tmp_path: Path, is_read: bool) -> None:
    """On its title; and on the button again where the file did not arrive."""
    path = tmp_path / "keys.csv"
    path.write_text("client_id\n1\n")
    page.goto("/jobs/new?model=attrition")
    page.set_input_files("#file", path)
    if not is_read:
        page.route("**/jobs/new/file", lambda route: route.abort())
    page.get_by_role("button", name="Send and look").focus()
    page.keyboard.press("Enter")
    if is_read:
        page.wait_for_url("**/jobs/new/file/**", timeout=60_000)
        expect(page.locator("h1")).to_be_focused()
        assert find_barriers(page) == []
    else:
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_role("button", name="Send and look")).to_be_focused()


def test_a_name_without_its_middle_is_whole_with_the_focus_in_it(stack: Up, page: Page) -> None:
    """By the keyboard, and by a finger: a title is for a mouse alone."""
    owner = "night shift of the département de la Loire-Atlantique and its guests"
    stack.ask("keys", "create", owner, "--role", "read")
    page.goto("/keys")
    cut = page.locator(".cut", has_text=owner)
    expect(cut.locator("[aria-hidden]")).to_be_visible()
    cut.focus()
    expect(cut.locator("[aria-hidden]")).to_be_hidden()
    shown = cut.locator(".unseen").bounding_box()
    assert shown is not None
    assert shown["width"] > 100
    assert find_barriers(page) == []
    assert page.locator("a .cut[tabindex]").count() == 0  # the link is the one stop


def test_no_change_of_a_field_sends_a_form(page: Page) -> None:
    """A day is typed digit by digit, a list is gone through by arrows, and whoever leaves a field asks for nothing."""
    page.goto("/jobs")
    page.evaluate("window.isTheSame = true")
    page.get_by_label("From").focus()
    page.keyboard.type("11112026")  # in whichever order this browser has day and month
    expect(page.get_by_label("From")).to_have_value("2026-11-11")
    for field, key in (("State", "ArrowDown"), ("Kind", "ArrowDown"), ("Name contains", "x")):
        page.get_by_label(field).focus()
        page.keyboard.press(key)
    page.keyboard.press("Tab")
    page.wait_for_timeout(500)  # a page that is left would be gone by then
    assert page.evaluate("window.isTheSame") is True
    assert page.get_by_label("State").input_value() != ""
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**since=2026-11-11**")


def test_a_model_that_is_passed_over_leaves_a_new_job_as_it_was(
    page: Page, named_at_length: str, tmp_path: Path
) -> None:
    """The file that was chosen and the name that was typed are still there; which model the forms are for is said."""
    path = tmp_path / "keys.csv"
    path.write_text("client_id\n1\n")
    page.goto("/jobs/new?model=attrition")
    expect(page.locator("h1")).to_have_text("New job attrition")
    page.set_input_files("#file", path)
    page.locator("#file-name").fill("July")
    page.get_by_label("Model", exact=True).select_option(named_at_length)
    page.wait_for_timeout(500)  # a page that is left would be gone by then
    expect(page.locator("#file-name")).to_have_value("July")
    assert page.locator("#file").evaluate("field => field.files.length") == 1
    page.get_by_role("button", name="Choose", exact=True).click()
    expect(page.locator("h1 .unseen")).to_have_text(named_at_length)


def test_no_letter_or_sign_alone_moves_the_focus(page: Page) -> None:
    """Speech is typed: somebody who dictates would be thrown out of what she reads. Ctrl and K lead to the search."""
    page.goto("/jobs")
    stays = page.get_by_role("button", name="Filter")
    stays.focus()
    for key in ("/", "k", "?", "n"):
        page.keyboard.press(key)
        expect(stays).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page.get_by_role("searchbox")).to_have_attribute("aria-keyshortcuts", "Control+K Meta+K")
