"""`python -m bench.screens`: how soon screens are there, lists over a million jobs, and calls beside open screens.

Needs the machine's Chromium and the tools of the tests (`make test` installs both). Ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from bench.context import Bench
from bench.load import Load, paced, run
from bench.report.bill import Bill, billing
from bench.scenarios.singles import drain
from bench.stack import Service, running_stack
from bench.stored.base import make_base
from bench.stored.cpu_clock import CpuClock
from bench.stored.figures import Figure, p99, time_calls
from bench.stored.fill import Stored, fill, make_room
from shared.access.api_keys import create_key
from shared.postgres.engine import transaction
from tests.browser.find import browser_program
from tests.browser.looking import sign_in_link
from tests.browser.screen import QUIET

_LOOKS = 9  # at each screen, each in a new profile: nothing is in a cache
_PAINT_MS, _LIST_MS, _KILOBYTES = 300, 100, 150
_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_BYTES = "() => performance.getEntries().reduce((sum, item) => sum + (item.transferSize ?? 0), 0)"
_OPEN, _RATE = 20, 500  # screens, and single predictions a second beside them


def main() -> None:
    """Store jobs, measure, print a line for each figure."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="predictq-screens-", dir=options.directory) as name:
        directory = Path(name)
        directory.chmod(0o755)  # as root, PostgreSQL runs as another user
        with running_stack(directory, clients=options.clients) as stack, stack.service("screens") as service:
            with transaction(service.engine) as connection:
                key, _ = create_key(connection, "bench", is_admin=True)
            make_room(service.engine)
            base = make_base(service, options.clients, options.clients // 2)
            copies = -(-options.jobs // base.singles)
            stored = fill(service.engine, base, bulk_jobs=8, single_copies=copies)
            _say(f"{copies * base.singles:,} single jobs are stored")
            for figure in _figures(Bench(stack, quick=False), service, key, stored):
                _say(figure.line())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.screens", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000, help="jobs that are stored")
    parser.add_argument("--clients", type=int, default=100_000, help="clients, and rows of a bulk job")
    parser.add_argument("--directory", type=Path, help="where the database lies meanwhile")
    return parser.parse_args()


def _figures(bench: Bench, service: Service, key: str, stored: Stored) -> Iterator[Figure]:
    url = f"http://127.0.0.1:{service.port}"
    with _signed_in(url, key) as client:
        yield from _lists(service, client)
        paths = list(_screens(stored))
        with _browser() as browser:
            cookies = [{"name": name, "value": value, "url": url} for name, value in client.cookies.items()]
            yield from _paints(browser, url, cookies, paths)
            yield from _beside(bench, service, browser, url, cookies)


@contextmanager
def _signed_in(url: str, key: str) -> Iterator[httpx.Client]:
    """A client with the cookies of somebody who has opened the link."""
    headers = {"Accept": "text/html", "Sec-Fetch-Site": "none"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        client.get(sign_in_link(url, key), follow_redirects=True).raise_for_status()
        yield client


@contextmanager
def _browser() -> Iterator[Browser]:
    arguments = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]  # Chromium's sandbox refuses root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program(), args=arguments)
        yield browser
        browser.close()


def _lists(service: Service, client: httpx.Client) -> Iterator[Figure]:
    """The screen of jobs by each filter, over one connection, from the request to the last byte."""
    questions = {
        "all": "",
        "that succeeded": "?status=succeeded",
        "that failed": "?status=failed",
        "that run": "?status=running",
        "of a model": "?model=default",
        "with a name": "?name=nightly",
        "of a time": "?since=2025-01-01&until=2025-12-31",
    }
    for words, query in questions.items():
        clock = CpuClock([service.gateway])
        times = time_calls(lambda query=query: client.get(f"/jobs{query}").raise_for_status(), 50, clock)
        yield p99(f"the screen of jobs, {words}", times, _LIST_MS)


def _screens(stored: Stored) -> Iterator[str]:
    """One of each kind of screen."""
    bulk = stored.bulk[-1]
    yield from ("/", "/jobs", "/jobs/new", f"/jobs/{bulk.job}", f"/answers/{bulk.first_batch}-0")
    yield from ("/clients", "/models", "/models/default", "/sources", "/keys", "/audit", "/try")


def _paints(browser: Browser, url: str, cookies: Any, paths: list[str]) -> Iterator[Figure]:
    """First contentful paint as the browser tells it, from the start of the navigation, and what came over the wire."""
    for path in paths:
        paints, size = [], 0
        for _ in range(_LOOKS + 1):
            with _context(browser, url, cookies) as context:
                page = context.new_page()
                answer = page.goto(path, wait_until="load")
                if answer is None or not answer.ok:
                    raise AssertionError(f"{path} was answered {answer and answer.status}")
                page.wait_for_function(_PAINT)
                paints.append(float(page.evaluate(_PAINT)))
                size = max(size, int(page.evaluate(_BYTES)))
        shown = path if len(path) < 20 else path[:12] + "…"
        beside = {"p50": median(paints[1:]), "looks": _LOOKS, "kB": round(size / 1000)}
        yield Figure(f"first paint of {shown}, the slowest", max(paints[1:]), "ms", _PAINT_MS, beside=beside)
        if size > 1000 * _KILOBYTES:
            yield Figure(f"over the wire for {shown}", size / 1000, "kB", _KILOBYTES)


@contextmanager
def _context(browser: Browser, url: str, cookies: Any) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 860})
    context.add_cookies(cookies)
    try:
        yield context
    finally:
        context.close()


def _beside(bench: Bench, service: Service, browser: Browser, url: str, cookies: Any) -> Iterator[Figure]:
    """Single predictions with and without open screens, by turns."""
    requests = bench.predictions(service, 10_000)
    _calls(bench, service, requests, 3)
    alone: list[tuple[Load, Bill]] = []
    beside: list[tuple[Load, Bill]] = []
    for _ in range(3):
        alone.append(_calls(bench, service, requests, 10))
        with ExitStack() as profiles:
            for number in range(_OPEN):  # each in a profile of its own: one has six connections to a host at most
                context = profiles.enter_context(_context(browser, url, cookies))
                context.new_page().goto(("/", "/jobs")[number % 2])
            time.sleep(2)
            beside.append(_calls(bench, service, requests, 10))
    p99s = [[load.percentile(99) for load, _ in loads] for loads in (alone, beside)]
    cpu = [[1e6 * bill.seconds["gateway"] / len(load.latencies) for load, bill in loads] for loads in (alone, beside)]
    facts = {
        "p50 alone": median(load.percentile(50) for load, _ in alone),
        "p50 beside": median(load.percentile(50) for load, _ in beside),
        "p99 alone": median(p99s[0]),
        "µs of the gateway a call, alone": median(cpu[0]),
        "beside": median(cpu[1]),
    }
    words = f"p99 of {_RATE} predictions a second beside {_OPEN} screens"
    yield Figure(words, median(p99s[1]), "ms", 2 * median(p99s[0]), beside=facts)


def _calls(bench: Bench, service: Service, requests: list[bytes], seconds: float) -> tuple[Load, Bill]:
    # In a thread of its own: the browser's loop runs in this one.
    with billing(bench.groups(service)) as bill, ThreadPoolExecutor(1) as thread:
        calls = paced(service.port, requests, rate=_RATE, seconds=seconds, connections=32)
        load = thread.submit(run, calls).result()
    drain(service)
    if set(load.statuses) != {202}:
        raise AssertionError(f"single predictions answered {dict(load.statuses)}")
    return load, bill


def _say(line: str) -> None:
    sys.stdout.write(f"[load {os.getloadavg()[0]:4.1f}] {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
