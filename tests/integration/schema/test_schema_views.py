"""The views and functions for people and BI tools: right for every kind of row, and their plans use the indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, create_engine, text

from shared.jobs.accepting.singles import Accepted
from shared.postgres.engine import autocommit, transaction
from shared.status import Queue
from tests.compose.stack import ROWS_PER_WORKER
from tests.integration.jobs.jobs_support import cancel, take
from tests.integration.jobs.plan_support import plan_of, rows_of, scanned_whole
from tests.integration.worker.scoring_support import features_of, score, submit_raw
from tests.models import TestModel, right_answer
from tests.support import OWNER, ROOT, add_clients, add_model, change_client, submit_bulk
from worker.scoring.scorer import Scorer


class Story(NamedTuple):
    """Jobs of every kind, and how they came out."""

    engine: Engine
    single: Accepted
    given: Accepted
    cancelled: Accepted
    failed: Accepted
    bulk: Accepted  # clients 3, 4 (who has no age) and 99 (whom nobody knows)
    waiting: Accepted


GIVEN = {"age": 30, "monthly_income": None, "department": "Sales", "over_time": True}


@pytest.fixture
def story(engine: Engine, scorer: Scorer) -> Story:
    """Everything that a view must show."""
    add_clients(engine, 10)
    add_model(engine, TestModel(poisonous=True), threshold=0.4)
    change_client(engine, 4, age=None)
    change_client(engine, 5, age=60)
    single, given, cancelled, failed = submit_raw(engine, [1, GIVEN, 2, 5])
    cancel(engine, cancelled.job_id)
    bulk = submit_bulk(engine, [3, 4, 99], batch_rows=2)
    score(scorer)
    score(scorer, Queue.BULK)
    waiting = submit_bulk(engine, [6, 7], batch_rows=1)
    take(engine)
    cancel(engine, waiting.job_id)
    return Story(engine, single, given, cancelled, failed, bulk, submit_bulk(engine, [8]))


def rows(engine: Engine, query: str, **values: Any) -> list[dict[str, Any]]:
    with transaction(engine) as connection:
        return [dict(row) for row in connection.execute(text(query), values).mappings()]


def test_the_compose_tests_ask_for_what_is_there(story: Story) -> None:
    """They run where an engine is only; who answered the rows of a job is asked here, too."""
    with transaction(story.engine) as connection:
        found = connection.execute(text(ROWS_PER_WORKER), {"job_id": story.bulk.job_id}).all()
    assert [tuple(row)[1] for row in found] == [3]


def ids_of(accepted: Accepted, *counts: int) -> list[str]:
    """The request ids of a bulk job with so many rows in its batches."""
    return [f"{batch}-{row}" for batch, count in zip(accepted.batch_ids, counts, strict=True) for row in range(count)]


def test_requests_show_what_was_asked(story: Story) -> None:
    """Clients by key, features as they were given, each row with its job; cancelled and waiting ones, too."""
    found = rows(story.engine, "SELECT * FROM predictq.prediction_requests ORDER BY batch_id, row_number")
    # What came with its features is a batch of its own.
    asked = sorted(zip(story[1:5], ("1", None, "2", "5"), strict=True), key=lambda one: str(one[0].request_id))
    assert [(row["request_id"], row["client_id"]) for row in found[:4]] == [
        (str(job.request_id), client) for job, client in asked
    ]
    assert [(row["job_id"], row["single_job_id"]) for row in found[:4]] == [(None, job.job_id) for job, _ in asked]
    assert [row["features"] is not None for row in found[:4]] == [False, False, False, True]
    assert [(row["request_id"], row["client_id"], row["job_id"]) for row in found[4:7]] == [
        (request_id, client, story.bulk.job_id)
        for request_id, client in zip(ids_of(story.bulk, 2, 1), ("3", "4", "99"), strict=True)
    ]
    assert len(found) == 10
    assert {row["single_job_id"] for row in found[4:]} == {None}
    assert all(f"{row['batch_id']}-{row['row_number']}" == row["request_id"] for row in found)


def test_outputs_show_one_answer_or_error_per_row(story: Story) -> None:
    """Answers with label and threshold, errors without; nothing of cancelled or waiting rows."""
    found = {row["request_id"]: row for row in rows(story.engine, "SELECT * FROM predictq.prediction_outputs")}
    known, ageless, unknown = ids_of(story.bulk, 2, 1)
    assert set(found) == {str(job.request_id) for job in (story.single, story.given, story.failed)} | {
        known, ageless, unknown,
    }  # fmt: skip
    for request_id, features in ((str(story.single.request_id), features_of(1)), (str(story.given.request_id), GIVEN),
                                 (known, features_of(3))):  # fmt: skip
        row, expected = found[request_id], right_answer(**features)
        assert (row["probability"], row["label"], row["threshold"]) == (expected, str(int(expected >= 0.4)), 0.4)
        assert (row["error_code"], row["error_detail"], row["fence"]) == (None, None, 1)
        assert (row["model"], row["model_version"]) == ("default", 1)
    errors = {
        str(story.failed.request_id): ("model_failed", "the model raised ValueError"),
        ageless: ("missing_feature", "age is missing"),
        unknown: ("unknown_client", "there is no such client"),
    }
    for request_id, error in errors.items():
        row = found[request_id]
        assert (row["error_code"], row["error_detail"]) == error
        assert (row["probability"], row["label"], row["threshold"]) == (None, None, None)
    assert {found[known]["job_id"], found[str(story.single.request_id)]["job_id"]} == {story.bulk.job_id, None}


def test_the_trace_joins_request_answer_and_model(story: Story) -> None:
    """One row per answer: whose it was, what it said, what made it and when."""
    found = {row["request_id"]: row for row in rows(story.engine, "SELECT * FROM predictq.prediction_trace")}
    outputs = {row["request_id"]: row for row in rows(story.engine, "SELECT * FROM predictq.prediction_outputs")}
    assert set(found) == set(outputs)
    same = ("probability", "label", "threshold", "error_code", "error_detail", "model", "model_version", "fence")
    for request_id, row in found.items():
        assert {name: row[name] for name in same} == {name: outputs[request_id][name] for name in same}
        assert row["accepted_at"] <= row["claimed_at"] <= row["answered_at"]
        assert (row["attempts"], row["worker"].startswith("test/")) == (1, True)
    single, given = found[str(story.single.request_id)], found[str(story.given.request_id)]
    assert [(row["job_kind"], row["single_job_id"], row["client_id"]) for row in (single, given)] == [
        ("single", story.single.job_id, "1"),
        ("single", story.given.job_id, None),
    ]
    last = found[ids_of(story.bulk, 2, 1)[2]]
    assert (last["job_kind"], last["job_id"], last["client_id"]) == ("bulk", story.bulk.job_id, "99")
    (version,) = rows(story.engine, "SELECT sha256, digest FROM predictq.model_versions")
    assert (last["model_sha256"], last["version_digest"]) == (version["sha256"], version["digest"])


@pytest.mark.parametrize(("view", "function"), [("prediction_outputs", "prediction"), ("prediction_trace",) * 2])
def test_a_function_gives_the_row_of_an_id(story: Story, view: str, function: str) -> None:
    """The same row as the view's, for each answer; none for what has none, or is no request."""
    found = rows(story.engine, f"SELECT * FROM predictq.{view}")
    assert len(found) == 6
    for row in found:
        assert rows(story.engine, f"SELECT * FROM predictq.{function}(:id)", id=row["request_id"]) == [row]
    batch_id = story.single.batch_ids[0]
    for nothing in (str(story.cancelled.request_id), f"{batch_id}-4", f"{batch_id}-99", "999999-0", f"{10**12}-0"):
        assert rows(story.engine, f"SELECT * FROM predictq.{function}(:id)", id=nothing) == []


