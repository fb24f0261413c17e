"""New jobs of files and filters, one client, one answer, and trying a model, as people see them in both languages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import joblib
import openpyxl
import pandas as pd
import pytest
from playwright.sync_api import Page, expect
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sqlalchemy import create_engine, text

from tests.browser.conftest import Visit
from tests.browser.looking import api_of, find_barriers, take_picture
from tests.browser.printed import printed_pages
from tests.e2e.support import Up
from tests.support import wait_until
from web.words.language import choose_language

STRANGE = "modèle étrange n° 1 & cie"
HOSTILE = "<script>document.title='taken'</script>"
LONG = 'a feature whose name somebody made out of a whole sentence, with "quotes" and an <b>element</b>'
WORD = "it's <img src=x onerror=\"document.title='taken'\">"


def predicted(stack: Up, client_id: int) -> dict[str, Any]:
    """An answer of a client, by the upload of her key: a busy machine may have measured the source as a slow one."""
    with api_of(stack) as client:
        body = {"client_ids": [client_id, 99_999_999], "name": "July run"}
        job = client.post("/v1/jobs", json=body, headers={"Prefer": "wait=40"}).json()
        rows: list[dict[str, Any]] = client.get(f"/v1/jobs/{job['id']}/results").json()["rows"]
        return {"job": job["id"], "request_id": rows[0]["request_id"], "failed": rows[1]["request_id"]}


@pytest.fixture(scope="module")
def strange(stack: Up, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model without a source, whose names and words would be markup if they could."""
    frame = pd.DataFrame({HOSTILE: [1.0, -1.0] * 30, LONG: [WORD, "plain", "x"] * 20, "=1+1": range(60)})
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(), [LONG]), remainder="passthrough"), LogisticRegression(max_iter=500)
    )
    path = tmp_path_factory.mktemp("model") / "strange.joblib"
    joblib.dump(pipeline.fit(frame, ["<b>Yes</b>", "No"] * 30), path)
    done = stack.run("models", "register", STRANGE, str(path), "--positive", "<b>Yes</b>", "--promote")
    assert done.returncode == 0, done.stderr
    return STRANGE


