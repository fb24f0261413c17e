"""How the screens lie on a window and on paper: what only a browser that lays them out can tell."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from playwright.sync_api import FloatRect, Locator, Page, expect

from tests.browser.conftest import Visit
from tests.browser.looking import api_of, find_barriers, take_picture
from tests.e2e.support import Up
from tests.support import wait_until

NAME = "A job with a name of some length, as people give them when they mean well, and which goes on and on"
UNKNOWN = 9_000_000


@pytest.fixture(scope="module")
def job_id(stack: Up) -> str:
    """A job with a long name that has answers on both sides of the threshold and a row with an error."""
    with api_of(stack) as client:
        made = client.post("/v1/jobs", json={"client_ids": [*range(1, 60), UNKNOWN], "name": NAME})
        assert made.status_code == 202, made.text
        found = str(made.json()["id"])

        def has_ended() -> bool:
            return client.get(f"/v1/jobs/{found}").json()["status"] not in ("queued", "running")

        wait_until(has_ended, seconds=60, what="the job's end")
    return found


def box(element: Locator) -> FloatRect:
    """Where the element is; it must be there. A screen that moves takes elements away and puts the same ones there."""
    found = element.bounding_box() or element.bounding_box()
    assert found is not None
    return found


def right(element: Locator) -> float:
    """Where the element ends."""
    found = box(element)
    return found["x"] + found["width"]


def narrow(visit: Visit) -> Page:
    """A telephone that speaks French, whose words are longer."""
    return visit(language="fr-FR", width=390)


def test_a_telephone_shows_content_and_not_a_frame(visit: Visit) -> None:
    """Title within the first fifth; where one is can be seen among the places, which scroll sideways."""
    page = narrow(visit)
    page.goto("/audit")
    assert box(page.locator("h1"))["y"] < 844 / 5
    expect(page.locator(".find kbd")).to_be_hidden()
    here = box(page.locator("nav [aria-current]"))
    assert 0 <= here["x"] <= 390 - here["width"]
    assert box(page.locator(".self"))["y"] > box(page.locator("main"))["y"]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_keyboard_comes_to_the_search_without_a_detour(visit: Visit, width: int) -> None:
    """Past the places; signing out and the preferences come after the content."""
    page = visit(width=width)
    page.goto("/")
    stops = "[...document.querySelectorAll('a[href], button, input:not([type=hidden])')]"
    order = page.evaluate(f"{stops}.map(it => it.name || it.getAttribute('href') || it.textContent)")
    assert order.index("find") <= 11
    assert order.index("language") > order.index("/jobs/new")
    sign_out, search = page.get_by_role("button", name="Sign out"), page.get_by_role("searchbox")
    if width > 900:
        assert box(sign_out)["x"] < box(search)["x"]  # beside the content, at the foot
        assert 860 / 2 < box(sign_out)["y"] < 860


def test_a_telephone_shows_all_of_a_job_in_its_list(job_id: str, visit: Visit) -> None:
    """Two lines: name and state; then model, rows and time. The bar is left out, nothing has to be scrolled for."""
    page = narrow(visit)
    page.goto("/jobs")
    row = page.locator("tr", has=page.locator(f"a[href$='{job_id}']"))
    name, chip, rows, time = row.locator(".named"), row.locator(".chip"), row.locator(".number"), row.locator("time")
    assert right(chip) <= 374
    assert right(time) <= 374
    assert box(chip)["y"] < box(rows)["y"]
    assert abs(box(rows)["y"] - box(time)["y"]) < 3
    expect(rows).to_contain_text("60 lignes")
    expect(row.locator("svg.bar")).to_be_hidden()
    expect(name).to_have_text(NAME)
    assert box(name)["height"] <= 41, "two lines at most"


def test_no_word_of_a_chart_leaves_its_card(job_id: str, visit: Visit) -> None:
    """What is said of the threshold stands in a line above, which wraps."""
    for page in (narrow(visit), visit()):
        page.goto(f"/jobs/{job_id}")
        card = page.locator("#spread .card").first
        expect(card.locator("text.named")).to_be_visible()
        edges = box(card)
        for word in card.locator("svg text").all():
            assert edges["x"] <= box(word)["x"]
            assert right(word) <= edges["x"] + edges["width"], word.inner_text()


def test_a_batch_with_an_error_is_not_all_red(job_id: str, page: Page) -> None:
    """Its cell is that of what is done, with a foot."""
    page.goto(f"/jobs/{job_id}")
    cell, foot = page.locator(".strip rect").all()
    assert cell.get_attribute("class") == "succeeded"
    assert 0 < box(foot)["height"] < box(cell)["height"] / 2


def test_the_ends_of_an_answers_line_are_named_under_it(stack: Up, visit: Visit) -> None:
    """As wide as the line, in every window and in print."""
    with api_of(stack) as client:
        answer = client.post("/v1/predict", json={"client_id": 5}, headers={"Prefer": "wait=40"}).json()
    for width in (1280, 768, 390):
        page = visit(width=width)
        page.goto(f"/answers/{answer['request_id']}")
        for medium in ("screen", "print"):
            page.emulate_media(media="print" if medium == "print" else "screen")
            line, ends = box(page.locator("svg.threshold .rest")), box(page.locator(".ends"))
            assert abs(line["x"] - ends["x"]) < 1, (width, medium)
            assert abs(line["width"] - ends["width"]) < 1, (width, medium)


def test_fields_and_choices_have_the_same_edge(page: Page) -> None:
    """None of them is fainter than the other."""
    page.goto("/jobs")
    edge = "it => getComputedStyle(it).borderTopColor"
    edges = {page.locator(place).evaluate(edge) for place in ("#status", "#name", "#since", "input[name=find]")}
    assert len(edges) == 1


def test_acts_stand_beside_a_long_title_and_a_filter_in_one_row(job_id: str, page: Page) -> None:
    """At 1280 pixels."""
    page.goto(f"/jobs/{job_id}")
    assert box(page.locator("#title .acts"))["y"] < box(page.locator("#title .lead").first)["y"]
    page.goto("/jobs?status=succeeded&model=attrition&name=length")
    assert right(page.locator(".filter .acts")) <= right(page.locator("#jobs")) + 1
    assert abs(box(page.locator("#status"))["y"] - box(page.locator(".filter button"))["y"]) < 3


def test_nothing_is_cut_off_in_a_narrow_window(job_id: str, visit: Visit) -> None:
    """Neither the version of a job's model nor what can be found; and on a tablet no place of the frame."""
    page = visit(language="fr-FR", width=360)
    page.goto("/")
    model = page.locator("tr", has=page.locator(f"a[href$='{job_id}']")).locator("td").nth(1)
    assert model.evaluate("cell => cell.scrollWidth <= cell.clientWidth"), model.inner_text()
    field = page.get_by_role("searchbox")
    words = field.evaluate(
        """field => {
            const pen = document.createElement("canvas").getContext("2d");
            const own = getComputedStyle(field, "::placeholder"), around = getComputedStyle(field);
            pen.font = `${own.fontSize} ${own.fontFamily}`;
            const cross = 20;  // that a browser draws into a search field, and keeps room for
            const sides = parseFloat(around.paddingLeft) + parseFloat(around.paddingRight) + cross;
            return pen.measureText(field.placeholder).width + sides - field.clientWidth;
        }"""
    )
    assert words <= 0, "the words are wider than the field"
    tablet = visit(language="fr-FR", width=768)
    tablet.goto("/")
    assert tablet.locator(".side nav").evaluate("nav => nav.scrollWidth <= nav.clientWidth")


