"""An earlier job once more: its filter, its rows, or the rows that failed."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.jobs.accepting.bulk import accept_keys, accept_selection
from shared.jobs.accepting.key_pages import ListedIds
from shared.postgres.engine import autocommit
from shared.status import Queue
from tests.integration.gateway.api_support import Gateway, bearer, new_key, running_gateway
from tests.integration.jobs.jobs_support import answer, take
from tests.integration.jobs.planning_support import keys_of
from tests.integration.worker.scoring_support import score
from tests.support import OWNER, add_clients, add_model, bulk_job, submit_singles
from worker.scoring.scorer import Scorer


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """Ten clients, a live model, batches of 2 rows."""
    add_clients(engine, 10)
    add_model(engine)
    with running_gateway(settings.model_copy(update={"bulk_batch_rows": 2}), new_key(engine, OWNER)) as client:
        yield client


def test_the_failed_rows_are_asked_again(gateway: Gateway, engine: Engine) -> None:
    """In their order, once the job has ended; the same key makes one job."""
    job_id = accept_keys(engine, bulk_job(engine, batch_rows=3, name="July"), ListedIds([7, 5, 3, 9, 1]), 5).job_id
    answer(engine, take(engine), errors=2)
    assert gateway.post(f"/v1/jobs/{job_id}/retry").json()["type"] == "/problems/job-open"
    answer(engine, take(engine), errors=1)
    headers = {"Idempotency-Key": "again"}
    new = gateway.post(f"/v1/jobs/{job_id}/retry", headers=headers)
    assert (new.status_code, new.json()["name"], new.json()["request_counts"]["total"]) == (202, "July", 3)
    assert keys_of(engine, UUID(new.json()["id"])) == [7, 5, 9]
    assert gateway.post(f"/v1/jobs/{job_id}/retry", headers=headers).json()["id"] == new.json()["id"]
    asked = gateway.get(f"/v1/jobs/{new.json()['id']}").json()["asked"]
    assert asked == {"by": OWNER, "for": "retry", "job": str(job_id)}
    while (held := take(engine)) and held.job_id == UUID(new.json()["id"]):
        answer(engine, held)
        if gateway.get(f"/v1/jobs/{new.json()['id']}").json()["status"] == "succeeded":
            break
    told = gateway.post(f"/v1/jobs/{new.json()['id']}/retry").json()
    assert told["type"] == "/problems/nothing-selected"
    assert told["detail"] == "No row of the job has an error that could be asked again: there is nothing to retry."


def test_a_job_is_repeated(gateway: Gateway, engine: Engine) -> None:
    """The same clients in the same order, or the same filter; another owner's job and a single one are none."""
    listed = accept_keys(engine, bulk_job(engine, batch_rows=2), ListedIds([7, 5, 7]), 3).job_id
    again = gateway.post(f"/v1/jobs/{listed}/repeat").json()
    assert keys_of(engine, UUID(again["id"])) == [7, 5, 7]
    selected = accept_selection(engine, bulk_job(engine), {"age": {"lt": 25}}).job_id
    again = gateway.post(f"/v1/jobs/{selected}/repeat").json()
    with autocommit(engine) as connection:
        query = text("SELECT selection FROM predictq.jobs WHERE id = :id")
        assert connection.execute(query, {"id": again["id"]}).scalar_one() == {"where": {"age": {"lt": 25}}}
    assert gateway.post(f"/v1/jobs/{listed}/repeat", headers=bearer(new_key(engine, "other"))).status_code == 404
    (single,) = submit_singles(engine, [1])
    assert gateway.post(f"/v1/jobs/{single.job_id}/repeat").status_code == 404


def test_a_job_says_what_it_was_asked_for(gateway: Gateway, engine: Engine) -> None:
    """And by whom, in every way to ask; a filter of many values is left out. An operator who cancels learns nothing."""
    where = {"age": {"lt": 25}}
    by_filter = gateway.post("/v1/jobs", json={"where": where}).json()["id"]
    by_list = gateway.post("/v1/jobs", json={"client_ids": [1]}).json()["id"]
    csv = {"Content-Type": "text/csv"}
    asked = {
        by_filter: {"for": "filter", "where": where},
        gateway.post("/v1/jobs", json={"where": {"age": list(range(900))}}).json()["id"]: {"for": "filter"},
        gateway.post("/v1/jobs", json={"all": True}).json()["id"]: {"for": "all"},
        by_list: {"for": "list"},
        gateway.post("/v1/jobs", content="client_id\n1\n", headers=csv).json()["id"]: {"for": "upload"},
        gateway.post(f"/v1/jobs/{by_filter}/repeat").json()["id"]: {"for": "repeat", "where": where, "job": by_filter},
        gateway.post(f"/v1/jobs/{by_list}/repeat").json()["id"]: {"for": "repeat", "job": by_list},
    }
    for job_id, expected in asked.items():
        assert gateway.get(f"/v1/jobs/{job_id}").json()["asked"] == {"by": OWNER, **expected}
    single = submit_singles(engine, [1])[0].job_id
    assert "asked" not in gateway.get(f"/v1/jobs/{single}").json()
    operator = bearer(new_key(engine, "operator", roles=["operate"]))
    assert "asked" not in gateway.post(f"/v1/jobs/{by_filter}/cancel", headers=operator).json()


def test_features_and_spellings_come_along(gateway: Gateway, engine: Engine, scorer: Scorer) -> None:
    """What an upload said is asked again as it was, by the version that it was checked for."""
    lines = "client_id,age,monthly_income,department,over_time\n007,30,,Sales,true\n8,7,1,Sales,false\n"
    headers = {"Content-Type": "text/csv"}
    first = gateway.post("/v1/jobs?features=upload", content=lines.encode(), headers=headers).json()
    score(scorer, Queue.BULK)
    add_model(engine)
    for what, keys in (("repeat", ["007", 8]), ("retry", [8])):
        new = gateway.post(f"/v1/jobs/{first['id']}/{what}").json()
        assert new["model_version"] == 1
        score(scorer, Queue.BULK)
        rows = gateway.get(f"/v1/jobs/{new['id']}/results").json()["rows"]
        assert [row["client_id"] for row in rows] == keys
        assert rows[-1]["error_code"] == "invalid_feature"