def workbook(path: Path, rows: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.active.title = "Salariés"
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize(("language", "has_script"), [("fr-FR", True), ("fr-FR", False), ("en-GB", True)])
def test_a_french_workbook_becomes_a_job(
    stack: Up, visit: Visit, tmp_path: Path, language: str, has_script: bool
) -> None:
    """Sent, understood, a column chosen, counted, scored, watched to its end, and its failed row opened."""
    words = choose_language({}, language)
    page = visit(language=language, has_script=has_script)
    path = workbook(tmp_path / "salariés <b>.xlsx", [["Numéro", HOSTILE], [5, "Zoé"], [6, "x"], [99_999_999, "?"]])
    page.goto("/jobs/new")
    page.set_input_files("#file", path)
    page.get_by_role("button", name=words.say("Send and look")).click()
    expect(page.locator(".problems")).to_contain_text(words.say("Choose it below, then look again."), timeout=60_000)
    expect(page.locator("main")).to_contain_text(f"{words.say('sheet')} Salariés")
    expect(page.get_by_label(words.say("Sheet"))).to_have_value("Salariés")
    again = words.say("Look again")
    expect(page.locator("button.main:not([disabled])", has_text=again)).to_have_count(1)
    page.get_by_label("client_id").select_option("Numéro")
    page.get_by_role("button", name=again).click()
    button = page.get_by_role("button", name=words.say_count("Score %(shown)s row", "Score %(shown)s rows", 3, shown=3))
    expect(button).to_be_visible()
    assert find_barriers(page) == [] if has_script else True
    if has_script and language == "fr-FR":
        take_picture(page, "new-job-table")
    button.click()
    expect(page).to_have_url(re.compile("/jobs/[0-9a-f]{8}-"))
    job = page.url.rpartition("/")[2]
    with api_of(stack) as client:
        ended = client.get(f"/v1/jobs/{job}", headers={"Prefer": "wait=40"}).json()
        assert (ended["status"], ended["name"]) == ("succeeded", "salariés <b>.xlsx")
        failed = client.get(f"/v1/jobs/{job}/results").json()["rows"][2]["request_id"]
    if not has_script:
        page.reload()
    errors = words.say_count("%(count)s error", "%(count)s errors", 1)
    expect(page.locator(".chip").first).to_contain_text(errors, timeout=20_000)  # it moved there by itself
    page.goto(f"/answers/{failed}")
    expect(page.locator("main")).to_contain_text(words.say("The source has no client of this key."))
    assert page.title() != "taken"


def test_a_filter_is_built_and_counted_before_it_is_sent(stack: Up, visit: Visit) -> None:
    """Conditions on the source's columns; the count stands there, and the button says it again."""
    page = visit()
    page.goto("/jobs/new?model=attrition")
    page.get_by_label("Column 1").select_option("department")
    page.get_by_label("Value 1").fill("Sales")
    page.get_by_label("Column 2").select_option("age")
    page.get_by_label("Comparison 2").select_option("gte")
    page.get_by_label("Value 2").fill("50")
    page.get_by_role("button", name="One more condition").click()
    expect(page.get_by_label("Value 1")).to_have_value("Sales")
    page.get_by_role("button", name="Count", exact=True).click()
    with api_of(stack) as client:
        where = {"department": "Sales", "age": {"gte": "50"}}
        counted = client.post("/v1/jobs/count", json={"model": "attrition", "where": where}).json()
    count, first = counted["count"], ", ".join(map(str, counted["first_keys"]))
    expect(page.locator("main").get_by_role("status")).to_contain_text(f"{count:,}")
    expect(page.get_by_text("The first:")).to_have_text(f"The first: {first} …")
    assert find_barriers(page) == []
    take_picture(page, "new-job")
    page.get_by_label("Value 2").fill("abc")
    page.get_by_role("button", name="Count again").click()
    expect(page.get_by_role("alert")).to_contain_text("age")
    page.get_by_label("Value 2").fill("51")
    page.get_by_role("button", name="Count", exact=True).click()
    send = page.get_by_role("button", name=re.compile("Score .* clients"))
    expect(send).to_be_visible()
    page.get_by_label("Value 2").fill("50")  # and what the button says is not true any more
    send.click()
    expect(page.locator("main").get_by_role("status")).to_contain_text(f"{count:,}")
    page.get_by_role("button", name=f"Score {count:,} clients").click()
    expect(page).to_have_url(re.compile("/jobs/[0-9a-f]{8}-"))


@pytest.mark.parametrize(("language", "number"), [("fr-FR", 7), ("en-GB", 8)])
def test_a_client_is_found_and_compared(stack: Up, visit: Visit, language: str, number: int) -> None:
    """By her key, which is in no address; what differs from what was scored is marked."""
    words = choose_language({}, language)
    answers = [predicted(stack, number) for _ in range(2)]
    engine = create_engine(stack.state["database_url"].replace("postgresql://", "postgresql+psycopg2://"))
    with engine.begin() as connection:
        older = text("UPDATE predictq_data.clients SET age = age + 1 WHERE client_id = :id")
        connection.execute(older, {"id": number})
    engine.dispose()
    page = visit(language=language)
    page.goto("/clients")
    page.get_by_label(words.say("Client key")).fill(str(number))
    page.get_by_role("button", name=words.say("Find"), exact=True).click()
    expect(page.locator("h1")).to_contain_text(f"Client {number}")
    assert re.fullmatch(r".*/clients/[0-9a-f]{16}/clients", page.url)
    expect(page.locator(".for-wide svg").first).to_be_visible()
    expect(page.locator("tr.differs")).to_have_count(1)
    expect(page.locator("tr.differs")).to_contain_text("age")
    assert find_barriers(page) == []
    if language == "fr-FR":
        take_picture(page, "client", full_page=True)
    page.get_by_role("link", name=answers[0]["request_id"], exact=True).click()
    page.get_by_role("button", name=words.say("All answers of this client")).click()
    expect(page.locator("h1")).to_contain_text(f"Client {number}")
    page.goto("/clients")
    page.get_by_label(words.say("Client key")).fill("88888888")
    page.get_by_role("button", name=words.say("Find"), exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text(words.say("No answer of this client is kept."))


def test_a_client_whom_only_calls_have_named(stack: Up, visit: Visit, strange: str) -> None:
    """She is found like others, from the form and from an answer; there is nothing now to compare her with."""
    features = {HOSTILE: 1.5, LONG: "plain", "=1+1": 3}
    with api_of(stack) as client:
        body = {"model": strange, "client_id": "dossier 12/b & co", "features": features}
        answers = [client.post("/v1/predict_raw", json=body, headers={"Prefer": "wait=40"}).json() for _ in range(2)]
    page = visit()
    page.goto("/clients")
    page.get_by_label("Client key").fill("dossier 12/b & co")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("h1")).to_contain_text("dossier 12/b & co")
    assert re.fullmatch(r".*/clients/[0-9a-f]{16}", page.url)
    expect(page.locator(".lead").first).to_contain_text("of models without a source · 2 answers")
    expect(page.locator("#features")).to_contain_text("callers bring the features")
    expect(page.locator("#features")).to_contain_text(HOSTILE)
    assert find_barriers(page) == []
    page.get_by_role("link", name=answers[0]["request_id"], exact=True).click()
    page.get_by_role("button", name="All answers of this client").click()
    expect(page.locator("h1")).to_contain_text("dossier 12/b & co")


@pytest.mark.parametrize("key", ["018f0000-0000-7000-8000-000000000000", "555-1234", "Zoé & O'Neil"])
def test_a_key_that_looks_like_something_else_gets_into_no_address(visit: Visit, key: str) -> None:
    """The field at the top takes it for a job or a request only where there is one."""
    page = visit()
    page.goto("/")
    page.get_by_role("searchbox").fill(key)
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("h1")).to_have_text("Nothing was found")
    expect(page.locator(".lead")).to_have_text(key)
    assert page.url.endswith("/find")


