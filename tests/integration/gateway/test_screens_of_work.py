"""Screens about work: who did something to it, and by what a new job can be filtered; without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from api.intake.errands import Errands
from shared.batches.claims import Answers, claim, finish
from shared.config import Settings
from shared.postgres.engine import autocommit
from shared.status import Queue
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.integration.gateway.test_screens import browser_of, bulk
from tests.integration.jobs.jobs_support import answer, take
from tests.support import OWNER, add_clients, add_model, submit_singles


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """With a live model and clients; signed in, as a browser is."""
    add_clients(engine, 20)
    add_model(engine)
    with running_gateway(settings, new_key(engine, OWNER, roles=("read", "predict", "bulk"))) as client:
        link = client.post("/v1/sign-in-links").json()["path"]
        client.get(link, follow_redirects=True)
        yield client


def test_whoever_cancelled_is_named_on_the_screen_of_the_job(gateway: Gateway, engine: Engine) -> None:
    """Of a single one, too, and where many were cancelled by a filter; in French as well."""
    (single,) = submit_singles(engine, [1])
    job = bulk(engine, "of a filter")
    gateway.post(f"/v1/jobs/{single.job_id}/cancel")
    assert gateway.post("/v1/jobs/cancel", json={"name": "of a filter"}).json()["cancelled"] == 1
    with browser_of(gateway, new_key(engine, OWNER), "fr") as browser:
        for one in (single.job_id, job):
            assert re.search(rf"</time> par <span dir=\"auto\">{OWNER}</span>", browser.get(f"/jobs/{one}").text)


def test_an_answer_says_who_made_its_version_live(gateway: Gateway, engine: Engine) -> None:
    """As the history of the model does."""
    add_model(engine, promote=False)
    olga = bearer(new_key(engine, "olga", roles=["operate"]))
    promoted = gateway.post("/v1/models/default/versions/2/promote", json={"force": "no worker is here"}, headers=olga)
    assert promoted.json()["promoted_by"] == "olga"
    (single,) = submit_singles(engine, [1])
    answer_batches(engine)
    request_id = gateway.get(f"/v1/jobs/{single.job_id}").json()["request_id"]
    page = gateway.get(f"/answers/{request_id}").text
    assert re.search(r"<dt>Promoted</dt><dd><time.*?</time> by <span dir=\"auto\">olga</span>", page)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            ("Take default out of service", "What was typed is not the model’s name", "took a model out of service"),
        ),
        ("fr", ("Mettre default hors service", "n’est pas le nom du modèle", "a mis un modèle hors service")),
    ],
)
def test_a_model_is_taken_out_of_service_with_its_name_and_a_reason(
    gateway: Gateway, engine: Engine, language: str, words: tuple[str, ...]
) -> None:
    """Then no version is live and no button offers it; the audit log has a line."""
    title, refusal, act = words
    path = "/models/default/withdraw"
    with browser_of(gateway, new_key(engine, "root", is_admin=True), language) as browser:
        assert f'href="{path}"' in browser.get("/models/default").text
        page = browser.get(path).text
        assert f"<h1>{title}</h1>" in page
        (token,) = set(re.findall(r'name="form_token" value="([^"]+)"', page))
        typed = {"form_token": token, "reason": "biased", "confirmed": "defualt"}
        refused = browser.post(path, data=typed)
        assert (refused.status_code, refusal in refused.text) == (422, True)
        assert gateway.get("/v1/models/default").json()["live_version"] == 1
        assert browser.post(path, data={**typed, "confirmed": "default"}).status_code == 303
        assert gateway.get("/v1/models/default").json()["live_version"] is None
        assert f'href="{path}"' not in browser.get("/models/default").text
        assert act in browser.get("/audit").text


@pytest.mark.parametrize(
    ("language", "groups"),
    [
        ("en", ("Key columns", "Features", "Only for filters")),
        ("fr", ("Colonnes de la clé", "Variables", "Pour les filtres seulement")),
    ],
)
def test_a_new_job_is_filtered_by_key_features_and_what_was_named_for_filters(
    gateway: Gateway, engine: Engine, language: str, groups: tuple[str, ...]
) -> None:
    """For whoever is no administrator, too; a key is looked for as any column is."""
    region = '[{"name": "<region>", "type": "text", "nullable": true, "comment": null}]'
    with autocommit(engine) as connection:
        connection.execute(text("UPDATE predictq.sources SET filters = CAST(:filters AS jsonb)"), {"filters": region})
    found = gateway.get("/v1/filter-columns").json()
    assert (found["model"], found["source"]) == ("default", "clients")
    columns = [(column["name"], column["use"]) for column in found["columns"]]
    assert columns[0] == ("client_id", "key")
    assert {("age", "feature"), ("department", "feature")} < set(columns)
    assert columns[-1] == ("<region>", "filter")
    with browser_of(gateway, new_key(engine, OWNER, roles=("read", "bulk")), language) as browser:
        page = browser.get("/jobs/new").text
    (select,) = re.findall(r'<select name="column0".*?</select>', page, re.DOTALL)
    assert tuple(re.findall(r'<optgroup label="([^"]+)"', select)) == groups
    assert re.findall(r'<option value="([^"]*)"', select) == [
        "",
        *(name.replace("<", "&lt;").replace(">", "&gt;") for name, _ in columns),
    ]


def test_whoever_resumes_work_sees_what_is_paused(gateway: Gateway, engine: Engine) -> None:
    """Her key needs no role beside `operate`; one that may neither look nor act is shown no pause at all."""
    with autocommit(engine) as connection:
        connection.execute(text("INSERT INTO predictq.pauses (queue, reason, actor) VALUES ('bulk', 'month end', 'x')"))
    with browser_of(gateway, new_key(engine, "olga", roles=("operate",))) as browser:
        page = browser.get("/").text
        assert "month end" in page
        (path,) = re.findall(r'action="(/pauses/\d+/resume)"', page)
        (token,) = set(re.findall(r'name="form_token" value="([^"]+)"', page))
        browser.post(path, data={"form_token": token})
        assert "Nothing is paused." in browser.get("/").text
    assert gateway.get("/v1/pauses", headers=bearer(new_key(engine, "x", roles=["predict"]))).status_code == 403


@pytest.mark.parametrize("roles", [("operate",), ("predict",), ("bulk",), ("features",)])
def test_figures_that_a_key_may_not_see_are_no_zeros(gateway: Gateway, engine: Engine, roles: tuple[str, ...]) -> None:
    """The overview says which role they need, in the place of each."""
    with browser_of(gateway, new_key(engine, "narrow", roles=roles)) as browser:
        page = browser.get("/").text
    assert page.count("Your key may not see this. It needs the role read.") == 3
    assert "in the hour" not in page
    assert "no row answered" not in page
    errors = page[page.index("Errors, last hour") :]
    assert errors.startswith('Errors, last hour</h2><p class="figure">–</p>')
    assert "Your key may not see this" not in gateway.get("/").text


@pytest.mark.parametrize("act", ["more", "count", "count-all"])
def test_enter_in_the_filter_of_a_new_job_counts(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    """A browser presses the first button of a form then, whatever was counted before; it sends no job."""

    async def counted(*_: Any, **__: Any) -> dict[str, int]:
        return {"count": 20}

    monkeypatch.setattr(Errands, "run", counted)
    form = re.compile(r'<form[^>]*action="/jobs/new" data-once>.*?</form>', re.DOTALL)
    (before,) = form.findall(gateway.get("/jobs/new").text)
    fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', before))
    (after,) = form.findall(gateway.post("/jobs/new", data={**fields, "act": act}).text)
    assert ("Score 20 clients" in after) == (act != "more")
    for shown in (before, after):
        assert re.findall(r"<button[^>]*>", shown)[0].startswith('<button class="unseen" name="act" value="count"')


@pytest.mark.parametrize(
    ("language", "said"), [("en", "There is no model “defualt”."), ("fr", "Il n’y a pas de modèle")]
)
def test_a_pause_that_is_refused_is_asked_for_again_with_what_was_typed(
    gateway: Gateway, engine: Engine, language: str, said: str
) -> None:
    """Of a model that is misspelt, at its field; of one that the key is not for, too; and where nothing is named."""
    fields = {"queue": "bulk", "model": "defualt", "reason": "the <night> shift"}
    with browser_of(gateway, new_key(engine, OWNER, roles=("read", "operate")), language) as browser:
        (token,) = set(re.findall(r'name="form_token" value="([^"]+)"', browser.get("/").text))
        page = browser.post("/pauses", data={"form_token": token, **fields})
        assert page.status_code == 422
        assert re.search(f'id="pause-wrong">{said}', page.text)
        assert re.search(r'name="model" value="defualt"[^>]* aria-describedby="pause-wrong"', page.text)
        assert 'value="the &lt;night&gt; shift"' in page.text
        assert '<option value="bulk" selected>' in page.text
        assert '<details id="pause-form" open>' in page.text
        nothing = browser.post("/pauses", data={"form_token": token, **fields, "queue": "", "model": ""})
        assert (nothing.status_code, 'id="pause-wrong"' in nothing.text) == (422, True)
        done = browser.post("/pauses", data={"form_token": token, **fields, "model": "default"}, follow_redirects=False)
        assert (done.status_code, done.headers["location"]) == (303, "/#pauses")
    with browser_of(gateway, new_key(engine, OWNER, roles=("operate",), models=["default"]), language) as browser:
        (token,) = set(re.findall(r'name="form_token" value="([^"]+)"', browser.get("/").text))
        page = browser.post("/pauses", data={"form_token": token, **fields})
        assert (page.status_code, 'id="pause-wrong"' in page.text) == (422, True)


@pytest.mark.parametrize("act", ["count", "send"])
def test_a_condition_without_its_column_is_not_left_out(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """It is said at its row, and nothing typed is lost; whoever counts all clients asks for no condition."""

    async def counted(*_: Any, **__: Any) -> dict[str, int]:
        return {"count": 20}

    monkeypatch.setattr(Errands, "run", counted)
    (token,) = set(re.findall(r'name="form_token" value="([^"]+)"', gateway.get("/jobs/new").text))
    first = {"column0": "age", "sign0": "gte", "value0": "30"}
    rows = {**first, "column1": "", "sign1": "", "value1": "Sales", "column2": "", "sign2": "null", "value2": ""}
    fields = {"form_token": token, "model": "default", "name": "some", "counted": "{}", **rows}
    page = gateway.post("/jobs/new", data={**fields, "act": act})
    assert page.status_code == 422
    assert re.search(r'name="column1"[^>]* aria-invalid="true" aria-describedby="wrong1">', page.text)
    assert 'id="wrong1">Choose a column for “Sales”.<' in page.text
    assert 'id="wrong2">Choose a column for this comparison.<' in page.text
    assert 'id="wrong0"' not in page.text
    assert 'name="value1" value="Sales"' in page.text
    assert "clients fit now" not in page.text
    more = gateway.post("/jobs/new", data={**fields, "act": "more"}).text
    assert 'name="value1" value="Sales"' in more
    assert 'id="wrong' not in more
    assert "Score 20 clients" in gateway.post("/jobs/new", data={**fields, "act": "count-all"}).text


def test_a_file_that_was_chosen_and_is_empty_is_called_so(gateway: Gateway) -> None:
    """And not asked for again; the name of either job is kept in its own form."""
    token = dict(re.findall(r'name="(form_token)" value="([^"]+)"', gateway.get("/jobs/new").text))

    def names(page: str) -> list[str]:
        """Of the job of the file, and of the job of the filter."""
        return [re.findall(rf'<input id="{field}"[^>]*value="([^"]*)"', page)[0] for field in ("file-name", "name")]

    for given, words in (
        ("clients <1>.csv", "The file “clients &lt;1&gt;.csv” is empty."),
        ("", "Choose a file first."),
    ):
        page = gateway.post("/jobs/new/file", data={**token, "name": "of the file"}, files={"file": (given, b"")})
        assert page.status_code == 422
        assert f'role="alert">{words}</p>' in page.text
        assert names(page.text) == ["of the file", ""]
    page = gateway.post("/jobs/new", data={**token, "act": "more", "name": "of the filter"})
    assert names(page.text) == ["", "of the filter"]


def test_a_french_reader_types_numbers_as_the_screens_show_them(
    gateway: Gateway, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a filter and in a form that is tried; what she typed stays in its field."""
    asked: list[Any] = []

    async def counted(_: Any, kind: str, owner: str, arguments: dict[str, Any], *__: Any, **___: Any) -> Any:
        asked.append(arguments["where"])
        return {"count": 20}

    monkeypatch.setattr(Errands, "run", counted)
    with browser_of(gateway, new_key(engine, OWNER), "fr") as browser:
        (token,) = set(re.findall(r'name="form_token" value="([^"]+)"', browser.get("/jobs/new").text))
        typed = {"column0": "monthly_income", "sign0": "gte", "value0": "1 000"}
        page = browser.post("/jobs/new", data={"form_token": token, "model": "default", "act": "count", **typed})
        assert asked == [{"monthly_income": {"gte": "1000"}}]
        assert 'name="value0" value="1 000"' in page.text
        answers = ("30", "12\u202f000", "Sales", "true")
        fields = {f"f{number}": value for number, value in enumerate(answers)}
        form = browser.get("/try").text
        assert 'type="number"' not in form
        browser.post("/try", data={"form_token": token, "model": "default", **fields}, timeout=60)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.jobs")).scalar_one() == 1


