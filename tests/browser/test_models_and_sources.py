"""Models and sources: versions side by side, a file registered, promoted and rolled back, and what a source is."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from playwright.sync_api import Page, expect
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from tests.browser.conftest import Visit
from tests.browser.looking import api_of, find_barriers, take_picture
from tests.e2e.support import Up
from web.words.language import choose_language

HOSTILE = "<script>alert(1)</script>"
_TREES = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
SLOW_MS = 60_000  # a worker starts a process to open a file


def fitted(seed: int = 0) -> LogisticRegression:
    """A model of two columns that the sample's source has; another one for each seed."""
    rows = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": rows.integers(20, 60, 300), "monthly_income": rows.integers(1000, 9000, 300)})
    return LogisticRegression(max_iter=1000).fit(frame, (frame["age"] > 40).astype(int))


def register(page: Page, file: Path, name: str, say: Callable[[str], str] = str) -> None:
    """Fill the form in and send it; `say` gives its words in the page's language."""
    page.goto("/models/register")
    page.get_by_label(say("File"), exact=True).set_input_files(file)
    page.get_by_label(say("Model"), exact=True).fill(name)
    page.get_by_label(say("Source")).select_option("clients")
    page.get_by_label(say("Description")).fill(HOSTILE)
    page.get_by_role("button", name=say("Register"), exact=True).click(timeout=SLOW_MS)


def live_version(stack: Up) -> int:
    """As the API has it."""
    with api_of(stack) as client:
        return int(client.get("/v1/models/attrition").json()["live_version"])