def test_a_tablet_shows_all_of_a_list_of_jobs(job_id: str, visit: Visit) -> None:
    """Nothing has to be scrolled for at 768 pixels, in the language whose words are longer."""
    page = visit(language="fr-FR", width=768)
    for path in ("/jobs", "/"):
        page.goto(path)
        row = page.locator("tr", has=page.locator(f"a[href$='{job_id}']"))
        expect(row).to_be_visible()
        row.locator("td").nth(1).evaluate("it => it.textContent = 'étoiles-nombre…-jour-de-pluie 12'")
        assert page.locator(".scroll:has(table.jobs)").evaluate("it => it.scrollWidth - it.clientWidth") <= 0


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_words_of_a_curve_are_no_larger_than_those_around_it(stack: Up, visit: Visit, width: int) -> None:
    """A drawing is stretched with its text."""
    page = visit(width=width)
    page.goto("/models/attrition")
    words = page.locator("svg.curves text")
    heights = words.evaluate_all("all => all.map(it => it.getBoundingClientRect().height)")
    assert heights
    assert max(heights) <= 20


def test_a_telephone_shows_all_of_a_jobs_tables(job_id: str, visit: Visit) -> None:
    """Workers, batches in order and errors with their example rows lie one below the other."""
    page = narrow(visit)
    page.goto(f"/jobs/{job_id}")
    page.locator("#batches summary").click()
    for table in page.locator("#spread table.stack, #errors table").all():
        assert table.evaluate("it => it.parentElement.scrollWidth - it.parentElement.clientWidth") <= 0
    assert right(page.locator("#errors li a").first) <= 374
    expect(page.locator("#errors td.number")).to_have_attribute("data-label", "Lignes")


def test_a_long_name_of_a_model_fits_a_telephone(named_at_length: str, visit: Visit) -> None:
    """Where one is chosen, and wherever it is shown."""
    page = narrow(visit)
    chosen = urlencode({"model": named_at_length})
    for path in ("/jobs/new?", "/try?", "/jobs?", "/models/register?"):
        page.goto(path + chosen)
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


PICTURED = {
    "clients": "/clients",
    "model-register": "/models/register",
    "source-new": "/sources/new",
    "key-new": "/keys/new",
    "retention": "/kept",
    "act-cancel": "/acts/cancel?job=",
}


@pytest.mark.parametrize("name", PICTURED)
def test_forms_and_acts_can_be_used_by_everybody(job_id: str, page: Page, name: str) -> None:
    """Nobody is kept from one, by eyes or hands."""
    path = PICTURED[name]
    page.goto(path + job_id if path.endswith("=") else path)
    expect(page.locator("h1")).to_be_visible()
    assert find_barriers(page) == []
    take_picture(page, name)
