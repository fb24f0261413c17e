"""What screens say and do, without a browser: acts on the jobs of a filter, the overview's figures, the find field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine, text

from api.http.problems import NO_WORKER, Problem
from api.intake.errands import Errands
from model.registration import SAMPLE_MODEL
from shared.batches.claims import Answers, claim, finish
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


@contextmanager
def browser_of(gateway: Gateway, key: str, language: str = "en") -> Iterator[Gateway]:
    """Somebody else's browser, signed in with `key`."""
    headers = {"Accept": "text/html", "Accept-Language": language}
    with Gateway(base_url=gateway.base_url, headers=headers, timeout=30) as browser:
        link = browser.post("/v1/sign-in-links", headers={**bearer(key), "Accept": "*/*"}).json()["path"]
        browser.get(link, follow_redirects=True)
        yield browser


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
    page = gateway.get("/acts/cancel?all=yes")
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
    led = find(gateway, "run of")
    assert (led.status_code, "run+of" in led.headers["location"].lower()) == (303, False)
    several = gateway.get(led.headers["location"])  # an address, to which a browser can come back
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
    assert "7 waiting (4 paused)</a>" in page
    assert "0 running</a>" in page
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


def test_the_answers_a_minute_are_those_of_a_minute_and_not_of_five_seconds(gateway: Gateway, ready: Engine) -> None:
    """736 rows in a minute are 736 answers, at whatever speed; how fast it goes now is said in its own unit."""
    with autocommit(ready) as connection:
        connection.execute(
            text("""
            INSERT INTO predictq.samples (at, name, queue, model, value)
            SELECT date_trunc('minute', now()) + make_interval(mins => minute),
                   'rows_per_second', 'bulk', 'churn', 736 / 60.0
            FROM generate_series(-1, 1) AS minute
            """)
        )
        beat(connection, Worker("w@host", 1, ["bulk"], None, [""], {}, rows_per_second=144.4))
    for language, said in (("en", "144 rows a second now"), ("fr", "144 lignes par seconde en ce moment")):
        with browser_of(gateway, new_key(ready, OWNER, roles=("read", "operate")), language) as browser:
            page = browser.get("/").text
        tile = page.partition('<section class="card quarter tile">')[2].partition("</section>")[0]
        assert f'<p class="figure">736</p><p class="quiet">{said}<br>' in tile
        assert re.search(r'aria-label="[^"]*736', page), "the chart says the same"


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
    operator = gateway.get("/v1/workers", headers=bearer(new_key(ready, "operator", roles=("read", "operate"))))
    shown = operator.json()["workers"][0]["current_batches"]
    assert [one["is_own"] for one in current if one["job_id"]] == [True] * 4
    assert not any(one["is_own"] for one in shown)  # to her each of these jobs is a 404
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


@pytest.mark.parametrize(("value", "threshold", "label"), [("0.49996", 0.5, "0"), ("0.00003", 0.00002, "1")])
def test_no_screen_rounds_an_answer_across_its_threshold(
    gateway: Gateway, ready: Engine, value: str, threshold: float, label: str
) -> None:
    """Neither the answer's page, which has all digits, nor the job, its rows and what its chart says."""
    job, single = bulk(ready), submit_singles(ready, [1])[0].job_id
    for queue in (Queue.BULK, Queue.INTERACTIVE):
        (held,) = claim(ready, queue, worker="stand-in", lease_seconds=10, most=1)
        finish(ready, [(held, Answers(values=f"{{{value}}}", threshold=threshold))])
    limit = f"{threshold:.5f}".rstrip("0")
    rows = gateway.get(f"/jobs/{job}").text
    assert f'<td>{label}</td><td class="number">{value}</td>' in rows
    assert f"at or above the threshold of {limit}" in unescape(rows)
    (request_id,) = set(re.findall(r"/answers/(\d+-\d+)", rows))
    answer = gateway.get(f"/answers/{request_id}").text
    assert re.search(rf"{value}, (below|at or above) the threshold of {limit}<", answer)
    assert f"Probability {value}, threshold {limit}" in answer
    facts = re.findall(r"<dt>(\w+)</dt><dd>([^<]+)</dd>", gateway.get(f"/jobs/{single}").text)
    assert {("Label", label), ("Probability", value), ("Threshold", limit)} <= set(facts)


