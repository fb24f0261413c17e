"""What must not happen by mistake the database refuses, in the tables and in each of their partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg2.errors
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from shared.postgres.engine import transaction
from shared.status import Queue
from tests.integration.jobs.jobs_support import answer, take
from tests.support import add_clients, add_model, submit_bulk, submit_singles


def fill(engine: Engine) -> Engine:
    """A single and a bulk job that are answered, and one that waits."""
    add_clients(engine, 3)
    add_model(engine)
    submit_singles(engine, [1])
    answer(engine, take(engine, Queue.INTERACTIVE))
    submit_bulk(engine, [1, 2])
    answer(engine, take(engine), errors=1)
    submit_bulk(engine, [3])
    return engine


@pytest.fixture
def answered(engine: Engine) -> Engine:
    """A database of the test's own, with work in it."""
    return fill(engine)


@pytest.fixture(scope="module")
def kept(make_database: Callable[..., str]) -> Iterator[Engine]:
    """The same for all tests of the module that change nothing, because all that they try is refused."""
    engine = create_engine(make_database())
    yield fill(engine)
    engine.dispose()


def run(engine: Engine, *statements: str) -> None:
    with transaction(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))


def refused(engine: Engine, statement: str, words: str) -> None:
    with pytest.raises(DBAPIError, match=words):
        run(engine, statement)


def one(engine: Engine, query: str) -> object:
    with transaction(engine) as connection:
        return connection.execute(text(query)).scalar_one()


def partition_of(engine: Engine, table: str) -> str:
    """The partition that holds the newest row of a table."""
    return str(one(engine, f"SELECT tableoid::regclass FROM predictq.{table} ORDER BY created_at DESC LIMIT 1"))


_PAGES = {"batch_requests": "request_count = request_count", "batch_outputs": "succeeded = succeeded"}