@pytest.mark.parametrize(("language", "seed"), [("en-GB", 0), ("fr-FR", 1)])
def test_a_file_is_registered_promoted_and_rolled_back(
    stack: Up, visit: Visit, tmp_path: Path, language: str, seed: int
) -> None:
    """Each with the name typed and a reason, which stands beside the time and the person afterwards."""
    say = choose_language({}, language).say
    page = visit(language=language)
    first = live_version(stack)
    file = tmp_path / "two-columns.skops"
    file.write_bytes(skops.io.dumps(fitted(seed)))
    register(page, file, "attrition", say)
    expect(page.locator("h1")).to_contain_text("attrition", timeout=SLOW_MS)
    expect(page.locator("main")).to_contain_text(HOSTILE)
    expect(page.locator("svg.curves").first).to_be_visible()
    expect(page.locator("table.beside")).to_contain_text("scikit-learn==")
    assert find_barriers(page) == []
    with api_of(stack) as client:
        newest = client.get("/v1/models/attrition").json()["all_versions"][0]["version"]
    promote = page.get_by_role("link", name=say("Promote version %(number)s", number=newest))
    button = promote.bounding_box()
    head = page.locator("table.beside thead th", has_text=re.compile(rf"\b{newest}\b"))
    column = head.first.bounding_box()
    assert button is not None
    assert column is not None
    assert column["x"] <= button["x"] < column["x"] + column["width"], "it stands under its version"
    promote.click()
    sure = say("To be sure, type the model’s name")
    page.get_by_label(say("Reason")).fill(f"a simpler model {seed}")
    page.get_by_label(sure).fill("attritoin")
    page.get_by_role("button", name=say("Promote"), exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text(say("What was typed is not the model’s name. Nothing was done."))
    assert find_barriers(page) == []
    if language == "en-GB":
        take_picture(page, "model-promote")
    page.get_by_label(sure).fill("attrition")
    page.get_by_role("button", name=say("Promote"), exact=True).click()
    expect(page.locator("tr", has_text=f"a simpler model {seed}")).to_be_visible(timeout=SLOW_MS)
    assert live_version(stack) == newest
    page.get_by_role("link", name=say("Roll back to %(number)s", number=first)).click()
    page.get_by_label(say("Reason")).fill(f"the old one was better {seed}")
    page.get_by_label(sure).fill("attrition")
    page.get_by_role("button", name=say("Roll back"), exact=True).click()
    expect(page.locator("tr", has_text=f"the old one was better {seed}")).to_be_visible(timeout=SLOW_MS)
    assert live_version(stack) == first
    if language == "en-GB":
        take_picture(page, "model", full_page=True)


def test_a_pickle_is_not_taken_by_the_form(page: Page, tmp_path: Path) -> None:
    """It is not opened, and the page says where such a file goes; nothing typed is lost."""
    file = tmp_path / "model.skops"
    joblib.dump(fitted(), file)
    register(page, file, "sneaky")
    expect(page.get_by_role("alert")).to_contain_text("predictq models register", timeout=SLOW_MS)
    expect(page.get_by_label("Model", exact=True)).to_have_value("sneaky")
    page.goto("/models")
    expect(page.locator("main")).not_to_contain_text("sneaky")
    assert find_barriers(page) == []
    take_picture(page, "models")


def test_a_source_tells_what_it_is_and_what_changed(stack: Up, page: Page) -> None:
    """Key, columns, types and rows; a check leaves its time."""
    page.goto("/sources")
    assert find_barriers(page) == []
    page.get_by_role("link", name="clients", exact=True).click()
    expect(page.locator("h1")).to_have_text("clients")
    expect(page.locator("main")).to_contain_text("monthly_income")
    expect(page.get_by_role("link", name="attrition")).to_be_visible()
    page.get_by_role("button", name="Check now").click()
    checked = page.locator("dt", has_text="Checked").locator("xpath=following-sibling::dd[1]").locator("time")
    expect(checked).to_be_visible(timeout=SLOW_MS)
    assert find_barriers(page) == []
    take_picture(page, "source", full_page=True)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en-GB", ("Add it", "One reading: 7 s", "A connection: 3 s as usual")),
        ("fr-FR", ("L’ajouter", "Une lecture : 7 s", "Une connexion : 3 s comme d’habitude")),
    ],
)
def test_a_source_is_added_with_time_outs_of_its_own(
    stack: Up, visit: Visit, language: str, words: tuple[str, ...]
) -> None:
    """As `predictq sources add` does it; what cannot be is said, and nothing typed is lost."""
    send, own, usual = words
    page = visit(language=language)
    page.goto("/sources")
    page.locator(".acts a").click()
    page.locator("#name").fill(f"again {language}")
    page.locator("#table").fill("predictq_data.no_such_table")
    page.locator("#timeout_seconds").fill("7")
    page.locator("#unchecked").check()
    assert find_barriers(page) == []
    page.get_by_role("button", name=send).click()
    expect(page.get_by_role("alert")).to_be_visible(timeout=SLOW_MS)
    expect(page.locator("#timeout_seconds")).to_have_value("7")
    expect(page.locator("#unchecked")).to_be_checked()
    page.locator("#table").fill("predictq_data.clients")
    page.get_by_role("button", name=send).click()
    expect(page.locator("h1")).to_have_text(f"again {language}", timeout=SLOW_MS)
    expect(page.locator("main")).to_contain_text(own)
    expect(page.locator("main")).to_contain_text(usual)
    with api_of(stack) as client:
        source = client.get(f"/v1/sources/again {language}").json()
        assert source["settings"]["statement_seconds"] == 7
        assert client.delete(f"/v1/sources/again {language}").status_code == 204


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/models", "Modèles"),
        ("/models/attrition", "attrition"),
        ("/models/attrition/promote?version=1", "Mettre attrition:1 en service"),
        ("/models/register", "Enregistrer un fichier"),
        ("/sources", "Sources"),
        ("/sources/new", "Ajouter une source"),
        ("/sources/clients", "clients"),
    ],
)
def test_they_speak_french_and_fit_a_telephone(visit: Visit, path: str, title: str) -> None:
    """Nothing stands out of a window of 390 pixels, in the dark, without a script."""
    page = visit(language="fr-FR", width=390, is_dark=True, has_script=False)
    page.goto(path)
    expect(page.locator("h1")).to_contain_text(title)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_others_see_models_and_change_nothing(stack: Up, visit: Visit) -> None:
    """A key without `operate` has no button for it, and the address refuses; sources are for administrators."""
    with api_of(stack) as client:
        made = client.post("/v1/keys", json={"owner": "sales", "roles": ["read"]})
    page = visit(key=made.json()["key"])
    page.goto("/models/attrition")
    expect(page.locator("h1")).to_contain_text("attrition")
    assert page.get_by_role("link", name="Promote").count() == 0
    for path in ("/models/attrition/rollback", "/models/register", "/sources", "/sources/clients"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 403


def test_types_that_a_skops_file_needs_are_named_and_can_be_trusted(page: Page, tmp_path: Path) -> None:
    """The refusal says which; the form takes one a line."""
    rows = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rows.integers(20, 60, 300), "monthly_income": rows.integers(1000, 9000, 300)})
    model = HistGradientBoostingClassifier(max_iter=3).fit(frame, (frame["age"] > 40).astype(int))
    file = tmp_path / "trees.skops"
    file.write_bytes(skops.io.dumps(model))
    register(page, file, "trees")
    refusal = page.get_by_role("alert")
    expect(refusal).to_contain_text("TreePredictor", timeout=SLOW_MS)
    expect(page.get_by_label("Model", exact=True)).to_have_value("trees")
    page.get_by_label("Trusted types, of skops").fill(_TREES)
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Register", exact=True).click(timeout=SLOW_MS)
    expect(page).to_have_url(re.compile("/models/trees$"), timeout=SLOW_MS)
    assert find_barriers(page) == []
