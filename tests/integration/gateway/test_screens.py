"""What screens say and do, without a browser: acts on the jobs of a filter, the overview's figures, the find field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine, text

from model.registration import SAMPLE_MODEL
from shared.batches.claims import claim
from shared.config import Settings
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.postgres.engine import autocommit
from shared.status import JobStatus, Queue
from shared.watching.workers import Worker, beat
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.support import OWNER, add_clients, add_model, bulk_job, job_of, submit_singles, wait_until

_FIELD = re.compile(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"')


@pytest.fixture
def ready(engine: Engine) -> Engine:
    add_clients(engine, 20)
    add_model(engine)
    return engine


@pytest.fixture
def gateway(settings: Settings, ready: Engine) -> Iterator[Gateway]:
    """Signed in, as a browser is."""
    roles = ("read", "predict", "bulk", "operate")
    with running_gateway(settings, new_key(ready, OWNER, roles=roles)) as client:
        link = client.post("/v1/sign-in-links").json()["path"]
        client.get(link, follow_redirects=True)
        yield client


def bulk(engine: Engine, name: str | None = None) -> UUID:
    return accept_keys(engine, bulk_job(engine, name=name), ListedIds([1]), 1).job_id


def fields_of(page: httpx.Response, form: str) -> list[tuple[str, str]]:
    """What the form that goes to `form` would send as it stands."""
    (found,) = re.findall(rf'<form[^>]*action="{form}".*?</form>', page.text, re.DOTALL)
    return [(name, unescape(value)) for name, value in _FIELD.findall(found)]


def send(gateway: Gateway, path: str, fields: list[tuple[str, str]]) -> httpx.Response:
    given: dict[str, list[str]] = {}
    for name, value in fields:
        given.setdefault(name, []).append(value)
    return gateway.post(path, data=given)


def find(gateway: Gateway, sought: str) -> httpx.Response:
    form = fields_of(gateway.get("/jobs"), "/find")
    return send(gateway, "/find", [*form, ("find", sought)])


def test_open_jobs_are_cancelled_at_once_among_more_that_have_ended(gateway: Gateway, ready: Engine) -> None:
    """However many: the count is shown and typed, once; what was accepted after it was shown stays."""
    waiting = [bulk(ready) for _ in range(60)]
    page = gateway.get("/acts/cancel")
    assert "60 jobs" in page.text
    assert page.text.count("<tr>") == 11  # the head, and the newest ten
    assert "The newest 10" in page.text
    assert page.text.index('<form method="post" action="/acts/cancel"') < page.text.index("<table")
    later = bulk(ready)
    fields = fields_of(page, "/acts/cancel")
    refused = send(gateway, "/acts/cancel", [*fields, ("typed", "61")])
    assert (refused.status_code, "60 jobs" in refused.text) == (422, True)
    assert job_of(ready, waiting[0]).status is JobStatus.QUEUED
    done = send(gateway, "/acts/cancel", [*fields, ("typed", "60")])
    assert "Done for 60 jobs." in done.text
    assert {job_of(ready, job).status for job in waiting} == {JobStatus.CANCELLED}
    assert job_of(ready, later).status is JobStatus.QUEUED
    assert "There is no job to which this can be done." in gateway.get("/acts/cancel?status=succeeded").text


def test_the_find_field_finds_what_people_read(gateway: Gateway, ready: Engine) -> None:
    """A job by its name, by the beginning of its id, as tables write it; a model; several are shown; none is said."""
    job, other = bulk(ready, "Run of <July>"), bulk(ready, "Run of June")
    written = str(job)
    for sought in ("of <july>", f"{written[:8]}…{written[-4:]}", f"{written[:8]}...{written[-4:]}", written[:-2]):
        answer = find(gateway, sought)
        assert answer.headers.get("location") == f"/jobs/{job}", sought
    assert find(gateway, "DEFAU").headers["location"] == "/models/default"
    several = find(gateway, "run of")
    assert several.status_code == 200
    assert all(f"/jobs/{one}" in several.text for one in (job, other))
    assert "Run of &lt;July&gt;" in several.text
    missed = find(gateway, "nobody's <b>")
    assert missed.status_code == 404
    assert "It was looked for among:" in missed.text
    assert "<b>" not in missed.text


def test_the_overview_shows_open_bulk_jobs_first_and_counts(gateway: Gateway, ready: Engine) -> None:
    """However many single predictions came later; a queue that is paused has no time at which it is done."""
    job = bulk(ready, "It runs")
    ended = [bulk(ready, f"Later {number}") for number in range(3)]
    submit_singles(ready, [1, 2, 3])
    with autocommit(ready) as connection:
        connection.execute(
            text("INSERT INTO predictq.pauses (queue, reason, actor) VALUES ('bulk', 'month end', 'olga')")
        )
    page = wait_until(
        lambda: said if "bulk jobs 4 · paused" in (said := gateway.get("/").text) else "", what="the queue"
    )
    assert "7 waiting" in page
    assert all(str(one) in page for one in (job, *ended))
    assert "month end" in gateway.get(f"/jobs/{job}").text
    assert "<strong>bulk jobs</strong> · Paused since" in gateway.get("/jobs").text
    with autocommit(ready) as connection:
        connection.execute(text("DELETE FROM predictq.pauses"))
    assert "3 other rows wait in its queue." in gateway.get(f"/jobs/{job}").text
    answer_batches(ready, limit=2)
    found = re.findall(r'<a class="job" href="/jobs/([0-9a-f-]{36})"', gateway.get("/").text)
    assert found == [*(str(one) for one in reversed(ended)), str(job)]


def test_the_overview_splits_its_figures_by_queue_and_model(gateway: Gateway, ready: Engine) -> None:
    """Under each tile what the figure is made of, of many models the worst; errors a minute beside the answers."""
    with autocommit(ready) as connection:
        connection.execute(
            text("""
            INSERT INTO predictq.samples (at, name, queue, model, value)
            SELECT date_trunc('minute', now() - interval '2 minutes'), name, queue, model, value FROM (VALUES
                ('rows_per_second', 'bulk', 'churn', 20), ('rows_per_second', 'interactive', 'churn', 2),
                ('errors_per_second', 'bulk', 'churn', 3), ('errors_per_second', 'bulk', 'a', 4),
                ('errors_per_second', 'bulk', 'b', 2), ('errors_per_second', 'interactive', 'a', 1),
                ('errors_per_second', 'bulk', 'c', 1)) AS s (name, queue, model, value)
            """)
        )
    bulk(ready)
    submit_singles(ready, [1])
    is_split = re.compile(r"batches not begun(<br>(bulk jobs|single predictions) [^<]+){2}</p>")
    page = wait_until(lambda: said if is_split.search(said := gateway.get("/").text) else "", what="both waits")
    answers, _, oldest, errors = re.findall(r'<section class="card quarter tile">.*?</section>', page, re.DOTALL)
    assert "<br>bulk jobs 1,200<br>single predictions 120</p>" in answers
    assert is_split.search(oldest)
    assert "<br>a 300<br>churn 180<br>b 120<br>and 1 more model</p>" in errors
    assert ">Errors</th>" in page
    assert re.search(r'<td class="number">1,320</td><td class="number">660</td></tr>', page)


def test_the_overview_says_what_each_worker_has_loaded_and_does(gateway: Gateway, ready: Engine) -> None:
    """Versions by name, batches by model and job, the first few of them; nothing of models that a key may not use."""
    with autocommit(ready) as connection:
        version = connection.execute(text("SELECT id FROM predictq.model_versions")).scalar_one()
    jobs = [bulk(ready) for _ in range(4)]
    submit_singles(ready, [1])
    for queue in (Queue.INTERACTIVE, *[Queue.BULK] * 4):
        assert claim(ready, queue, worker="w@host/1", lease_seconds=60, most=1)
    with autocommit(ready) as connection:
        beat(connection, Worker("w@host", 1, ["bulk"], None, [""], {}, loaded_versions=[version, 2**30]))
    (worker,) = gateway.get("/v1/workers").json()["workers"]
    assert worker["loaded_versions"] == [f"{SAMPLE_MODEL}:1"]
    current = worker["current_batches"]
    assert {(one["model"], one["model_version"]) for one in current} == {(SAMPLE_MODEL, 1)}
    assert sorted(one["job_id"] or "" for one in current) == sorted(["", *map(str, jobs)])
    card = gateway.get("/").text.partition('id="workers"')[2].partition("</section>")[0]
    assert f"loaded: {SAMPLE_MODEL}:1</span>" in card
    assert card.count('class="code" href="/jobs/') + card.count("single predictions") == 3
    assert "and 2 more" in card
    other = bearer(new_key(ready, "other", roles=("operate",), models=["another"]))
    (hidden,) = gateway.get("/v1/workers", headers=other).json()["workers"]
    assert (hidden["loaded_versions"], len(hidden["current_batches"])) == ([], 5)
    assert {(one["model"], one["model_version"], one["job_id"]) for one in hidden["current_batches"]} == {(None,) * 3}
    for job in jobs:
        gateway.post(f"/v1/jobs/{job}/cancel")
    (idle,) = gateway.get("/v1/workers").json()["workers"]
    assert [one["job_id"] for one in idle["current_batches"]] == [None]


def test_from_an_older_page_a_way_leads_to_the_newest(gateway: Gateway, ready: Engine) -> None:
    """With the filter that stands in the address."""
    for _ in range(51):
        bulk(ready)
    first = gateway.get("/jobs?status=queued").text
    assert "Newest</a>" not in first
    (older,) = re.findall(r'rel="next" href="([^"]+)"', first)
    assert 'href="?status=queued">Newest</a>' in gateway.get(f"/jobs{unescape(older)}").text
