"""Pages as a person sees them, in the machine's own headless browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.find import browser_program

QUIET = (  # a browser in a test asks nobody outside
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
)
PATIENCE_MS = 20_000


@contextmanager
def open_page(pictures: Path, *, login: tuple[str, str] | None = None) -> Iterator[Page]:
    """An empty page of a new profile; `login` is the user and password for sites that ask for one.

    When the block fails, what the page showed is left as a PNG and as HTML in `pictures`. Raises BrowserMissing.
    """
    program = browser_program()
    arguments = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]  # Chromium's sandbox refuses root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        credentials = {"username": login[0], "password": login[1]} if login else None
        context = browser.new_context(http_credentials=credentials)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        try:
            yield page
        except BaseException:
            page.screenshot(path=pictures / "page.png", full_page=True)
            (pictures / "page.html").write_text(page.content(), encoding="utf-8")
            raise
        finally:
            browser.close()


def number_in(page: Page, selector: str) -> int:
    """The whole number that an element shows; -1 while it shows none."""
    text = page.locator(selector).inner_text().replace(",", "").strip()
    return int(text) if text.isdecimal() else -1