def test_each_job_has_its_status_and_counts(story: Story) -> None:
    """Single and bulk jobs in one view, whatever became of them."""
    found = {row["job_id"]: row for row in rows(story.engine, "SELECT * FROM predictq.job_status")}
    expected = {
        story.single: ("single", "succeeded", 1, 1, 0, 0),
        story.given: ("single", "succeeded", 1, 1, 0, 0),
        story.cancelled: ("single", "cancelled", 1, 0, 0, 1),
        story.failed: ("single", "failed", 1, 0, 1, 0),
        story.bulk: ("bulk", "succeeded", 3, 1, 2, 0),
        story.waiting: ("bulk", "queued", 1, 0, 0, 0),
    }
    names = ("kind", "status", "request_count", "succeeded", "failed", "cancelled")
    for job, values in expected.items():
        row = found[job.job_id]
        assert tuple(row[name] for name in names) == values
        assert (row["owner"], row["model"], row["model_version"]) == (OWNER, "default", 1)
        assert row["request_id"] == (None if job.request_id is None else str(job.request_id))
        assert (row["finished_at"] is not None) == (row["status"] != "queued")
    (stopped,) = (row for job_id, row in found.items() if job_id not in {job.job_id for job in story[1:]})
    assert tuple(stopped[name] for name in names) == ("bulk", "cancelled", 2, 0, 0, 2)


