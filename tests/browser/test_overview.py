"""The first screen: what runs, what waits, what needs a person, and work held back."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.looking import api_of, find_barriers, take_picture
from tests.e2e.support import Up


def test_a_job_appears_on_the_overview_by_itself(stack: Up, page: Page) -> None:
    """Without loading the page, with its end; and the page can be used by everybody."""
    page.goto("/")
    page.evaluate("window.isTheSame = true")
    order = {"client_ids": list(range(1, 60)), "name": "Seen at once"}
    with api_of(stack) as client:
        made = client.post("/v1/jobs", json=order)
    assert made.status_code == 202
    row = page.locator("#jobs-now tbody tr").filter(has_text="Seen at once")
    expect(row).to_contain_text("succeeded", timeout=60_000)
    assert page.evaluate("window.isTheSame") is True
    expect(page.locator("#workers tbody tr")).to_have_count(1)
    assert find_barriers(page) == []


def test_screens_that_nobody_sees_leave_a_browser_its_connections(stack: Up, page: Page) -> None:
    """A browser has six to a host: a seventh tab moves all the same, and a hidden one looks anew when it is seen."""
    hidden = [page, *(page.context.new_page() for _ in range(5))]
    for tab in hidden:
        tab.goto("/")
        _show(tab, is_hidden=True)
    seventh = page.context.new_page()
    seventh.goto("/")
    with api_of(stack) as client:
        assert client.post("/v1/jobs", json={"client_ids": [1], "name": "Seen in the seventh"}).status_code == 202
    expect(seventh.locator("#jobs-now")).to_contain_text("Seen in the seventh")
    assert "Seen in the seventh" not in page.locator("#jobs-now").inner_text()
    _show(page, is_hidden=False)
    expect(page.locator("#jobs-now")).to_contain_text("Seen in the seventh")


def _show(tab: Page, *, is_hidden: bool) -> None:
    """What a browser with a window tells a tab that comes to the front or leaves it; a headless one never does."""
    tab.evaluate("is => Object.defineProperty(document, 'hidden', {get: () => is, configurable: true})", is_hidden)
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_work_is_held_back_and_let_go_on(stack: Up, visit: Visit) -> None:
    """A pause stands in red with who and why, is among what needs a person, and work goes on when it is ended."""
    page = visit(language="fr-FR")
    page.goto("/")
    page.get_by_text("Mettre du travail en pause").click()
    page.get_by_label("File").select_option("bulk")
    page.get_by_label("Motif").fill("nuit de <b>maintenance</b>")
    page.get_by_role("button", name="Mettre en pause").click()
    expect(page.locator("#pauses .pause")).to_contain_text("nuit de <b>maintenance</b>")
    expect(page.locator("#needs")).to_contain_text("En pause : travaux de masse")
    assert find_barriers(page) == []
    take_picture(page, "overview-paused-fr")
    page.get_by_role("button", name="Reprendre").click()
    expect(page.locator("#pauses")).to_contain_text("Rien n’est en pause.")


def test_the_overview_fits_every_window(visit: Visit) -> None:
    """Wide and narrow, light and dark, with a script and without one."""
    for width, is_dark, has_script in (
        (1280, False, True),
        (1280, True, True),
        (390, False, True),
        (1280, False, False),
    ):
        page = visit(width=width, is_dark=is_dark, has_script=has_script)
        page.goto("/")
        expect(page.locator("#tiles .tile")).to_have_count(4)
        if has_script:
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert find_barriers(page) == []
            take_picture(page, f"overview-{width}{'-dark' if is_dark else ''}")


def test_whoever_may_less_is_shown_less(stack: Up, visit: Visit) -> None:
    """Without the role `operate` there are no workers, no concerns and no way to pause; the rest is there."""
    key = stack.ask("keys", "create", "reader", "--role", "read")["key"]
    page = visit(key=key)
    page.goto("/")
    expect(page.locator("h1")).to_have_text("Overview")
    for place in ("#workers", "#needs", "#pauses"):
        expect(page.locator(place)).to_have_count(0)
    expect(page.locator("main")).to_contain_text("reader has no job yet. The other figures here are of all owners.")
    expect(page.locator("nav")).not_to_contain_text("Audit log")
    page.goto("/audit")
    expect(page.locator("h1")).to_have_text("No right to this")
    expect(page.locator(".refusal")).to_contain_text("This needs the role admin.")
    take_picture(page, "no-right")
