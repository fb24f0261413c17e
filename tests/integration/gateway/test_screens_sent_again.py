"""A form that a browser sends once more, as it does where the page that answered it is loaded again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.integration.gateway.test_screens import browser_of, fields_of, send


@pytest.fixture
def browser(settings: Settings, ready: Engine) -> Iterator[Gateway]:
    """An administrator's."""
    key = new_key(ready, "root", is_admin=True)
    with running_gateway(settings, key) as gateway, browser_of(gateway, key) as browser:
        yield browser


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM predictq.{table}")).scalar_one())


def hidden_of(page: httpx.Response, form: str) -> list[tuple[str, str]]:
    return [field for field in fields_of(page, form) if field[0] in ("form_token", "newest", "once")]


def test_a_new_key_s_form_sent_again_makes_no_second_key(browser: Gateway, ready: Engine) -> None:
    """It is said that the key was made; another wish, or the form shown anew, makes another key."""
    hidden = hidden_of(browser.get("/keys/new"), "/keys/new")
    wish = [("owner", "nora"), ("role", "read"), ("note", "cron"), ("expires", "2999-12-31")]
    made = send(browser, "/keys/new", [*hidden, *wish])
    (key,) = re.findall(r'id="key">([^<]+)<', made.text)
    before = count(ready, "api_keys")
    again = send(browser, "/keys/new", [*hidden, *wish])
    assert (again.status_code, count(ready, "api_keys")) == (409, before)
    assert "was made then, and cannot be shown again" in again.text
    assert f'action="/keys/{key[:11]}/rotate"' in again.text
    assert key not in again.text
    assert send(browser, "/keys/new", [*hidden, *wish, ("role", "predict")]).status_code == 200
    hidden = hidden_of(browser.get("/keys/new"), "/keys/new")
    assert send(browser, "/keys/new", [*hidden, *wish]).status_code == 200
    assert count(ready, "api_keys") == before + 2


def test_a_key_that_was_replaced_is_not_said_never_to_have_been(browser: Gateway, ready: Engine) -> None:
    """The page of its successor, which can be replaced in its turn; one that never was is still not found."""
    prefix = new_key(ready, "nora")[:11]
    fields = [*fields_of(browser.get(f"/keys/{prefix}"), f"/keys/{prefix}/rotate"), ("overlap", "0")]
    (key,) = re.findall(r'id="key">([^<]+)<', send(browser, f"/keys/{prefix}/rotate", fields).text)
    before = count(ready, "api_keys")
    again = send(browser, f"/keys/{prefix}/rotate", fields)
    assert (again.status_code, count(ready, "api_keys")) == (409, before)
    assert f"The key {prefix}… was replaced before" in again.text
    assert f'action="/keys/{key[:11]}/rotate"' in again.text
    assert send(browser, "/keys/pq_nobody1/rotate", fields).status_code == 404


def test_what_was_tried_is_one_prediction_however_often_its_page_is_loaded(
    browser: Gateway, ready: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other values in the same form are another one, and so is the form of the page that answered."""
    monkeypatch.setattr("web.screens.try_it._WAIT", "wait=1")  # nobody answers
    page = browser.get("/try")
    (body,) = re.findall(r"--json '(\{.*?\})'", unescape(page.text))
    features = json.loads(body)["features"]
    typed = [value if isinstance(value, str) else json.dumps(value) for value in features.values()]
    values = [(f"f{number}", value) for number, value in enumerate(typed)]
    send(browser, "/try", [*hidden_of(page, "/try"), *values])
    again = send(browser, "/try", [*hidden_of(page, "/try"), *values])
    assert (again.status_code, count(ready, "jobs")) == (200, 1)
    send(browser, "/try", [*hidden_of(again, "/try"), *values])
    assert count(ready, "jobs") == 2
    other = next(number for number, (_, value) in enumerate(values) if value.replace(".", "").isdecimal())
    values[other] = (values[other][0], str(int(float(typed[other])) + 1))
    send(browser, "/try", [*hidden_of(again, "/try"), *values])
    assert count(ready, "jobs") == 3
