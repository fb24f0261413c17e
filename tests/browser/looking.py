"""Pages of a stack as people see them: signed in, in their language, and watched for what should not happen."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.browser.screen import PATIENCE_MS
from tests.e2e.support import Up
from tests.support import ROOT, wait_until

HEIGHTS = {1280: 860, 390: 844}
PICTURES = "PREDICTQ_PICTURES"  # set, the tests write docs/screens/ anew
_SERIOUS = ("serious", "critical")


@dataclass
class Looking:
    """The pages that one test looks at."""

    url: str
    key: str
    directory: Path
    pages: list[Page] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note what goes wrong in a page."""
        self.pages.append(page)
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("console", lambda message: self._note(page, message))

    def _note(self, page: Page, message: ConsoleMessage) -> None:
        # An answer 4xx of a page that a test asks for is no fault of the page.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(f"{page.url}: {message.text}")

    def finish(self) -> None:
        """Keep what the pages show, and fail where something went wrong in one."""
        for number, page in enumerate(self.pages):
            if page.url.startswith(self.url):
                page.screenshot(path=self.directory / f"page-{number}.png", full_page=True)
            page.context.close()
        assert self.faults == []


def new_page(
    browser: Browser,
    looking: Looking,
    *,
    language: str = "en-GB",
    width: int = 1280,
    is_dark: bool = False,
    has_script: bool = True,
    key: str | None = None,
) -> Page:
    """An empty page of a new profile; `page.goto("/jobs")` takes paths. Signed in as `key`, by default the stack's."""
    context = browser.new_context(
        base_url=looking.url,
        locale=language,
        timezone_id="Europe/Paris",
        viewport={"width": width, "height": HEIGHTS.get(width, 860)},
        color_scheme="dark" if is_dark else "light",
        java_script_enabled=has_script,
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    looking.watch(page)
    if key != "":
        page.goto(sign_in_link(looking.url, key or looking.key))
        if has_script:
            wait_until(lambda: _has_zone(page), seconds=20, what="the script to tell the browser's time zone")
    return page


def _has_zone(page: Page) -> bool:
    # The script tells it once the first screen is painted; what is asked for before then is answered in UTC.
    return any(cookie.get("name") == "predictq_zone" for cookie in page.context.cookies())


def api_of(stack: Up) -> httpx.Client:
    """The API as the stack's own key may use it; to be closed."""
    headers = {"Authorization": f"Bearer {stack.state['api_key']}"}
    return httpx.Client(base_url=stack.state["api_url"], headers=headers, timeout=60)


def sign_in_link(url: str, key: str) -> str:
    """The path of a link that signs in once as `key`."""
    answer = httpx.post(f"{url}/v1/sign-in-links", headers={"Authorization": f"Bearer {key}"}, timeout=20)
    answer.raise_for_status()
    return str(answer.json()["path"])


def find_barriers(page: Page) -> list[str]:
    """What axe-core finds serious: who is kept from using the page, and where."""
    found = Axe().run(page)
    return [
        f"{item['id']}: {node['target']} {node['failureSummary']}"
        for item in found.response["violations"]
        if item["impact"] in _SERIOUS
        for node in item["nodes"]
    ]


def take_picture(page: Page, name: str, *, full_page: bool = False) -> None:
    """Write docs/screens/NAME.png where PREDICTQ_PICTURES is set; `make test` leaves the tree as it is."""
    if os.environ.get(PICTURES):
        directory = ROOT / "docs" / "screens"
        directory.mkdir(exist_ok=True)
        page.screenshot(path=directory / f"{name}.png", full_page=full_page)
