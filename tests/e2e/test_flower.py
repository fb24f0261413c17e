"""Flower's pages in a real browser: workers, tasks and their times, while a bulk job runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page, expect

from devstack.servers.ports import free_port
from devstack.services import FLOWER_USER, answers
from tests.browser.screen import number_in, open_page
from tests.e2e.support import CLIENTS, QUICK, Up
from tests.support import ROOT, wait_until

ROWS = 400_000
BATCH_ROWS = int(QUICK["PREDICTQ_BULK_BATCH_ROWS"])


def watch_a_bulk_job(up: Up, page: Page, url: str, pictures: Path) -> None:
    """What a person sees: the worker is online, its counts rise with a job, each task has its queue, end and time."""
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
    shown = page.goto(f"{url}/workers")
    assert shown is not None
    assert "frame-ancestors 'none'" in shown.headers["content-security-policy"]
    expect(page.locator("#workers-online")).to_have_text("1")
    assert up.ask("predict", "1", "--wait")["status"] == "succeeded"
    wait_until(lambda: number_in(page, "#workers-succeeded") >= 0, what="a count")
    before = number_in(page, "#workers-succeeded")
    ids = pictures / "ids.csv"
    ids.write_text("client_id\n" + "".join(f"{1 + number % CLIENTS}\n" for number in range(ROWS)))
    job = up.ask("bulk", "--ids", str(ids))["id"]
    wait_until(lambda: up.ask("job", job)["request_counts"]["succeeded"], what="the first answers")
    up.ask("pause", "--queue", "bulk", "--reason", "a look")  # so that the page can be looked at while the job runs
    try:
        wait_until(lambda: number_in(page, "#workers-succeeded") > before, what="a first task of the job")
        assert up.ask("job", job)["status"] == "running"
    finally:
        up.ask("resume", "--queue", "bulk")
    batches = ROWS // BATCH_ROWS
    wait_until(lambda: number_in(page, "#workers-succeeded") >= before + batches, what="a task for each batch")
    wait_until(lambda: up.ask("job", job)["status"] == "succeeded", what="the job's end")
    page.goto(f"{url}/tasks")
    row = page.locator("#tasks-table tbody tr").filter(has_text="bulk").filter(has_text="finished").first
    expect(row).to_contain_text("predictq.work")
    expect(row).to_contain_text("SUCCESS")
    assert re.search(r"\d\.\d+", row.inner_text()), row.inner_text()  # the seconds that it took
    page.screenshot(path=pictures / "tasks.png")
    page.goto(f"{url}/workers")
    page.locator("#workers-table tbody tr a").first.click()
    expect(page.locator("main")).to_contain_text("Max concurrency")
    assert refused == []


def test_flower_shows_workers_and_tasks_while_a_bulk_job_runs(up: Up, tmp_path: Path) -> None:
    """The pages that `predictq up` names."""
    state = up.state
    with open_page(tmp_path, login=(FLOWER_USER, state["flower_password"])) as page:
        watch_a_bulk_job(up, page, state["flower_url"], tmp_path)


def test_flower_asks_for_a_password(up: Up) -> None:
    """Whoever is in Flower can stop workers: without the password nothing is shown."""
    for path in ("/workers", "/tasks", "/workers?json=1"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(up.state["flower_url"] + path, timeout=10)
    assert up.state["flower_password"] in up.log.read_text()


def test_flower_as_compose_runs_it_shows_the_same(up: Up, tmp_path: Path) -> None:
    """The command, the files and the environment of the image, without the container."""
    with (
        flower_of_compose(up.state["redis_url"], tmp_path) as (url, login),
        open_page(tmp_path, login=login) as page,
    ):
        watch_a_bulk_job(up, page, url, tmp_path)


@contextmanager
def flower_of_compose(redis_url: str, directory: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """Flower as docker-compose.yml and Dockerfile.tools have it; yields its address and login."""
    dockerfile = (
        (ROOT / "Dockerfile.tools").read_text(encoding="utf-8").partition("AS flower\n")[2].partition("FROM")[0]
    )
    (copied,) = re.findall(r"^COPY (devstack/\S+) celeryconfig.py$", dockerfile, re.MULTILINE)
    (directory / "celeryconfig.py").write_bytes((ROOT / copied).read_bytes())
    command = yaml.safe_load(dockerfile.rpartition("CMD ")[2])
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["flower"]
    given = {name: value for name, value in service["environment"].items() if "${" not in value}
    port = free_port()
    own = {"CELERY_BROKER_URL": redis_url, "FLOWER_BASIC_AUTH": "predictq:secret"}
    arguments = [str(Path(sys.executable).with_name(command[0])), command[1], "--address=127.0.0.1", f"--port={port}"]
    with (directory / "flower.log").open("wb") as log:
        process = subprocess.Popen(arguments, cwd=directory, env={**os.environ, **given, **own}, stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(port, "/healthcheck"), seconds=60, what="Flower of the image")
        yield f"http://127.0.0.1:{port}", ("predictq", "secret")
    finally:
        process.kill()
        process.wait()
