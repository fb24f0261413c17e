"""What a bulk job has come to: counts, samples and shares that agree with its rows."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from api.jobs import summaries as api_summaries
from shared.batches.claims import Answers, finish
from shared.config import Settings
from shared.errors import StatementCancelled
from shared.jobs import error_counts
from shared.jobs import summary as summaries
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.jobs.result_sql import JobShape
from shared.jobs.summary import Summary, read_summary
from shared.models.task import Task
from shared.postgres.engine import autocommit
from shared.status import RowError
from tests.integration.gateway.api_support import Gateway, bearer, new_key, running_gateway
from tests.integration.jobs.jobs_support import answer, cancel, take
from tests.roles import as_worker
from tests.support import OWNER, add_clients, add_model, bulk_job, submit_singles
from web.screens.jobs import one_job
from web.words.codes import meaning_of


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    add_clients(engine, 12)
    add_model(engine)
    with running_gateway(settings, new_key(engine, OWNER)) as client:
        yield client


def bulk(engine: Engine, rows: int = 12, batch_rows: int = 3) -> UUID:
    ids = ListedIds(list(range(1, rows + 1)))
    return accept_keys(engine, bulk_job(engine, batch_rows=batch_rows), ids, rows).job_id


def summary_of(engine: Engine, job_id: UUID) -> Summary:
    with autocommit(engine) as connection:
        return read_summary(connection, job_id)


def finish_with(
    engine: Engine,
    *values: float | None,
    codes: dict[int, tuple[str, str]] | None = None,
    unknown: dict[str, int] | None = None,
) -> None:
    """Answer the next batch with these values and errors, and with so many unknown categories by feature."""
    held, given = take(engine), codes or {}
    told = ",".join("NULL" if value is None else str(value) for value in values)
    page = Answers(
        values=f"{{{told}}}",
        threshold=0.5,
        error_rows=list(given) or None,
        error_codes=[code for code, _ in given.values()] or None,
        error_details=[detail for _, detail in given.values()] or None,
        notes=json.dumps({"unknown_categories": unknown}) if unknown else None,
    )
    assert finish(as_worker(engine), [(held, page)])


def test_answers_errors_and_batches_add_up(gateway: Gateway, engine: Engine) -> None:
    """While the job runs and at its end; each answer is in one bin, each error in one group, with rows to look at."""
    job_id = bulk(engine)
    path = f"/v1/jobs/{job_id}/summary"
    empty = gateway.get(path).json()
    assert (empty["spread"]["answers"], empty["errors"], empty["workers"], empty["batches"]) == (0, [], [], 4)
    assert sum(part["waiting"] for part in empty["strip"]) == 4
    finish_with(engine, 0.0, 0.49, 1.0)
    finish_with(engine, None, 0.5, None, codes={0: ("unknown_client", "no 4"), 2: ("model_failed", "<script>")})
    held = take(engine)
    found = summary_of(engine, job_id)
    assert [bin_.count for bin_ in found.spread.bins if bin_.count] == [1, 1, 1, 1]
    assert (found.spread.bins[0].count, found.spread.bins[-1].count) == (1, 1)
    assert (found.spread.answers, found.spread.above, found.spread.threshold) == (4, 2, 0.5)
    assert {group.code: group.count for group in found.errors} == {"unknown_client": 1, "model_failed": 1}
    samples = [sample for group in found.errors for sample in group.samples]
    rows = gateway.get(f"/v1/jobs/{job_id}/results").json()["rows"]
    wanted = {row["request_id"]: row["error_detail"] for row in rows if row["error_code"]}
    assert {sample.request_id: sample.detail for sample in samples} == wanted
    assert [astuple(part)[:6] for part in found.strip] == [
        (1, 0, 0, 0, 3, 0), (1, 1, 0, 0, 3, 2), (0, 0, 1, 0, 0, 0), (0, 0, 0, 1, 0, 0),
    ]  # fmt: skip
    answer(engine, held)
    answer(engine, take(engine))
    ended = summary_of(engine, job_id)
    assert (ended.spread.answers, sum(share.rows for share in ended.workers)) == (10, 12)
    assert ended.rows_per_second is not None
    assert ended.rows_per_second > 0


@pytest.mark.parametrize(
    ("spans", "rate"),
    [
        ([(0, 2), (1800, 1801)], 2.0),  # paused for half an hour
        ([(0, 2), (1, 3)], 2.0),  # two workers
        ([(0, 2), (0, 2)], 3.0),
        ([(0, 0), (0, 0)], None),
    ],
)
def test_the_rate_of_an_ended_job_is_that_of_its_workers(
    gateway: Gateway, engine: Engine, spans: list[tuple[int, int]], rate: float | None
) -> None:
    """Rows over the time for which one of its batches was in hand, whatever the job waited for in between."""
    job_id = bulk(engine, rows=6)
    finish_with(engine, 0.1, 0.2, 0.3)
    finish_with(engine, 0.1, None, 0.3, codes={1: ("model_failed", "it failed")})
    move = text(
        "UPDATE predictq.batch_outputs SET claimed_at = accepted + make_interval(secs => :begun), "
        "created_at = accepted + make_interval(secs => :ended) "
        "FROM (SELECT created_at AS accepted FROM predictq.jobs WHERE id = :job) j WHERE batch_id = ("
        "SELECT batch_id FROM predictq.batch_outputs WHERE job_id = :job ORDER BY batch_id LIMIT 1 OFFSET :number)"
    )
    with autocommit(engine) as connection:
        connection.execute(text("ALTER TABLE predictq.batch_outputs_0 DISABLE TRIGGER USER"))  # pages never change
        for number, (begun, ended) in enumerate(spans):
            connection.execute(move, {"job": job_id, "number": number, "begun": begun, "ended": ended})
    assert summary_of(engine, job_id).rows_per_second == rate


def test_a_job_that_brought_its_features_says_so(gateway: Gateway, engine: Engine) -> None:
    """What is wrong with them is mended in the file: nobody is sent to a source."""
    row = '{"age": 41, "monthly_income": 1, "department": "Sales", "over_time": true}'
    answered = gateway.post(
        "/v1/jobs?features=upload", content=row.encode(), headers={"Content-Type": "application/x-ndjson"}
    )
    brought, named = UUID(answered.json()["id"]), bulk(engine)
    assert [summary_of(engine, job).brought_features for job in (brought, named)] == [True, False]
    assert gateway.get(f"/v1/jobs/{brought}/summary").json()["brought_features"] is True
    for code in (RowError.INVALID_FEATURE, RowError.MISSING_FEATURE):
        assert "send them anew" in meaning_of(code, brought_features=True).advice
        assert "source" in meaning_of(code).advice or "where they come from" in meaning_of(code).advice
    assert meaning_of(RowError.MODEL_FAILED, brought_features=True) == meaning_of(RowError.MODEL_FAILED)


def test_the_batches_of_a_job_say_when_and_by_whom(gateway: Gateway, engine: Engine) -> None:
    """So that one sees which batch failed: in the API, on hover over the strip, and in a table beside it."""
    job_id = bulk(engine)
    finish_with(engine, 0.0, 0.49, 1.0)
    finish_with(engine, None, 0.5, None, codes={0: ("unknown_client", "no 4"), 2: ("model_failed", "it failed")})
    take(engine)
    done, failed, running, waiting = gateway.get(f"/v1/jobs/{job_id}/summary").json()["strip"]
    ids = {row["request_id"].partition("-")[0] for row in gateway.get(f"/v1/jobs/{job_id}/results").json()["rows"]}
    assert {str(done["first_batch"]), str(failed["last_batch"])} == ids
    assert done["first_at"] <= done["last_at"] <= failed["last_at"]
    assert [(one["workers"], one["worker_count"]) for one in (done, failed, running, waiting)] == [
        (["w"], 1), (["w"], 1), (["w"], 1), ([], 0),
    ]  # fmt: skip
    assert (running["first_at"] is None, running["last_at"], waiting["first_at"]) == (False, None, None)
    gateway.get(gateway.post("/v1/sign-in-links").json()["path"], follow_redirects=True)
    page = gateway.get(f"/jobs/{job_id}").text
    titles = re.findall(r"<g><title>([^<]*)</title>", page)
    assert [title.partition(" ")[0] for title in titles] == [
        str(one["first_batch"]) for one in (done, failed, running, waiting)
    ]
    assert titles[1].endswith(" · w · 2 rows with an error")
    assert (titles[2].endswith(" – … · w"), titles[3]) == (True, str(waiting["first_batch"]))
    rows = re.findall(r"<tr>.*?</tr>", page.partition('id="batches"')[2].partition("</details>")[0], re.DOTALL)[1:]
    assert [">running<" in row for row in rows] == [False, False, True, False]
    assert [">waiting<" in row for row in rows] == [False, False, False, True]
    numbers = '<td class="number" data-label="Rows">3</td><td class="number" data-label="Errors">2</td>'
    assert f"{failed['first_batch']}</th>{numbers}" in rows[1]


def test_categories_that_the_model_does_not_know_are_told(gateway: Gateway, engine: Engine) -> None:
    """Of all pages together, by feature, the most first: in the API and on the screen; nothing where there are none."""
    job_id, other = bulk(engine), bulk(engine, rows=3)
    path = f"/v1/jobs/{job_id}/summary"
    finish_with(engine, 0.1, 0.2, 0.3, unknown={"department": 1, "city <b>": 2})
    finish_with(engine, 0.1, 0.2, 0.3)
    finish_with(engine, 0.1, 0.2, 0.3, unknown={"department": 3})
    assert gateway.get(path).json()["unknown_categories"] == [
        {"feature": "department", "count": 4},
        {"feature": "city <b>", "count": 2},
    ]
    gateway.get(gateway.post("/v1/sign-in-links").json()["path"], follow_redirects=True)
    shown = gateway.get(f"/jobs/{job_id}").text
    assert "6 values are categories that the model did not learn." in shown
    assert "city &lt;b&gt;</span> 2" in shown
    assert gateway.get(f"/v1/jobs/{other}/summary").json()["unknown_categories"] == []
    assert "unknown-categories" not in gateway.get(f"/jobs/{other}").text


def test_a_large_job_is_sampled_and_says_so(gateway: Gateway, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages all over the job, never more than the bound; errors counted as far as was looked."""
    job_id = bulk(engine, rows=12, batch_rows=1)
    for number in range(12):
        failed = {0: ("model_failed", "it failed")} if number % 2 else None
        finish_with(engine, None if failed else number / 12, codes=failed)
    monkeypatch.setattr(summaries, "ANSWER_PAGES", 3)
    monkeypatch.setattr(error_counts, "ERROR_PAGES", 4)
    monkeypatch.setattr(summaries, "STRIP_CELLS", 5)
    found = summary_of(engine, job_id)
    assert (found.spread.answers, found.spread.is_whole) == (3, False)
    assert (found.errors[0].count, found.errors_are_whole) == (4, False)
    assert len(found.strip) == 5
    assert sum(part.done for part in found.strip) == found.batches == 12


