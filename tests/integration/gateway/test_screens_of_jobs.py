"""What the page of a job says of its end, and what the screen of its file says of it; without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import Engine

from api.intake.errands import Errands
from shared.config import Settings
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.uploads.refusals import MOST_FAULTS
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.integration.gateway.test_screens import browser_of
from tests.integration.jobs.jobs_support import answer, take
from tests.roles import as_upkeep
from tests.support import OWNER, add_clients, add_model, bulk_job
from web.words.language import choose_language
from worker.upkeep.deadlines import Deadlines


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """With a live model and clients."""
    add_clients(engine, 20)
    add_model(engine)
    with running_gateway(settings, new_key(engine, OWNER)) as client:
        yield client


@pytest.mark.parametrize("code", ["en", "fr"])
def test_the_page_of_a_late_job_says_what_can_be_done_and_that_it_works(
    gateway: Gateway, engine: Engine, code: str
) -> None:
    """It did not fail as a whole where it has answers. Its failed rows are asked again by a job without a deadline."""
    late = datetime.now(UTC) + timedelta(hours=1)
    job = accept_keys(engine, bulk_job(engine, batch_rows=2, deadline=late), ListedIds([1, 2, 3, 4]), 4).job_id
    answer(engine, take(engine))
    Deadlines().run(as_upkeep(engine), lambda: late + timedelta(seconds=1))
    say = choose_language({}, code).say
    with browser_of(gateway, new_key(engine, OWNER), code) as browser:
        page = unescape(browser.get(f"/jobs/{job}").text)
        notice = re.findall(r'<section class="card notice bad".*?</section>', page, re.DOTALL)[0]
        assert say("Its deadline has passed") in notice
        assert say("Retry the failed rows, or repeat the job: the new one has no deadline.") in notice
        assert say("The job's deadline passed before the row was answered.") not in notice
        assert say("Retry the failed rows: the new job has no deadline.") in page
        form = browser.get(f"/acts/retry?job={job}").text
        fields = dict(re.findall(r'<input type="hidden" name="(form_token|job|nonce)" value="([^"]+)"', form))
        led = browser.post("/acts/retry", data=fields)
    again = led.headers["location"].rpartition("/")[2]
    retried = gateway.get(f"/v1/jobs/{again}").json()
    assert (retried["request_counts"]["total"], retried.get("deadline")) == (2, None)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (1, "One thing does not fit:"),
        (MOST_FAULTS - 1, "19 things do not fit:"),
        (MOST_FAULTS, "20 things or more do not fit. The first 20:"),
    ],
)
def test_what_nobody_counted_to_its_end_is_not_called_all(
    gateway: Gateway, engine: Engine, monkeypatch: pytest.MonkeyPatch, found: int, words: str
) -> None:
    """A worker stops at twenty faults of a file."""

    async def looked(*_: Any, **__: Any) -> dict[str, Any]:
        faults = [{"line": line, "code": "not_number", "detail": "age must be a number"} for line in range(found)]
        return {"key": ["id"], "features": [], "format": "csv", "rows": 0, "problems": faults}

    monkeypatch.setattr(Errands, "run", looked)
    with browser_of(gateway, new_key(engine, OWNER)) as browser:
        sent = gateway.post("/v1/uploads", content=b"id\nx\n", headers={"Content-Type": "text/csv"}).json()["id"]
        assert f'<p class="wrong">{words}</p>' in browser.get(f"/jobs/new/file/{sent}?model=default").text