def test_the_threshold_of_a_job_has_no_more_digits_than_its_answers(gateway: Gateway, engine: Engine) -> None:
    """In its sentence and in what the chart says; the page of an answer has all of them."""
    job = bulk(engine)
    (held,) = claim(engine, Queue.BULK, worker="stand-in", lease_seconds=10, most=1)
    finish(engine, [(held, Answers(values="{0.75}", threshold=0.6881576964071875))])
    page = gateway.get(f"/jobs/{job}").text
    assert "threshold 0.6882 · 100 % at or above" in page
    assert "0.68815769" not in page
    (request_id,) = set(re.findall(r"/answers/(\d+-\d+)", page))
    assert "the threshold of 0.6881576964071875" in gateway.get(f"/answers/{request_id}").text


def test_a_job_that_is_held_back_does_not_say_that_it_runs(gateway: Gateway, engine: Engine) -> None:
    """On its own screen and in every list; a pause of another queue holds nothing of it."""
    job = bulk(engine)
    chip = re.compile(r'<span class="chip[^>]*>(?:<span[^>]*>[^<]*</span>)? *([^<]+)</span>')
    for queue, model, word in (("interactive", None, "waiting"), ("bulk", None, "paused"), (None, "default", "paused")):
        with autocommit(engine) as connection:
            connection.execute(text("DELETE FROM predictq.pauses"))
            connection.execute(
                text("INSERT INTO predictq.pauses (queue, model, reason, actor) VALUES (:queue, :model, 'x', 'x')"),
                {"queue": queue, "model": model},
            )
        assert chip.findall(gateway.get(f"/jobs/{job}").text)[0] == word
        for path in ("/", "/jobs"):
            row = re.search(r'<table class="jobs">.*?</table>', gateway.get(path).text, re.DOTALL)
            assert row is not None
            assert chip.findall(row[0]) == [word], path


