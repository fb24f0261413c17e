"""The one stack whose screens are looked at, and pages of it as people see them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import joblib
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sklearn.linear_model import LogisticRegression

from devstack.servers.ports import free_port
from tests.browser.find import browser_program
from tests.browser.looking import Looking, new_page
from tests.browser.screen import PATIENCE_MS, QUIET
from tests.e2e.support import Up, running_up
from tests.torture.machinery.proxy import Loop, Proxy

CLIENTS = 3000
LONG_NAME = "RÉSILIATION DES CONTRATS D’ASSURANCE AUTOMOBILE DU RÉSEAU D’AGENCES DE L’OUEST, CAMPAGNE DE NOVEMBRE"
expect.set_options(timeout=PATIENCE_MS)  # a busy machine shows things late
Visit = Callable[..., Page]


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running `predictq up` with the sample, a model of it that is live, and an administrator's key."""
    directory = tmp_path_factory.mktemp("screens")
    arguments = ["--example", "hr_attrition", "--rows", str(CLIENTS), "--workers", "1", "--no-flower"]
    with running_up(directory, *arguments, "--port", str(free_port())) as up:
        yield up


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The machine's own browser, headless."""
    program = browser_program()
    arguments = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]  # Chromium's sandbox refuses root
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def visit(stack: Up, browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """Opens pages: `visit(language="fr-FR", width=390, is_dark=True, has_script=False, key=…)`.

    They are signed in, unless the key is "".
    At the end no page may have had an error in its console, or have been refused anything by its own policy. Where the
    test fails, what each page showed is in its temporary directory.
    """
    looking = Looking(stack.state["api_url"], stack.state["api_key"], tmp_path)

    def open_one(**options: object) -> Page:
        return new_page(browser, looking, **options)  # type: ignore[arg-type]

    yield open_one
    looking.finish()


@pytest.fixture
def page(visit: Visit) -> Page:
    """A page in English, 1280 wide, signed in with the administrator's key."""
    return visit()


@pytest.fixture(scope="package")
def named_at_length(stack: Up, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A live model beside the sample's, with a long name."""
    path = tmp_path_factory.mktemp("long") / "long.joblib"
    frame = pd.DataFrame({"age": range(60), "income": [1.0, -1.0] * 30})
    joblib.dump(LogisticRegression().fit(frame, ["Yes", "No"] * 30), path)
    done = stack.run("models", "register", LONG_NAME, str(path), "--positive", "Yes", "--promote")
    assert done.returncode == 0, done.stderr
    return LONG_NAME


@pytest.fixture
def line(stack: Up) -> Iterator[Proxy]:
    """A way to the stack's gateway that can fail as networks do; whoever is signed in there is so here."""
    loop = Loop()
    proxy = Proxy(loop, urlsplit(stack.state["api_url"]).port or 80)
    yield proxy
    proxy.close()
    loop.close()