@pytest.mark.parametrize(("language", "word"), [("en-GB", "threshold"), ("fr-FR", "seuil")])
def test_an_answer_is_a_document(stack: Up, visit: Visit, tmp_path: Path, language: str, word: str) -> None:
    """On A4 it has title, date, the number of each page and its link, and nothing of the frame."""
    request_id = predicted(stack, 11)["request_id"]
    page = visit(language=language)
    page.goto(f"/answers/{request_id}")
    expect(page.locator("svg.threshold:visible")).to_have_attribute("aria-label", re.compile(word))
    assert find_barriers(page) == []
    take_picture(page, f"answer-{language[:2]}")
    document = page.pdf(prefer_css_page_size=True)
    assert re.search(rb"/MediaBox\s*\[0 0 59[45][.\d]* 84[12][.\d]*\]", document)
    pages = printed_pages(document)
    for number, said in enumerate(pages, 1):
        assert f"{number}/{len(pages)}" in said
    whole = "".join(pages)
    assert f"{stack.state['api_url']}/answers/{request_id}" in whole
    day = page.locator("footer.printed").text_content() or ""
    (printed_on,) = re.findall(r"\d{1,2} \w+\.? \d{4}", day)
    assert printed_on.replace(" ", "") in whole
    assert ("Answer" if language == "en-GB" else "Réponse") + request_id in whole
    assert ("Tryit" if language == "en-GB" else "Essayer") not in whole  # of the frame
    page.emulate_media(media="print")
    for frame in ("header.side", ".top", ".acts"):
        expect(page.locator(frame).first).to_be_hidden()


def test_on_paper_nothing_is_cut(stack: Up, visit: Visit, strange: str) -> None:
    """Digest, job, client's key, names and values of features: on a screen without their middle, on paper whole."""
    key = "client " + "0123456789" * 6
    with api_of(stack) as client:
        body = {"model": strange, "client_id": key, "features": {HOSTILE: 1.5, LONG: WORD, "=1+1": 3}}
        job = client.post("/v1/predict_raw", json=body, headers={"Prefer": "wait=40"}).json()
        trace = client.get(f"/v1/predictions/{job['request_id']}").json()
    wanted = [key, LONG, WORD, trace["version_digest"], job["id"]]
    page = visit()
    page.goto(f"/answers/{job['request_id']}")
    cut = [page.locator(".cut", has_text=text).first for text in wanted]
    for one in cut:
        expect(one.locator("[aria-hidden]")).to_be_visible()
    page.emulate_media(media="print")
    for one in cut:
        expect(one.locator("[aria-hidden]")).to_be_hidden()
        shown = one.locator(".unseen").bounding_box()
        assert shown is not None
        assert min(shown["width"], shown["height"]) > 10  # on a screen it is a pixel, for screen readers
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    whole = "".join(printed_pages(page.pdf(prefer_css_page_size=True)))
    assert [text for text in wanted if "".join(text.split()) not in whole] == []