# Plans, on pages that were made by SQL: three thousand pages of 200 answers, fifty of them to a job, and as many of ten
# single jobs, the newest.
PAGES = """
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, request_count, first_batch_id)
SELECT overlay(gen_random_uuid()::text PLACING left(predictq.first_uuid_of(now())::text, 14) FROM 1)::uuid,
       'bulk', 'me', 1, 10000, 50 * n + 1 FROM generate_series(0, 59) n;
INSERT INTO predictq.batch_requests (batch_id, created_at, request_count, job_id, keys_int8)
SELECT n, now() - interval '1 day' + n * interval '1 s', 200, j.id, ARRAY(SELECT generate_series(n, n + 199))
FROM generate_series(1, 3000) n JOIN predictq.jobs j ON j.first_batch_id = 50 * ((n - 1) / 50) + 1;
INSERT INTO predictq.batch_outputs (batch_id, created_at, model_version_id, fence, attempts, request_count, succeeded,
                                    failed, cancelled, worker, "values", threshold, job_id)
SELECT batch_id, created_at, 1, 1, 1, 200, 200, 0, 0, 'w', array_fill(0.5::float8, ARRAY[200]), 0.5, job_id
FROM predictq.batch_requests;
CREATE TEMPORARY TABLE singles AS
SELECT overlay(gen_random_uuid()::text PLACING
               left(predictq.first_uuid_of(now() - make_interval(secs => n / 1000.0))::text, 14) FROM 1)::uuid AS id,
       3001 + n / 10 AS batch_id, n % 10 AS row_number
FROM generate_series(0, 29999) n;
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, request_count, batch_id, row_number)
SELECT id, 'single', 'me', 1, 1, batch_id, row_number FROM singles;
INSERT INTO predictq.batch_requests (batch_id, created_at, request_count, job_ids, keys_int8)
SELECT batch_id, now() - interval '1 day' + batch_id * interval '1 s', 10, array_agg(id ORDER BY row_number),
       ARRAY(SELECT generate_series(1, 10)) FROM singles GROUP BY batch_id;
INSERT INTO predictq.batch_outputs (batch_id, created_at, model_version_id, fence, attempts, request_count, succeeded,
                                    failed, cancelled, worker, "values", threshold)
SELECT batch_id, created_at, 1, 1, 1, 10, 10, 0, 0, 'w', array_fill(0.5::float8, ARRAY[10]), 0.5
FROM predictq.batch_requests WHERE job_id IS NULL;
SELECT setval('predictq.batch_ids', 7000);
"""


@pytest.fixture(scope="module")
def large(make_database: Callable[..., str]) -> Iterator[Engine]:
    """Many pages; the tests that look at plans change nothing."""
    engine = create_engine(make_database())
    add_clients(engine, 4000)
    add_model(engine)
    with transaction(engine) as connection:
        connection.execute(text(PAGES))
    with transaction(engine) as connection:
        connection.execute(text("ANALYZE"))
    yield engine
    engine.dispose()


VIEWS = ["prediction_requests", "prediction_outputs", "prediction_trace"]
_NEWEST = {"prediction_trace": "answered_at"}


@pytest.mark.parametrize("view", VIEWS)
def test_the_newest_rows_are_read_by_time_and_no_further(large: Engine, view: str) -> None:
    """Newest first with a limit: an index backwards, and only the pages that are shown are opened."""
    plan = plan_of(large, f"SELECT * FROM predictq.{view} ORDER BY {_NEWEST.get(view, 'created_at')} DESC LIMIT 300")
    assert scanned_whole(plan) == set()
    assert rows_of(plan, "batch_outputs") <= 31  # ten rows each, and one to compare with
    assert rows_of(plan, "batch_requests") <= 31
    assert not [node for node in plan if "Sort" in node["Node Type"] and "created_at" in str(node["Sort Key"])][1:]
    assert any("created_at_idx" in node.get("Index Name", "") for node in plan)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("condition", ["batch_id = 1700", "batch_id = 1700 AND row_number = 7"])
def test_rows_of_a_batch_open_its_page_alone(large: Engine, view: str, condition: str) -> None:
    """By batch: its partition, its row, by the primary key."""
    plan = plan_of(large, f"SELECT * FROM predictq.{view} WHERE {condition}")
    assert plan[0]["Actual Rows"] == (1 if "row_number" in condition else 200)
    assert scanned_whole(plan) == set()
    assert rows_of(plan, "batch_outputs") <= 1
    assert rows_of(plan, "batch_requests") <= 1
    read = {node["Relation Name"] for node in plan if "Relation Name" in node}
    assert read <= {"batch_outputs_0", "batch_requests_0", "model_versions"}


