"""The jobs and one job, as people see them: watched, filtered, cancelled, retried, with whatever names and errors."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import CLIENTS, Visit
from tests.browser.looking import api_of, find_barriers, take_picture
from tests.e2e.support import Up
from tests.support import wait_until

HOSTILE = '"><script>document.title="hurt"</script><img src=x onerror=document.title="hurt">'
UNKNOWN = 9_000_000


@pytest.fixture
def api(stack: Up) -> Iterator[httpx.Client]:
    """The API as the stack's own key may use it."""
    with api_of(stack) as client:
        yield client


def new_job(api: httpx.Client, **order: object) -> str:
    """A new bulk job's id."""
    answer = api.post("/v1/jobs", json=order)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def ended(api: httpx.Client, job_id: str) -> str:
    """The job, once it has ended."""

    def has_ended() -> bool:
        return api.get(f"/v1/jobs/{job_id}").json()["status"] not in ("queued", "running")

    wait_until(has_ended, seconds=60, what="the job's end")
    return job_id


@pytest.fixture
def partly_failed(api: httpx.Client) -> str:
    """A job of which three rows are unknown, with a name that wants to be code."""
    ids = [*range(1, 41), UNKNOWN, UNKNOWN + 1, UNKNOWN + 2]
    return ended(api, new_job(api, client_ids=ids, name=f"July {HOSTILE}"))


def test_a_job_is_watched_to_its_end_without_loading_the_page(api: httpx.Client, page: Page) -> None:
    """The bar, the figures and the state change in their places, and the stream ends with the job."""
    job_id = new_job(api, all=True, name="Everybody")
    page.goto(f"/jobs/{job_id}")
    page.evaluate("window.isTheSame = true")
    expect(page.locator("#title .chip")).to_contain_text("succeeded", timeout=60_000)
    expect(page.locator("#progress .figure")).to_have_text(f"{CLIENTS:,}")
    expect(page.locator("#spread svg.chart")).to_be_visible()
    assert page.evaluate("window.isTheSame") is True
    assert find_barriers(page) == []
    take_picture(page, "job", full_page=True)