def test_an_answer_of_somebody_erased_says_so(stack: Up, visit: Visit) -> None:
    """410, in words; and nothing of her."""
    request_id = predicted(stack, 13)["request_id"]
    with api_of(stack) as client:
        body = {"source": "clients", "client_id": 13, "reason": "test"}
        path = client.post("/v1/erasures", json=body).headers["location"]
        wait_until(lambda: client.get(path).json()["status"] == "done" or None, seconds=90, what="the erasure is done")
    page = visit()
    answer = page.goto(f"/answers/{request_id}")
    assert answer is not None
    assert answer.status == 410
    expect(page.locator("h1")).to_have_text(f"Answer {request_id} was erased")
    assert find_barriers(page) == []
    take_picture(page, "answer-erased")


def fill(page: Page) -> None:
    page.locator("#f0").fill("1.5")
    page.locator("#f2").fill("3")
    field = page.locator("#f1")
    if field.evaluate("element => element.tagName") == "SELECT":
        field.select_option(WORD)
    else:
        field.fill(WORD)


@pytest.mark.parametrize(("width", "is_dark"), [(1280, False), (390, True)])
def test_a_model_is_tried(stack: Up, visit: Visit, strange: str, width: int, is_dark: bool) -> None:
    """The answer at once, and the same call as text: hostile names are words, and the quoting holds."""
    page = visit(width=width, is_dark=is_dark)
    page.goto(f"/try?{urlencode({'model': strange})}")
    fill(page)
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#result .figure")).to_be_visible()
    assert find_barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    body = page.locator("#call-1").inner_text()
    assert "'\\''" in body  # the quote in it's
    assert page.title() != "taken"
    with api_of(stack) as client:
        request_id = page.locator("#result a").inner_text()
        trace = client.get(f"/v1/predictions/{request_id}").json()
        assert trace["features"] == {HOSTILE: 1.5, LONG: WORD, "=1+1": 3}
    page.goto(f"/answers/{request_id}")
    expect(page.locator("table.features")).to_contain_text("document.title")
    page.get_by_role("link", name=strange).click()
    expect(page.locator("h1")).to_contain_text(strange)
    assert page.title() != "taken"


@pytest.mark.parametrize("models", [None, [STRANGE], [STRANGE, "attrition"]])
def test_a_key_that_may_only_predict_tries_a_model(
    stack: Up, visit: Visit, strange: str, models: list[str] | None
) -> None:
    """She chooses among the models of her key, or types one where it is for all; no link leads where she may not."""
    with api_of(stack) as client:
        body = {"owner": "shop", "roles": ["predict"], "models": models}
        key = client.post("/v1/keys", json=body).json()["key"]
    page = visit(key=key, language="fr-FR")
    page.get_by_role("link", name="Essayer").click()
    if models is None:
        page.get_by_label("Modèle", exact=True).fill("nobody's")
        page.get_by_role("button", name="Choisir").click()
        expect(page.get_by_role("alert")).to_contain_text("Il n’y a pas de modèle")
        page.get_by_label("Modèle", exact=True).fill(strange)
        page.get_by_role("button", name="Choisir").click()
    elif len(models) > 1:
        assert page.locator("#model option").count() == len(models)
        page.get_by_label("Modèle", exact=True).select_option(strange)
        page.get_by_role("button", name="Choisir").click()
    else:
        expect(page.locator("#model")).to_have_count(0)
    expect(page.locator("#f2")).to_be_visible()
    fill(page)
    page.get_by_role("button", name="Prédire").click()
    expect(page.locator("#result .figure")).to_be_visible()
    assert page.locator("#result a").count() == 0
    assert find_barriers(page) == []


def test_values_that_do_not_fit_are_shown_at_their_fields(visit: Visit) -> None:
    """Whatever the browser lets through; what was typed is still there."""
    page = visit(language="fr-FR")
    page.goto("/try?model=attrition")
    take_picture(page, "try")
    page.locator("form[action$='/try'][method=post]").evaluate("form => form.noValidate = true")
    page.get_by_label("age", exact=True).fill("500")
    page.get_by_role("button", name="Prédire").click()
    expect(page.get_by_role("alert")).to_contain_text("Certaines valeurs")
    expect(page.get_by_label("age", exact=True)).to_have_value("500")
    expect(page.get_by_label("age", exact=True)).to_have_attribute("aria-invalid", "true")
    assert page.title() != "taken"
