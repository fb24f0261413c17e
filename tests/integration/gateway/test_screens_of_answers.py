"""Screens of answers of every kind: the largest and the smallest numbers, and classes that are flags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sqlalchemy import Engine

from shared.batches.claims import Answers, finish
from shared.config import Settings
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.integration.jobs.jobs_support import answer, take
from tests.roles import as_worker
from tests.support import OWNER, add_clients, add_model, bulk_job
from web.screens.jobs import one_job
from worker.scoring.key_hashes import KeyHashes

CLIENT = 2


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """With clients; signed in, as a browser is."""
    add_clients(engine, 3)
    with running_gateway(settings, new_key(engine, OWNER, is_admin=True)) as client:
        client.get(client.post("/v1/sign-in-links").json()["path"], follow_redirects=True)
        yield client


@pytest.mark.parametrize(("language", "classes"), [("en", "no, yes"), ("fr", "non, oui")])
def test_classes_that_are_flags_have_one_name(gateway: Gateway, engine: Engine, language: str, classes: str) -> None:
    """On the screen of their model as on that of an answer."""
    add_model(engine, LogisticRegression().fit([[0] * 4, [1] * 4], [False, True]))
    accept_keys(engine, bulk_job(engine), ListedIds([CLIENT]), 1)
    held = take(engine)
    assert finish(as_worker(engine), [(held, Answers(values="{0.75}", threshold=0.5))])
    said = {"Accept-Language": language}
    assert f">{classes}<" in gateway.get("/models/default", headers=said).text
    answered = gateway.get(f"/answers/{held.batch_id}-0", headers=said).text
    assert re.search(rf"\b{classes[-3:]}\b", answered.partition("<h1>")[2])
    assert not re.search(r"\b(True|False)\b", answered)


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("values", ["1e300,3", "-1e300,1.7e308", "1e28,1.5e29", "5e-324,1e-300", "7,7"])
def test_answers_of_any_size_are_shown(gateway: Gateway, engine: Engine, language: str, values: str) -> None:
    """On the screens of the job, of an answer, of its client and of the model."""
    add_model(engine, LinearRegression().fit(np.zeros((2, 4)), np.zeros(2)))
    rows = accept_keys(engine, bulk_job(engine), ListedIds([CLIENT, CLIENT]), 2)
    held = take(engine)
    hashes = KeyHashes(as_worker(engine))(np.array([CLIENT] * 2, np.int64), held.source_id or 0).tolist()
    page = Answers(values=f"{{{values}}}", threshold=None)
    assert finish(as_worker(engine), [(held, replace(page, key_hashes=hashes))])
    wanted = {"source": "clients", "client_id": CLIENT}
    client_hash = gateway.post("/v1/clients/answers", json=wanted).json()["client_hash"]
    summary = gateway.get(f"/v1/jobs/{rows.job_id}/summary")
    assert sum(one["count"] for one in summary.json()["spread"]["bins"]) == 2
    shown = ""
    for path in (
        f"/jobs/{rows.job_id}",
        f"/answers/{held.batch_id}-0",
        f"/clients/{client_hash}/clients",
        "/models/default",
        "/try?model=default",
        "/",
    ):
        answered = gateway.get(path, headers={"Accept-Language": language})
        assert answered.status_code == 200, path
        shown += answered.text
    assert re.search(r"0{20}", shown) is None


@pytest.mark.parametrize("has_summary", [True, False])
def test_the_columns_of_results_are_those_of_the_models_task(
    gateway: Gateway, engine: Engine, monkeypatch: pytest.MonkeyPatch, has_summary: bool
) -> None:
    """Where every row of a regression has failed, and where the job's summary takes too long, too."""
    if not has_summary:
        monkeypatch.setattr(one_job, "_SUMMARY_SECONDS", 0)
    add_model(engine, LinearRegression().fit(np.zeros((2, 4)), np.zeros(2)))
    job = accept_keys(engine, bulk_job(engine), ListedIds([CLIENT, CLIENT]), 2).job_id
    answer(engine, take(engine), errors=2)
    table = gateway.get(f"/jobs/{job}").text.partition('<table class="results">')[2]
    assert re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', table) == ["Request", "Client", "Value", "Error"]