def test_what_the_api_refuses_in_english_is_marked_on_a_french_screen(
    gateway: Gateway, ready: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key without a role, and a source that no worker checks."""

    async def nobody(*_: Any, **__: Any) -> Any:
        raise Problem(NO_WORKER, "No worker is <here>.")

    monkeypatch.setattr(Errands, "run", nobody)
    with browser_of(gateway, new_key(ready, "root", is_admin=True), "fr") as browser:
        form = fields_of(browser.get("/keys/new"), "/keys/new")
        token = [field for field in form if field[0] == "form_token"]
        refused = send(browser, "/keys/new", [*token, ("owner", "x")])
        assert refused.status_code == 422
        assert re.search(r'id="wrong"><span lang="en">[^<]+</span></p>', refused.text)
        unchecked = send(browser, "/sources/clients/check", token)
        assert unchecked.status_code == 422
        assert 'pas pu se faire : <span lang="en">No worker is &lt;here&gt;.</span>' in unchecked.text


@pytest.mark.parametrize("roles", [("predict",), ("operate",), ("bulk",), ("read",)])
def test_whatever_role_a_key_has_its_frame_leads_where_it_may_go(
    gateway: Gateway, ready: Engine, roles: tuple[str, ...]
) -> None:
    """From the overview, which everybody sees after signing in, to every place that is offered."""
    with browser_of(gateway, new_key(ready, "narrow", roles=roles)) as browser:
        page = browser.get("/")
        assert page.status_code == 200
        (frame,) = re.findall(r"<nav.*?</nav>", page.text, re.DOTALL)
        offered = re.findall(r'href="([^"]+)"', frame) + re.findall(r'class="button main" href="([^"]+)"', page.text)
        assert ("/jobs" in offered) == ("read" in roles)
        assert {path: browser.get(path).status_code for path in offered} == dict.fromkeys(offered, 200)


def test_an_operator_cancels_a_job_of_another_owner(gateway: Gateway, ready: Engine) -> None:
    """By its id, the beginning of which she types; she is shown nothing of it, and others may not."""
    for roles in (("operate",), ("read", "operate")):
        job = bulk(ready, "a secret name")
        with browser_of(gateway, new_key(ready, "olga", roles=roles)) as browser:
            page = browser.get(f"/acts/cancel?job={job}")
            assert page.status_code == 200
            fields = fields_of(page, "/acts/cancel")
            refused = send(browser, "/acts/cancel", [*fields, ("typed", "x")])
            assert (refused.status_code, job_of(ready, job).status) == (422, JobStatus.QUEUED)
            done = send(browser, "/acts/cancel", [*fields, ("typed", str(job)[:8])])
            assert (done.status_code, job_of(ready, job).status) == (200, JobStatus.CANCELLED)
            assert "secret" not in page.text + refused.text + done.text
        own = gateway.get(f"/jobs/{job}").text
        assert re.search(r"cancelled <time.*?</time> by <span dir=\"auto\">olga</span>", own), "her owner reads who did"
    with browser_of(gateway, new_key(ready, "olaf", roles=("read", "predict"))) as browser:
        assert browser.get(f"/acts/cancel?job={job}").status_code == 404


def test_the_same_call_is_beside_the_form_before_anything_is_typed(gateway: Gateway) -> None:
    """With values that the model accepts: what is shown for curl can be sent as it stands."""
    page = unescape(gateway.get("/try").text)
    assert {"call-1", "call-2", "call-3"} <= set(re.findall(r'id="(call-\d)"', page))
    (body,) = re.findall(r"--json '(\{.*?\})'", page)
    assert gateway.post("/v1/predict_raw", json=json.loads(body)).status_code == 202