def test_errors_are_counted_by_code_and_shown_by_their_first_rows(gateway: Gateway, engine: Engine) -> None:
    """However the codes are mixed within a page and over the pages; the most frequent first."""
    job_id = bulk(engine, rows=12, batch_rows=6)
    mixed = ["model_failed", "unknown_client", "model_failed", "model_failed", "unknown_client", "ambiguous_key"]
    for _ in range(2):
        finish_with(engine, *(6 * [None]), codes={n: (code, f"row {n}") for n, code in enumerate(mixed)})
    rows = gateway.get(f"/v1/jobs/{job_id}/results").json()["rows"]
    found = gateway.get(f"/v1/jobs/{job_id}/summary").json()
    assert [(group["code"], group["count"]) for group in found["errors"]] == [
        ("model_failed", 6), ("unknown_client", 4), ("ambiguous_key", 2),
    ]  # fmt: skip
    assert found["errors_are_whole"]
    for group in found["errors"]:
        wanted = [(row["request_id"], row["error_detail"]) for row in rows if row["error_code"] == group["code"]]
        assert [(sample["request_id"], sample["detail"]) for sample in group["samples"]] == wanted[
            : error_counts.SAMPLES
        ]


def test_to_sum_up_the_errors_of_a_page_takes_no_row_for_each(engine: Engine) -> None:
    """A job of millions has a million in the pages that are looked at, and is looked at every two seconds."""
    add_clients(engine, 1)
    add_model(engine)
    job_id = accept_keys(engine, bulk_job(engine, batch_rows=5_000), ListedIds([1] * 5_000), 5_000).job_id
    codes = {n: ("model_failed" if n % 2 else "unknown_client", "no") for n in range(5_000)}
    finish_with(engine, *(5_000 * [None]), codes=codes)
    with autocommit(engine) as connection:
        values = {"id": str(job_id), "first": 0, "errors": 100}
        explain = text(f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {error_counts._ERRORS.text}")
        (plan,) = connection.execute(explain, values).scalar_one()
        assert max(rows_of(plan["Plan"])) < 100
        assert [row.errors for row in connection.execute(error_counts._ERRORS, values)] == [2_500, 2_500]


def rows_of(node: dict[str, Any]) -> Iterator[float]:
    """How many rows each step of a plan gave."""
    yield node["Actual Rows"] * node["Actual Loops"]
    for inner in node.get("Plans", ()):
        yield from rows_of(inner)


def cancelled(*_: object) -> Summary:
    raise StatementCancelled(TimeoutError())


def slow(*_: object) -> Summary:
    time.sleep(1)
    raise StatementCancelled(TimeoutError())


@pytest.mark.parametrize("reading", [cancelled, slow])
def test_a_job_is_shown_without_a_summary_that_is_late(
    gateway: Gateway, engine: Engine, monkeypatch: pytest.MonkeyPatch, reading: Callable[..., Summary]
) -> None:
    """What is quickly read stays readable; the API says why there is no summary, and that PostgreSQL is there."""
    job_id = bulk(engine)
    finish_with(engine, 0.1, 0.2, 0.3)
    monkeypatch.setattr(api_summaries, "read_summary", reading)
    monkeypatch.setattr(one_job, "_SUMMARY_SECONDS", 0.3)
    gateway.get(gateway.post("/v1/sign-in-links").json()["path"], follow_redirects=True)
    page = gateway.get(f"/jobs/{job_id}")
    assert page.status_code == 200
    assert "take longer to read than usual" in page.text
    assert page.text.count('href="/answers/') == 3
    refused = gateway.get(f"/v1/jobs/{job_id}/summary")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/statement-cancelled")
    assert "does not answer" not in refused.text


def test_values_of_a_regression_lie_between_the_least_and_the_largest(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In equal bins; where all are the same, in one."""
    add_clients(engine, 6)
    add_model(engine)
    monkeypatch.setattr(summaries, "read_shape", lambda *_: JobShape("claims", 1, Task.REGRESSION, [], None))
    first, second = bulk(engine, 3), bulk(engine, 3)
    finish_with(engine, -10.0, 5.0, 30.0)
    finish_with(engine, 7.0, 7.0, 7.0)
    found = summary_of(engine, first).spread
    assert (found.bins[0].low, round(found.bins[-1].high, 6), found.above) == (-10.0, 30.0, None)
    assert sum(item.count for item in found.bins) == 3
    assert [item.count for item in summary_of(engine, second).spread.bins if item.count] == [3]


def test_a_summary_is_its_owners_and_of_bulk_jobs(gateway: Gateway, engine: Engine) -> None:
    """Another owner's job is unknown; a cancelled job has its answers; a single job is told to be read itself."""
    job_id = bulk(engine)
    answer(engine, take(engine))
    cancel(engine, job_id)
    path = f"/v1/jobs/{job_id}/summary"
    assert gateway.get(path).json()["spread"]["answers"] == 3
    assert gateway.get(path, headers=bearer(new_key(engine, "other"))).status_code == 404
    (single,) = submit_singles(engine, [1])
    refused = gateway.get(f"/v1/jobs/{single.job_id}/summary")
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid-request")