def test_a_job_whose_rows_were_all_cancelled_says_so(gateway: Gateway, engine: Engine) -> None:
    """It has rows, which nobody answered."""
    job = bulk(engine)
    assert gateway.post(f"/v1/jobs/{job}/cancel").status_code == 200
    page = gateway.get(f"/jobs/{job}").text
    assert "All rows were cancelled; none was answered." in page
    assert "There is no row." not in page


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "Cancelled before its clients were counted."), ("fr", "Annulé avant que ses clients aient été comptés.")],
)
def test_a_job_that_was_cancelled_before_it_was_planned_does_not_say_that_nobody_fitted(
    gateway: Gateway, language: str, said: str
) -> None:
    """Nobody has looked for its clients; of a filter as of all."""
    for wanted in ({"where": {"age": {"gte": 0}}}, {"all": True}):
        job = gateway.post("/v1/jobs", json=wanted).json()["id"]
        assert gateway.post(f"/v1/jobs/{job}/cancel").json()["request_counts"]["total"] == 0
        page = gateway.get(f"/jobs/{job}", headers={"Accept-Language": language}).text
        assert page.count(said) == 2
        assert "fitted this filter" not in page
        assert "of 0" not in page


def test_the_screen_of_a_failed_row_says_how_it_ended(gateway: Gateway, engine: Engine) -> None:
    """Not that it was answered with features; and its job leads to the model."""
    (single,) = submit_singles(engine, [9])
    answer(engine, take(engine, Queue.INTERACTIVE), errors=1)
    page = gateway.get(f"/jobs/{single.job_id}").text
    assert '<a href="/models/default">default 1</a>' in page
    request_id = gateway.get(f"/v1/jobs/{single.job_id}").json()["request_id"]
    page = gateway.get(f"/answers/{request_id}").text
    assert "ended in an error" in page
    assert "with these features" not in page