@pytest.mark.parametrize("in_partition", [False, True], ids=["table", "partition"])
@pytest.mark.parametrize("table", list(_PAGES))
@pytest.mark.parametrize("statement", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {}"])
def test_a_page_never_changes(kept: Engine, table: str, statement: str, in_partition: bool) -> None:
    """No page of requests or answers is changed or removed, whichever table is named."""
    name = partition_of(kept, table) if in_partition else f"predictq.{table}"
    before = one(kept, f"SELECT md5(string_agg(t::text, ',' ORDER BY batch_id)) FROM predictq.{table} t")
    refused(kept, statement.format(name, _PAGES[table]), "append-only, answers must stay traceable")
    assert one(kept, f"SELECT md5(string_agg(t::text, ',' ORDER BY batch_id)) FROM predictq.{table} t") == before


@pytest.mark.parametrize("in_partition", [False, True], ids=["table", "partition"])
@pytest.mark.parametrize("table", list(_PAGES))
def test_upkeep_may_change_pages_and_says_so(answered: Engine, table: str, in_partition: bool) -> None:
    """Who sets predictq.upkeep for her transaction may change and delete; never truncate, and not beyond it."""
    name = partition_of(answered, table) if in_partition else f"predictq.{table}"
    allow = "SET LOCAL predictq.upkeep = on"
    run(answered, allow, f"UPDATE {name} SET {_PAGES[table]}")
    with pytest.raises(DBAPIError, match="TRUNCATE on"):
        run(answered, allow, f"TRUNCATE {name}")
    run(answered, allow, f"DELETE FROM {name} WHERE batch_id = 1")
    assert one(answered, f"SELECT min(batch_id) FROM predictq.{table}") == 2
    refused(answered, f"DELETE FROM {name}", "append-only")
    for no in ("off", "ON?", "true"):
        with pytest.raises(DBAPIError, match="append-only"):
            run(answered, f"SET LOCAL predictq.upkeep = '{no}'", f"DELETE FROM {name}")


@pytest.mark.parametrize("table", ["jobs", "prediction_batches", "batch_requests", "batch_outputs", "model_versions"])
def test_nothing_is_truncated(kept: Engine, table: str) -> None:
    """TRUNCATE fires no row's trigger: it has one of its own."""
    refused(kept, f"TRUNCATE predictq.{table} CASCADE", "TRUNCATE on")


def test_a_job_is_not_deleted(answered: Engine) -> None:
    """A job goes with its retention alone."""
    refused(answered, "DELETE FROM predictq.jobs", "append-only")
    run(answered, "SET LOCAL predictq.upkeep = on", "DELETE FROM predictq.jobs WHERE kind = 'single'")
    assert one(answered, "SELECT count(*) FROM predictq.jobs") == 2


@pytest.mark.parametrize("in_partition", [False, True], ids=["table", "partition"])
def test_a_job_stays_its_owners(answered: Engine, in_partition: bool) -> None:
    """Whoever rewrote that would read another's answers: not even upkeep may, whichever table is named."""
    name = partition_of(answered, "jobs") if in_partition else "predictq.jobs"
    refused(answered, f"UPDATE {name} SET owner = 'somebody else'", "owner of a job")
    with pytest.raises(DBAPIError, match="owner of a job"):
        run(answered, "SET LOCAL predictq.upkeep = on", f"UPDATE {name} SET owner = 'somebody else'")
    run(answered, f"UPDATE {name} SET name = 'May'")


def test_what_was_done_stays_in_the_audit_log(answered: Engine) -> None:
    """A line of the audit log is neither changed nor removed."""
    run(answered, "INSERT INTO predictq.audit_log (actor_kind, actor, action) VALUES ('key', 'me', 'test')")
    for statement in ("UPDATE {} SET actor = 'you'", "DELETE FROM {}", "TRUNCATE {}"):
        refused(answered, statement.format("predictq.audit_log"), "append-only")


_NAMED = (
    "INSERT INTO predictq.models (name, task) VALUES ('{name}', 'binary')",
    """INSERT INTO predictq.sources (name, relation_schema, relation_name, key_columns, key_storage)
    VALUES ('{name}', 'public', 't{number}', '[]', 'int8')""",
)


def test_models_are_immutable_and_one_is_live(answered: Engine) -> None:
    """What makes a version's answers never changes; it goes out of service, and only then without its bytes."""
    refused(answered, "UPDATE predictq.model_versions SET threshold = 0.4", "immutable: register a new version")
    refused(answered, "UPDATE predictq.model_versions SET artefact = 'x'", "immutable")
    refused(answered, "UPDATE predictq.model_versions SET artefact = NULL", "immutable|bytes_until_retired")
    refused(answered, "UPDATE predictq.model_versions SET retired_at = now()", "bytes_until_retired")
    refused(answered, "DELETE FROM predictq.model_versions", "append-only")
    refused(
        answered, "INSERT INTO predictq.models (name, task, is_default) VALUES ('b', 'binary', true)", "one_default"
    )
    run(answered, "UPDATE predictq.model_versions SET state = 'checked', checked_at = now()")
    run(answered, "UPDATE predictq.model_versions SET state = 'retired', retired_at = now(), artefact = NULL")


@pytest.mark.parametrize("statement", _NAMED)
def test_a_name_may_begin_with_any_letter(engine: Engine, statement: str) -> None:
    """In a database of any locale, of which C knows the letters of ASCII alone."""
    for number, name in enumerate(("churn", "étude", "Ökonomie", "客户")):
        run(engine, statement.format(name=name, number=number))
    for name in ("", "1st", "_x", " x", "<b>", "a\nb", "x" * 101):
        refused(engine, statement.format(name=name, number=9), "check constraint")


_OUTPUT = """
INSERT INTO predictq.batch_outputs (batch_id, model_version_id, fence, attempts, request_count, succeeded, failed,
    cancelled, worker, "values", error_rows, error_codes, error_details)
VALUES (50, 1, {fence}, 1, 2, {counts}, {worker}, {values}, {errors})
"""
_GOOD_OUTPUT = {"fence": "1", "counts": "1, 1, 0", "worker": "'w'", "values": "'{0.5,NULL}'"}
_GOOD_ERRORS = "'{1}', '{c}', '{d}'"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"counts": "1, 0, 0"}, "account_for_each_row"),
        ({"counts": "3, -1, 0"}, "failed_check"),
        ({"values": "'{0.5}'"}, "answer_or_cancelled"),  # a row without its place
        ({"values": "NULL"}, "answer_or_cancelled"),  # no answers, and not cancelled
        ({"fence": "0"}, "answer_or_cancelled"),  # an answer that nobody claimed
        ({"worker": "NULL"}, "answer_or_cancelled"),
        ({"errors": "NULL, NULL, NULL"}, "state_their_errors"),  # a failed row without a word
        ({"errors": "'{1}', '{c}', NULL"}, "state_their_errors"),
        ({"errors": "'{1}', '{c,c}', '{d}'"}, "state_their_errors"),
    ],
)
def test_a_page_of_answers_accounts_for_each_row(kept: Engine, change: dict[str, str], words: str) -> None:
    """A page that is neither whole answers and stated errors nor a cancellation is refused by the database itself."""
    refused(kept, _OUTPUT.format(**{**_GOOD_OUTPUT, "errors": _GOOD_ERRORS, **change}), words)


