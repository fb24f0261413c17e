"""Where this machine's Chromium or Chrome is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (  # not on the PATH of a Mac
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


class BrowserMissing(Exception):
    """There is none on this machine."""

    def __init__(self) -> None:
        super().__init__("no Chromium or Chrome for the tests on this machine: `make browser` installs one")


def browser_program() -> Path:
    """The program of the machine's browser, else of the one that Playwright has installed. Raises BrowserMissing."""
    found = next(_candidates(), None)
    if found is None:
        raise BrowserMissing
    return found


def _candidates() -> Iterator[Path]:
    yield from (Path(program) for name in NAMES if (program := shutil.which(name)))
    yield from (Path(place) for place in PLACES if os.access(place, os.X_OK))
    own = _own()
    if own.exists():
        yield own


def _own() -> Path:
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path)