def test_a_column_of_errors_is_there_where_a_row_has_one(gateway: Gateway, engine: Engine) -> None:
    """Else it takes room from the clients' keys on a telephone."""
    job = bulk(engine)
    answer_batches(engine)
    assert '<th scope="col">Error</th>' not in gateway.get(f"/jobs/{job}").text
    failed = bulk(engine)
    answer(engine, take(engine), errors=1)
    assert '<th scope="col">Error</th>' in gateway.get(f"/jobs/{failed}").text


def test_the_screen_of_a_model_leads_to_what_is_done_with_it(gateway: Gateway, engine: Engine) -> None:
    """To trying it while a version is live, and to its jobs; its name stands there whole."""
    page = gateway.get("/models/default").text
    assert 'href="/try?model=default"' in page
    assert 'href="/jobs?model=default"' in page
    name = "étude " + "x" * 90 + " end"
    with autocommit(engine) as connection:
        connection.execute(text("INSERT INTO predictq.models (name, task) VALUES (:name, 'binary')"), {"name": name})
    page = gateway.get(f"/models/{name}").text
    assert f'<h1><span dir="auto">{name}</span>' in page
    assert "/try?model=" not in page


def test_a_long_name_of_a_model_is_cut_where_it_would_widen_the_screen(gateway: Gateway, engine: Engine) -> None:
    """In the form of a new key and in the filter of jobs, with an ellipsis; what the form sends is the whole name."""
    name = "x" * 90 + "end"
    with autocommit(engine) as connection:
        connection.execute(text("INSERT INTO predictq.models (name, task) VALUES (:name, 'binary')"), {"name": name})
    with browser_of(gateway, new_key(engine, "root", is_admin=True)) as browser:
        for path in ("/keys/new", "/jobs", f"/jobs?model={name}"):
            page = browser.get(path).text
            assert f'value="{name}"' in page
            shown = re.sub(r"<[^>]*>", "", page.replace(f'<span class="unseen">{name}</span>', ""))
            assert name not in shown
            assert re.search(r"x+…x+end", shown)