def test_errors_are_grouped_with_rows_and_advice(partly_failed: str, visit: Visit) -> None:
    """In the reader's language, each with a row that leads to its answer; names and errors are text."""
    page = visit(language="fr-FR")
    page.goto(f"/jobs/{partly_failed}")
    row = page.locator("#errors tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("unknown_client")
    expect(row).to_contain_text("La source n’a aucun client de cette clé.")
    assert re.fullmatch(r"/answers/\d+-40", row.locator("li a").first.get_attribute("href") or "")
    expect(page.locator("#title")).to_contain_text(HOSTILE)
    expect(page.locator("#title .chip")).to_contain_text("3 erreurs")
    expect(page.locator("#title .asked")).to_contain_text("Une liste de 43 clients")
    assert page.title().startswith(f"July {HOSTILE}")  # as text, and not what the script would have made of it
    page.get_by_role("link", name="Erreurs seules").click()
    expect(page.locator("#rows tbody tr")).to_have_count(3)
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Ces lignes en CSV").click()
    assert waiting.value.path().read_text().count("unknown_client") == 3
    assert find_barriers(page) == []
    take_picture(page, "job-fr", full_page=True)


def test_failed_rows_are_retried_after_a_look_at_what_will_happen(
    api: httpx.Client, partly_failed: str, page: Page
) -> None:
    """Three rows, a new job, and the same form sent twice makes one."""
    page.goto(f"/jobs/{partly_failed}")
    page.get_by_role("link", name="Retry failed rows").click()
    expect(page.locator("h2")).to_contain_text("3 rows")
    page.get_by_role("button", name="Retry the failed rows").click()
    page.wait_for_url("**/jobs/*")
    new = page.url.rpartition("/")[2]
    assert new != partly_failed
    assert api.get(f"/v1/jobs/{ended(api, new)}").json()["request_counts"]["total"] == 3


def test_a_job_is_cancelled_once_its_name_is_typed(stack: Up, api: httpx.Client, page: Page) -> None:
    """A wrong word does nothing; the right one stops what is open."""
    (worker,) = stack.children_named("worker")
    worker.suspend()
    try:
        job_id = new_job(api, client_ids=[1, 2, 3], name="To be stopped")
        page.goto(f"/jobs/{job_id}")
        page.get_by_role("link", name="Cancel").click()
        expect(page.locator(".lead")).to_contain_text("Answers that were given stay")
        page.get_by_label("Type").fill("nonsense")
        page.get_by_role("button", name="Cancel this job").click()
        expect(page.get_by_role("alert")).to_contain_text("Nothing was done")
        assert find_barriers(page) == []
        assert api.get(f"/v1/jobs/{job_id}").json()["status"] == "queued"
        page.get_by_label("Type").fill(job_id[:8])
        page.get_by_role("button", name="Cancel this job").click()
        expect(page.locator("#title .chip")).to_contain_text("cancelled")
    finally:
        worker.resume()


def test_a_filter_stands_in_the_address_and_acts_go_to_all_of_it(api: httpx.Client, page: Page) -> None:
    """What was shown is what is done."""
    first, second = (ended(api, new_job(api, client_ids=[1, UNKNOWN], name=f"filtered {n}")) for n in range(2))
    page.goto("/jobs")
    page.get_by_label("Name contains").fill("FILTERED")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("table.jobs tbody tr")).to_have_count(2)
    assert "name=FILTERED" in page.url
    page.get_by_label("State").select_option("succeeded")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**status=succeeded**")
    expect(page.locator("main")).to_contain_text("No job fits this filter")
    page.get_by_label("State").select_option("partly failed")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**status=partly**")
    expect(page.locator("table.jobs tbody tr")).to_have_count(2)
    expect(page.locator("table.jobs .chip").first).to_have_text("✕ 1 error")
    page.get_by_role("link", name="Retry failed rows").click()
    expect(page.locator("h2")).to_contain_text("2 jobs")
    page.get_by_label("Type").fill("2")
    page.get_by_role("button", name="Retry the failed rows").click()
    expect(page.locator("main").get_by_role("status")).to_contain_text("Done for 2 jobs")
    links = page.locator("main a[href*='/jobs/']").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert len(links) == 2
    assert {first, second}.isdisjoint(link.rpartition("/")[2] for link in links)
    page.goto("/jobs?status=partly")
    page.get_by_label("Kind").select_option("single")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**kind=single**")
    expect(page.locator("#jobs")).to_contain_text("No job fits this filter")
    page.get_by_label("Kind").select_option("bulk")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**kind=bulk**")
    for job_id in (first, second):
        expect(page.locator(f"table.jobs a[href$='/jobs/{job_id}']")).to_be_visible()
    page.goto("/jobs?name=nobody-called-a-job-like-this")
    expect(page.locator("#jobs")).to_contain_text("No job fits this filter")
    page.goto("/jobs?name=kept&since=2026-11-27&until=2026-11-01")
    expect(page.get_by_role("alert")).to_have_text("This day is before the first one.")
    expect(page.get_by_label("To")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Name contains")).to_have_value("kept")
    assert find_barriers(page) == []


def test_the_list_is_whole_without_a_script_on_a_telephone_and_in_the_dark(partly_failed: str, visit: Visit) -> None:
    """Nothing hangs over the edge, everything can be reached, and names are text."""
    for width, is_dark, has_script in ((1280, False, False), (390, False, True), (390, True, True), (1280, True, True)):
        page = visit(width=width, is_dark=is_dark, has_script=has_script)
        for path, name in (("/jobs", "jobs"), (f"/jobs/{partly_failed}", "job-errors")):
            page.goto(path)
            expect(page.locator("main")).to_contain_text("3 errors")
            if has_script:
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
                assert find_barriers(page) == []
                take_picture(page, f"{name}-{width}{'-dark' if is_dark else ''}")


def test_others_jobs_are_not_there(stack: Up, partly_failed: str, visit: Visit) -> None:
    """Neither in a list nor at their address; nor can they be acted on or downloaded."""
    key = stack.ask("keys", "create", "somebody-else")["key"]
    page = visit(key=key)
    page.goto("/jobs")
    expect(page.locator("main")).to_contain_text("No job yet")
    for path in (f"/jobs/{partly_failed}", f"/jobs/{partly_failed}/answers.csv", f"/acts/retry?job={partly_failed}"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 404, path
    page.goto("/jobs/no-job-at-all")
    expect(page.locator("h1")).to_have_text("There is nothing here")


def test_answers_are_downloaded_as_csv(api: httpx.Client, partly_failed: str, page: Page) -> None:
    """The very bytes that the API gives."""
    page.goto(f"/jobs/{partly_failed}")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download CSV").click()
    wanted = api.get(f"/v1/jobs/{partly_failed}/results", headers={"Accept": "text/csv"}).content
    assert waiting.value.path().read_bytes() == wanted
    assert waiting.value.suggested_filename == f"{partly_failed}.csv"


def test_answers_are_downloaded_as_excel(partly_failed: str, page: Page) -> None:
    """A worker writes the file, and the download begins by itself."""
    page.goto(f"/jobs/{partly_failed}")
    with page.expect_download(timeout=60_000) as waiting:
        page.get_by_role("button", name="Excel").click()
    assert waiting.value.suggested_filename.endswith(".xlsx")
    assert waiting.value.path().read_bytes()[:2] == b"PK"


def test_a_job_or_a_request_is_found_from_anywhere(api: httpx.Client, page: Page) -> None:
    """With Ctrl and K, by the job's id."""
    job_id = new_job(api, client_ids=[1])
    page.goto("/")
    page.keyboard.press("Control+k")
    page.keyboard.type(job_id)
    page.keyboard.press("Enter")
    expect(page.locator("#job-id")).to_have_text(job_id)
    expect(page.locator("h1")).to_contain_text("1 row, ")


def test_rows_are_gone_through_to_the_last_without_a_script(partly_failed: str, visit: Visit) -> None:
    """Twenty at a time, each once, and back to the first."""
    page = visit(has_script=False)
    page.goto(f"/jobs/{partly_failed}")
    seen = page.locator("#rows tbody tr td:first-child").all_inner_texts()
    while page.get_by_role("link", name="More rows").count():
        page.get_by_role("link", name="More rows").click()
        seen += page.locator("#rows tbody tr td:first-child").all_inner_texts()
    assert [int(request.partition("-")[2]) for request in seen] == list(range(43))
    page.get_by_role("link", name="From the first row").click()
    expect(page.locator("#rows tbody tr td:first-child").first).to_have_text(seen[0])
