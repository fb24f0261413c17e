"""The first sight of an empty installation: no dead end, whoever looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import Engine

from shared.config import Settings
from shared.models.registry import promote_version
from shared.postgres.engine import transaction
from tests.browser.looking import Looking, find_barriers, new_page, take_picture
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.support import add_model

SCREENS = ("/", "/jobs/new", "/try", "/clients")


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """Of a database in which there is nothing."""
    with running_gateway(settings, new_key(engine, "ann", roles=("admin",))) as client:
        yield client


@pytest.fixture
def looking(gateway: Gateway, tmp_path: Path) -> Iterator[Looking]:
    """Pages of it, signed in as an administrator unless a test says otherwise."""
    looking = Looking(str(gateway.base_url), gateway.headers["authorization"].removeprefix("Bearer "), tmp_path)
    yield looking
    looking.finish()


@pytest.mark.parametrize(
    ("language", "title", "add", "register"),
    [
        ("en-GB", "No model is live yet", "Add a source", "Register a file"),
        ("fr-FR", "Aucun modèle n’est encore en service", "Ajouter une source", "Enregistrer un fichier"),
    ],
)
def test_an_administrator_is_led_to_the_first_answer(
    browser: Browser, looking: Looking, engine: Engine, language: str, title: str, add: str, register: str
) -> None:
    """Three steps wherever something could be asked for, with links; what is done is ticked; then they are gone."""
    page = new_page(browser, looking, language=language, width=1280 if language == "en-GB" else 390)
    for path in SCREENS:
        page.goto(path)
        card = page.locator("#first-steps")
        expect(card.locator("h2")).to_have_text(title)
        expect(card.locator("li")).to_have_count(3)
        assert card.get_by_role("link", name=add).get_attribute("href") == "/sources/new"
        assert card.get_by_role("link", name=register).get_attribute("href") == "/models/register"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert find_barriers(page) == []
    page.goto("/")
    take_picture(page, f"overview-empty-{language[:2]}")
    expect(page.locator("main a[href='/jobs/new'], main a[href='/try']")).to_have_count(0)
    version_id = add_model(engine, promote=False)
    page.goto("/")
    expect(page.locator("#first-steps .done")).to_have_count(2)
    page.locator("#first-steps").get_by_role("link", name="default").click()
    expect(page.locator("h1")).to_contain_text("default")
    with transaction(engine) as connection:
        promote_version(connection, version_id)
    for path in SCREENS:
        page.goto(path)
        expect(page.locator("#first-steps")).to_have_count(0)


def test_whoever_may_not_do_it_is_told_whom_to_ask(browser: Browser, looking: Looking, engine: Engine) -> None:
    """No link leads to a refusal."""
    key = new_key(engine, "reader", roles=("read", "predict", "bulk"))
    page = new_page(browser, looking, key=key)
    for path in SCREENS:
        page.goto(path)
        card = page.locator("#first-steps")
        expect(card.get_by_text("Ask an administrator.")).to_have_count(3)
        expect(card.locator("a")).to_have_count(0)