@pytest.mark.parametrize("name", ["a/b", "a:b", "1st"])
def test_a_name_that_no_model_can_have_is_refused_in_the_readers_language(
    gateway: Gateway, engine: Engine, name: str
) -> None:
    """Whatever the path that it would make; what was typed is there still."""
    with browser_of(gateway, new_key(engine, OWNER, is_admin=True), "fr") as browser:
        form = browser.get("/models/register").text
        fields = {"form_token": re.findall(r'name="form_token" value="([^"]+)"', form)[0], "name": name}
        page = browser.post("/models/register", data=fields, files={"file": ("m.skops", b"x")})
    assert page.status_code == 422
    assert "Le nom d’un modèle commence par une lettre" in page.text
    assert f'value="{name}"' in page.text


def test_what_is_kept_is_shown_to_administrators(gateway: Gateway, engine: Engine) -> None:
    """The periods as the API has them, holds with their reasons, and what each model takes; to nobody else."""
    assert gateway.get("/kept", headers={"Accept": "text/html"}).status_code == 403
    bulk(engine)
    answer_batches(engine)
    key = new_key(engine, OWNER, is_admin=True)
    with browser_of(gateway, key) as browser:
        assert "Nothing is held." in browser.get("/kept").text
        assert 'href="/kept"' in browser.get("/").text
    for path, body in (
        ("/v1/retention", {"keep_for": "2 years", "model": "default"}),
        ("/v1/holds", {"model": "default", "reason": "case <b>7</b>"}),
        ("/v1/holds", {"client_id": 5, "source": "clients", "reason": "case 8"}),
    ):
        method = "PUT" if path == "/v1/retention" else "POST"
        assert gateway.request(method, path, json=body, headers=bearer(key)).status_code < 300
    with browser_of(gateway, key, "fr") as browser:
        page = browser.get("/kept").text
    assert "<td>24 mois</td>" in page
    assert "sans limite" in page
    assert "au moins 6 mois" in page
    assert "case &lt;b&gt;7&lt;/b&gt;" in page
    assert '<span class="code">5</span> <span class="quiet">source clients</span>' in page
    stored = gateway.get("/v1/storage", headers=bearer(key)).json()["months"]
    assert f'<td class="number">{sum(month["answers"] for month in stored)}</td>' in page