def test_a_batch_is_answered_once(answered: Engine) -> None:
    """A second page of a batch is refused by the database itself."""
    good = _OUTPUT.format(**_GOOD_OUTPUT, errors=_GOOD_ERRORS)
    run(answered, good)
    refused(answered, good, "batch_outputs_0_pkey")


@pytest.mark.parametrize(
    ("columns", "values", "words"),
    [
        ("keys_int8", "'{1,2}'", "have_their_jobs"),  # whose?
        ("job_id, job_ids, keys_int8", "uuid(1), ARRAY[uuid(1), uuid(2)], '{1,2}'", "have_their_jobs"),
        ("job_ids, keys_int8", "ARRAY[uuid(1)], '{1,2}'", "have_their_jobs"),
        ("job_id", "uuid(1)", "name_clients_or_give"),
        ("job_id, keys_int8", "uuid(1), '{1}'", "name_clients_or_give"),
        ("job_id, keys_int8, keys_text", "uuid(1), '{1,2}', '{a,b}'", "name_clients_or_give"),
        ("job_id, given", "uuid(1), '{a}'", "name_clients_or_give"),
    ],
)
def test_a_page_of_requests_has_a_job_and_a_client_per_row(kept: Engine, columns: str, values: str, words: str) -> None:
    """Two rows have two keys, or features given, and one job or two: anything else is refused."""
    for number in (1, 2):
        values = values.replace(f"uuid({number})", f"'00000000-0000-0000-0000-00000000000{number}'::uuid")
    columns = f"batch_id, request_count, {columns}"
    refused(kept, f"INSERT INTO predictq.batch_requests ({columns}) VALUES (50, 2, {values})", words)


_BATCH = "INSERT INTO predictq.prediction_batches (queue, model_version_id, request_count{}) VALUES ({}, 1, {}{})"


@pytest.mark.parametrize(
    ("queue", "rows", "columns", "values", "words"),
    [
        ("'lane'", "1", "", "", "queue_check"),
        ("'bulk'", "0", "", "", "only_plans_are_empty"),
        ("'bulk'", "100001", "", "", "request_count_check"),
        ("'bulk'", "1", ", status", ", 'running'", "running_has_lease"),
        ("'bulk'", "1", ", lease_until", ", now()", "running_has_lease"),
        ("'bulk'", "1", ", fence", ", 1", "claimed_has_worker"),
        ("'bulk'", "1", ", status", ", 'finished'", "status_check"),
        ("'bulk'", "1", ", owner", ", 'me'", "of_a_job_have_its_owner"),
    ],
)
def test_an_open_batch_is_queued_or_held(
    kept: Engine, queue: str, rows: str, columns: str, values: str, words: str
) -> None:
    """Work that is open waits, or somebody has it under a lease."""
    refused(kept, _BATCH.format(columns, queue, rows, values), words)


_JOB = "INSERT INTO predictq.jobs (id, owner, model_version_id, {}) VALUES (predictq.first_uuid_of(now()), 'me', 1, {})"


@pytest.mark.parametrize(
    ("columns", "values", "words"),
    [
        ("kind, request_count", "'single', 1", "single_has_its_row"),
        ("kind, batch_id, row_number, request_count", "'single', 1, 0, 2", "single_has_its_row"),
        ("kind, request_count", "'bulk', 1", "single_has_its_row"),
        ("kind, first_batch_id, request_count, status", "'bulk', 1, 1, 'succeeded'", "ended_has_time"),
        (
            "kind, first_batch_id, request_count, status, finished_at, succeeded, failed, cancelled",
            "'bulk', 1, 2, 'succeeded', now(), 1, 0, 0",
            "ended_bulk_has_counts",
        ),
        (
            "kind, batch_id, row_number, request_count, status, finished_at",
            "'single', 1, 0, 1, 'cancelled', now()",
            "cancelled_has_time",
        ),
    ],
)
def test_a_job_that_has_ended_says_how(kept: Engine, columns: str, values: str, words: str) -> None:
    """An end has its time, and that of a bulk job counts that add up."""
    refused(kept, _JOB.format(columns, values), words)


def test_impossible_feature_values_are_refused(engine: Engine) -> None:
    """A value outside a feature's range does not get into the sample's table."""
    with pytest.raises(IntegrityError, match="clients_age_check") as caught:
        run(engine, "INSERT INTO predictq_data.clients (client_id, age) VALUES (9, 7)")
    assert isinstance(caught.value.orig, psycopg2.errors.CheckViolation)
