"""Files on their way: what arrives, what does not, and what is said of a session that has ended meanwhile."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Visit
from tests.e2e.support import Up
from tests.torture.machinery.proxy import Proxy

LARGE = 40_000_000
FORM = "/jobs/new?model=attrition"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A file of one client."""
    path = tmp_path / "keys.csv"
    path.write_text("client_id\n1\n")
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes its time."""
    path = tmp_path_factory.mktemp("large") / "large.csv"
    path.write_bytes(b"client_id\n" + b"1000001\n" * (LARGE // 8))
    return path


def sign_out_elsewhere(page: Page) -> None:
    """In another tab; what is in this one stays."""
    other = page.context.new_page()
    other.goto("/models")
    other.locator("form[action$='/sign-out'] button").click()
    other.wait_for_url("**/sign-in")
    other.close()


def test_an_upload_that_fails_says_so_and_going_back_leads_back(page: Page, keys: Path) -> None:
    """Without a connection, and with a proxy's own page: the form stays. After one that arrived, back is the form."""
    send = page.get_by_role("button", name="Send and look")
    page.goto("/jobs/new")
    page.set_input_files("#file", keys)
    for fail in (lambda route: route.abort(), lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>")):
        page.route("**/jobs/new/file", fail)
        send.click()
        expect(page.get_by_role("alert")).to_contain_text("did not arrive")
        expect(send).to_be_enabled()
        page.unroute("**/jobs/new/file")
    send.click()
    expect(page).to_have_url(re.compile("/uploads/|/jobs/new/.+"), timeout=60_000)
    page.go_back()
    expect(send).to_be_visible()


def test_language_and_colours_of_a_sent_file_lead_back_to_it(page: Page, keys: Path) -> None:
    """What came in the place of the form is a page of its own address, in all that it says of that."""
    page.goto(FORM)
    page.set_input_files("#file", keys)
    page.get_by_role("button", name="Send and look").click()
    page.wait_for_url("**/jobs/new/file/**", timeout=60_000)
    here = page.evaluate("location.pathname + location.search")
    assert page.locator("#session-ended a").get_attribute("href") == "/sign-in?" + urlencode({"next": here})
    page.get_by_role("button", name="Français").click()
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    assert page.evaluate("location.pathname + location.search") == here
    expect(page.locator("main")).to_contain_text("keys.csv")


def test_an_answer_to_a_form_with_a_file_says_that_it_would_be_lost(page: Page, tmp_path: Path, keys: Path) -> None:
    """As without the script: no button leads to another page. After a file that arrives they are there again."""
    empty = tmp_path / "empty.csv"
    empty.touch()
    page.goto(FORM)
    for file, buttons in ((empty, 0), (keys, 1)):
        page.set_input_files("#file", file)
        page.get_by_role("button", name="Send and look").click()
        if file == empty:
            expect(page.get_by_role("alert")).to_contain_text("is empty")
        else:
            page.wait_for_url("**/jobs/new/file/**", timeout=60_000)
        expect(page.get_by_role("button", name="Français")).to_have_count(buttons)
        expect(page.locator("#session-ended")).to_have_count(buttons)


def test_a_file_that_no_longer_moves_is_given_up(page: Page, line: Proxy, large: Path) -> None:
    """A connection that is gone without a word takes nothing more, and no browser says so."""
    page.clock.install()
    page.goto(f"http://127.0.0.1:{line.port}{FORM}")
    page.set_input_files("#file", large)
    line.delay = 3600.0
    page.get_by_role("button", name="Send and look").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    for _ in range(12):  # the question before it ends by a clock of the browser's own
        page.clock.run_for(30_000)
        if page.get_by_role("alert").count():
            break
        page.wait_for_timeout(3_000)
    expect(page.get_by_role("alert")).to_contain_text("did not arrive")
    expect(page.get_by_role("button", name="Send and look")).to_be_enabled()


def test_a_session_that_has_ended_is_told_and_not_that_the_connection_is_gone(
    stack: Up, page: Page, large: Path
) -> None:
    """Of a file of many megabytes, too; with a link that leads to the form again by way of signing in."""
    page.goto(FORM)
    page.set_input_files("#file", large)
    sign_out_elsewhere(page)
    page.get_by_role("button", name="Send and look").click()
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended, and the file was not sent.")
    page.get_by_role("link", name="Sign in, then choose the file again").click()
    page.get_by_label("API key").fill(stack.state["api_key"])
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(re.escape(FORM) + "$"))


def test_a_session_that_ends_while_a_file_is_sent_is_told(visit: Visit, keys: Path) -> None:
    """The script asks again where a file did not arrive."""
    page = visit(language="fr-FR")
    page.goto(FORM)
    page.set_input_files("#file", keys)

    def cut(route: Route) -> None:
        page.context.clear_cookies(name="predictq_session")
        route.abort()

    page.route("**/jobs/new/file", cut)
    page.get_by_role("button", name="Envoyer et vérifier").click()
    expect(page.get_by_role("alert")).to_contain_text("Votre session a pris fin")


def test_without_a_script_a_session_that_has_ended_is_told_after_a_large_file(visit: Visit, large: Path) -> None:
    """The gateway reads it and keeps nothing: cut off, a browser would show that the connection was reset."""
    page = visit(has_script=False)
    page.goto(FORM)
    page.set_input_files("#file", large)
    sign_out_elsewhere(page)
    page.get_by_role("button", name="Send and look").click()
    expect(page.locator("h1")).to_have_text("Sign in")
    expect(page.get_by_role("status").filter(has_text="Your session has ended")).to_be_visible()
    assert page.url.endswith("/sign-in?next=%2Fjobs%2Fnew%3Fmodel%3Dattrition&ended=yes")


def test_a_file_that_is_too_large_is_not_sent(page: Page, keys: Path) -> None:
    """The gateway would cut it off, and no answer would be heard."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.goto(FORM)
    page.locator("form[data-upload]").evaluate("form => form.dataset.most = 5")
    page.set_input_files("#file", keys)
    page.get_by_role("button", name="Send and look").click()
    expect(page.get_by_role("alert")).to_contain_text("it has more than 256 MB")
    assert "POST" not in sent


def test_strangers_send_no_large_forms(stack: Up) -> None:
    """Whoever is not signed in fills no disk: nothing of a form is kept, and it leads to the sign-in."""
    url = f"{stack.state['api_url']}/jobs/new/file"
    for size in (1, 200_000):
        sent = httpx.post(url, files={"file": ("a.csv", b"x" * size)}, headers={"Accept": "text/html"}, timeout=30)
        assert sent.status_code == 303
        assert "/sign-in" in sent.headers["location"]