@pytest.mark.parametrize("view", VIEWS)
def test_rows_of_a_bulk_job_open_its_pages_alone(large: Engine, view: str) -> None:
    """By job: fifty pages of three thousand, by an index."""
    with transaction(large) as connection:
        job_id = connection.execute(text("SELECT id FROM predictq.jobs WHERE first_batch_id = 1001")).scalar_one()
    plan = plan_of(large, f"SELECT * FROM predictq.{view} WHERE job_id = :id", id=job_id)
    assert plan[0]["Actual Rows"] == 10_000
    assert scanned_whole(plan) == set()
    assert rows_of(plan, "batch_outputs") <= 50
    assert rows_of(plan, "batch_requests") <= 50


@pytest.mark.parametrize("function", ["prediction", "prediction_trace"])
def test_one_answer_by_its_id_opens_one_page(large: Engine, function: str) -> None:
    """However many pages there are, the function finds its own by the primary key."""
    with transaction(large) as connection:
        before = connection.execute(text(_READ)).scalar_one()
        found = connection.execute(text(f"SELECT * FROM predictq.{function}('1700-7')")).all()
        after = connection.execute(text(_READ)).scalar_one()
    assert [row.request_id for row in found] == ["1700-7"]
    assert after - before <= 4  # an entry of an index and a row, of one or two tables


# What this transaction has read of pages so far.
_READ = """
SELECT sum(pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid)) FROM pg_class c
WHERE c.relname LIKE 'batch_%' AND c.relkind IN ('r', 'i')
"""


@pytest.mark.parametrize("view", VIEWS)
def test_a_join_with_the_clients_is_hashed(large: Engine, view: str) -> None:
    """A BI tool that joins a job's rows with their clients gets no nested loop over ten thousand rows."""
    with transaction(large) as connection:
        job_id = connection.execute(text("SELECT id FROM predictq.jobs WHERE first_batch_id = 1001")).scalar_one()
    rows_with_key = f"SELECT client_id FROM predictq.{view} WHERE job_id = :id"
    if view == "prediction_outputs":
        rows_with_key = """SELECT r.client_id FROM predictq.prediction_outputs o
                           JOIN predictq.prediction_requests r USING (batch_id, row_number)
                           WHERE o.job_id = :id AND r.job_id = :id"""
    plan = plan_of(
        large,
        f"""SELECT c.department, count(*) FROM ({rows_with_key}) p
            JOIN predictq_data.clients c ON c.client_id = p.client_id::bigint GROUP BY 1""",
        id=job_id,
    )
    assert any(node["Node Type"] == "Hash Join" for node in plan)
    clients = [node for node in plan if node.get("Relation Name") == "clients"]
    assert [node["Node Type"] for node in clients] == ["Seq Scan"]
    assert clients[0]["Actual Loops"] <= 3  # once, by whichever processes share it
    assert rows_of(plan, "batch_requests") <= 50


def _queries_of(page: str) -> list[str]:
    """The SQL that a page of the documentation tells to type."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").split("\n")
    blocks = "\n".join(line if line.startswith("    ") else "" for line in lines).split("\n\n")
    return [block for block in map(str.strip, blocks) if block.startswith("SELECT")]


def test_the_queries_of_the_upgrade_page_give_what_they_say(story: Story) -> None:
    """A single job's answer, a bulk job's answers with their owner, and what waits; none reads a page it need not."""
    of_single, of_bulk, waiting = _queries_of("upgrade.md")
    example = "01a208a7-76d9-74fb-a6a9-68511ddfcb4b"
    (answer,) = rows(story.engine, of_single.replace(example, str(story.single.job_id)))
    assert answer["request_id"] == str(story.single.request_id)
    found = rows(story.engine, of_bulk.replace(example, str(story.bulk.job_id)))
    assert [row["request_id"] for row in found] == ids_of(story.bulk, 2, 1)
    assert {row["owner"] for row in found} == {OWNER}
    assert {row["client_id"] for row in rows(story.engine, waiting)} == {"8"}


@pytest.mark.parametrize("function", ["prediction", "prediction_trace"])
def test_what_is_no_id_names_no_answer(engine: Engine, function: str) -> None:
    """As an id that nobody has: a query over a column of ids that people wrote goes on."""
    written = ["", "x", "1042", "1042-", "-7", "1042-7-1", "1042-7 ", "9" * 30 + "-0", "1-" + "9" * 12, "1042-7"]
    query = text(f"SELECT count(*) FROM unnest(:written) w, predictq.{function}(w)")
    with autocommit(engine) as connection:
        assert connection.execute(query, {"written": written}).scalar_one() == 0
