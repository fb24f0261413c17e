"""Scoring clients of any source, here and elsewhere: errors of the server end, outages wait, others are unhindered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import orjson
import pandas as pd
import pytest
from pyarrow import parquet
from sqlalchemy import Engine, text
from uuid_utils.compat import uuid7

from model.artefact import build_artefact
from model.registration import new_version
from shared.config import Settings
from shared.jobs.accepting.bulk import BulkJob, accept_keys, accept_selection
from shared.jobs.accepting.key_pages import ListedKeys
from shared.jobs.accepting.model_choice import ModelChoice
from shared.jobs.accepting.singles import Accepted, Target, accept_singles
from shared.jobs.results import copy_results, read_shape, readable
from shared.models.registry import promote_version, register_version
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.pages.errors import PageTooLarge
from shared.postgres.engine import autocommit, transaction
from shared.sources.description import source_from
from shared.sources.source import Source, add_source
from shared.status import JobStatus, Queue
from shared.watching.attention import refusing_sources
from tests.integration.jobs.planning_support import planner_process
from tests.integration.sources.source_support import connect, fetch, run, values, wanted, words
from tests.integration.stored.erasure_support import erase, key_of
from tests.integration.worker.scoring_support import results, score, trace_of
from tests.models import SIGNATURE, TestModel, right_answer
from tests.roles import as_worker
from tests.support import OWNER, add_clients, add_model, job_of, single_job, submit_bulk, wait_until
from worker.errands.kinds import make_handlers
from worker.exports.result_files import write_rows
from worker.scoring.scorer import Scorer
from worker.sources import reading
from worker.sources.circuit import Circuit
from worker.sources.describing.description import describe
from worker.sources.reader import SourceReader, _hurried

FEATURES = {"age": 30, "monthly_income": 7, "department": "Sales", "over_time": True}
TABLE = """CREATE TABLE {name} ({key}, age integer, monthly_income integer, department text, over_time boolean)"""


@pytest.fixture
def far(make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty database, which the variable FAR_URL has."""
    url = make_database(migrated=False).replace("+psycopg2", "")
    monkeypatch.setenv("FAR_URL", url)
    return url


def add(engine: Engine, url: str, table: str, *, variable: str | None = "FAR_URL", key: tuple[str, ...] = ()) -> Source:
    """Add a table of the database at `url` as the source `things`."""
    driver = connect(url)
    found = describe(driver, table, key=key)
    driver.close()
    with transaction(engine) as connection:
        return add_source(connection, source_from("things", variable, found))


def serve(engine: Engine, source: Source, signature: Signature = SIGNATURE, *, model: str = "far") -> None:
    """Make a model live that reads the source."""
    artefact = build_artefact(TestModel(), signature, 0.5, name=model)
    with transaction(engine) as connection:
        version = new_version(artefact, source_id=source.id, model=model)
        promote_version(connection, register_version(connection, version).id)


def bulk(engine: Engine, source: Source, keys: list[Any], *, model: str = "far") -> Accepted:
    job = BulkJob(uuid7(), OWNER, 100, Target(ModelChoice(model), source.key_form.storage, None, source.id))
    listed = ListedKeys([source.key_form.parse(key) for key in keys], source.key_form.storage)
    return accept_keys(engine, job, listed, len(keys))


def change(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def expire(engine: Engine) -> None:
    """Let the leases run out, and the next probe of every source be due."""
    change(
        engine, "UPDATE predictq.prediction_batches SET lease_until = now() - interval '1 s' WHERE status = 'running'"
    )
    change(engine, "UPDATE predictq.sources SET probe_at = now() - interval '1 s' WHERE probe_at IS NOT NULL")


def away(engine: Engine) -> int:
    with autocommit(engine) as connection:
        query = "SELECT count(*) FROM predictq.sources WHERE away_since IS NOT NULL"
        return int(connection.execute(text(query)).scalar_one())


ROWS = "; INSERT INTO t VALUES (1, 30, 7, 'Sales', true)"


FIRST, SECOND = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
KEYS: list[tuple[str, tuple[str, str], list[Any], Any]] = [
    ("k integer PRIMARY KEY", ("1", "2"), [2, "1", 9], 9),
    ("k text PRIMARY KEY", ("'a'", "'b'"), ["b", "a", "z"], "z"),
    ("k uuid PRIMARY KEY", (f"'{FIRST}'", f"'{SECOND}'"), [SECOND, "{00000000000000000000000000000001}"], None),
    (
        "k text, n integer, PRIMARY KEY (k, n)",
        ("'a', 1", "'b', 2"),
        [{"k": "b", "n": 2}, {"n": "1", "k": "a"}, {"k": "a", "n": 2}],
        None,
    ),
]


@pytest.mark.parametrize(("key", "made", "asked", "unknown"), KEYS, ids=["integer", "text", "uuid", "composite"])
def test_clients_of_a_source_elsewhere_are_scored(
    engine: Engine, scorer: Scorer, far: str, key: str, made: tuple[str, str], asked: list[Any], unknown: Any
) -> None:
    """By keys of any type, in the order asked, with the caller's spelling; and found by a filter in a planner."""
    driver = connect(far)
    run(driver, TABLE.format(name='"The Things"', key=key))
    run(driver, f"""INSERT INTO "The Things" VALUES ({made[0]}, 30, 7, 'Sales', true)""")
    run(driver, f"""INSERT INTO "The Things" VALUES ({made[1]}, 40, NULL, 'Sales', false)""")
    things = add(engine, far, '"The Things"')
    serve(engine, things)
    accepted = bulk(engine, things, asked)
    assert score(scorer, Queue.BULK) == ["finished"]
    rows = results(engine, accepted)
    expected = [right_answer(40, None, "Sales", False), right_answer(30, 7, "Sales", True)]
    assert [row.probability for row in rows][:2] == expected
    assert [row.error_code for row in rows][2:] == ["unknown_client"] * (len(asked) - 2)
    assert unknown is None or rows[-1].client_id == unknown
    driver.close()


def test_tables_of_results_have_a_column_for_each_part_of_a_composite_key(
    engine: Engine, scorer: Scorer, far: str
) -> None:
    """In CSV, its rows with errors, and Parquet: as the source has them. In JSON the key is an object."""
    driver = connect(far)
    run(driver, TABLE.format(name="t", key="k text, n integer, PRIMARY KEY (k, n)"))
    run(driver, "INSERT INTO t VALUES ('é', 2, 30, 7, 'Sales', true)")
    driver.close()
    things = add(engine, far, "t", key=("k", "n"))
    serve(engine, things)
    asked = [{"n": "2", "k": "é"}, {"k": "é", "n": 2}, {"k": "a,b", "n": 7}]
    expected = [("é", 2), ("é", 2), ("a,b", 7)]
    accepted = bulk(engine, things, asked)
    assert score(scorer, Queue.BULK) == ["finished"]
    lines, whole, errors, target = BytesIO(), BytesIO(), BytesIO(), BytesIO()
    with autocommit(engine) as connection:
        extent = readable(connection, accepted.job_id)
        assert extent is not None
        copy_results(connection, accepted.job_id, end=extent.end, target=lines, as_json=True)
        copy_results(connection, accepted.job_id, end=extent.end, target=whole)
        copy_results(connection, accepted.job_id, end=extent.end, target=errors, only_errors=True)
        key_columns = read_shape(connection, accepted.job_id).key_columns
    for document, rows in ((whole, expected), (errors, expected[-1:])):
        table = pd.read_csv(BytesIO(document.getvalue()))
        assert list(zip(table["key_k"], table["key_n"], strict=True)) == rows
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [row["client_id"] for row in found] == asked
    assert not any(name.startswith("key_") for row in found for name in row)
    lines.seek(0)
    assert write_rows(lines, target, "parquet", key_columns=key_columns) == 3
    table = parquet.read_table(BytesIO(target.getvalue())).to_pandas()
    assert list(zip(table["key_k"], table["key_n"], strict=True)) == expected


def test_a_filter_on_a_source_elsewhere_is_planned_and_scored(
    engine: Engine, settings: Settings, scorer: Scorer, far: str
) -> None:
    """By a planner process, in key order; text keys of any letters."""
    driver = connect(far)
    run(driver, TABLE.format(name="t", key="k text PRIMARY KEY"))
    run(
        driver, """INSERT INTO t SELECT E'k"\\\\,é' || n, 20 + n % 40, 7, 'Sales', true FROM generate_series(1, 50) n"""
    )
    things = add(engine, far, "t")
    serve(engine, things)
    target = Target(ModelChoice("far"), "text", None, things.id)
    accepted = accept_selection(engine, BulkJob(uuid7(), OWNER, 10, target), {"age": {"gte": 30, "lt": 40}})
    with planner_process(settings):
        wait_until(lambda: job_of(engine, accepted.job_id).total == 11, what="a planned job")
    assert set(score(scorer, Queue.BULK)) == {"finished"}
    assert job_of(engine, accepted.job_id).status is JobStatus.SUCCEEDED
    assert len(results(engine, accepted)) == 11
    driver.close()


@pytest.mark.parametrize(
    ("fault", "name"),
    [("raises", "InvalidTextRepresentation"), ("gone", "UndefinedTable"), ("too many columns", "TooManyColumns")],
)
def test_an_error_of_the_server_about_a_batch_ends_in_a_stated_error(
    engine: Engine, scorer: Scorer, database_url: str, fault: str, name: str
) -> None:
    """It is no outage: it would come again for ever. The text that callers get repeats no value."""
    names = [f"f{n}" for n in range(1700)] if fault == "too many columns" else ["v"]
    driver = connect(database_url)
    run(driver, "CREATE TABLE base (k integer PRIMARY KEY, v text); INSERT INTO base VALUES (1, 'hidden-7')")
    run(driver, "CREATE VIEW t AS SELECT k, v::integer AS v FROM base WHERE v IS NULL")
    run(driver, "GRANT SELECT ON t TO PUBLIC")
    things = add(engine, database_url, "t", variable=None, key=("k",))
    if fault == "raises":
        run(driver, "CREATE OR REPLACE VIEW t AS SELECT k, v::integer AS v FROM base")
    elif fault == "gone":
        run(driver, "DROP VIEW t")
    serve(engine, things, Signature(tuple(FeatureSpec(name, FeatureKind.INTEGER, nullable=True) for name in names)))
    accepted = bulk(engine, things, [1])
    outcomes: list[str] = []
    for _ in range(4):
        outcomes += scorer.work(Queue.BULK)
        expire(engine)
    assert outcomes == ["failed", "failed", "failed", "finished"]
    (row,) = results(engine, accepted)
    assert row.error_code == "source_failed"
    assert name in row.error_detail
    assert "hidden" not in row.error_detail
    with autocommit(engine) as connection:
        assert not list(
            connection.execute(text("SELECT away_since FROM predictq.sources WHERE away_since IS NOT NULL"))
        )
    driver.close()


def test_a_row_that_raises_an_error_costs_no_other_caller_her_answer(
    engine: Engine, scorer: Scorer, database_url: str
) -> None:
    """Neither in a bulk batch nor in a commit group; what the view's function says of it stays in the source."""
    driver = connect(database_url)
    run(driver, TABLE.format(name="base", key="k integer PRIMARY KEY"))
    run(driver, "INSERT INTO base SELECT n, 30, 5, 'Sales', true FROM generate_series(1, 20) n")
    run(
        driver,
        "CREATE VIEW t AS SELECT k, age, 35 / monthly_income AS monthly_income, department, over_time FROM base",
    )
    things = add(engine, database_url, "t", variable=None, key=("k",))
    serve(engine, things)
    run(driver, "UPDATE base SET monthly_income = 0 WHERE k % 5 = 0; GRANT SELECT ON t TO PUBLIC")
    target = Target(ModelChoice("far"), "int8", None, things.id)
    jobs = [single_job(engine, key, target=target) for key in (1, 5, 2)]
    with transaction(engine) as connection:
        accepted = accept_singles(connection, jobs, look_up=False)
    assert score(scorer, Queue.INTERACTIVE) == ["finished"]
    rows = [results(engine, job)[0] for job in accepted if isinstance(job, Accepted)]
    assert [row.error_code for row in rows] == [None, "source_failed", None]
    assert rows[1].error_detail == "the source fails for this client: DivisionByZero (SQLSTATE 22012)"
    listed = bulk(engine, things, list(range(1, 21)))
    assert score(scorer, Queue.BULK) == ["finished"]
    failed = [row.client_id for row in results(engine, listed) if row.error_code]
    assert failed == [5, 10, 15, 20]
    driver.close()


def test_a_source_that_is_away_costs_no_attempt_and_hinders_nobody(
    engine: Engine, scorer: Scorer, far: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its work is passed over until the next probe, work of others is done; when it is back its rows are answered."""
    driver = connect(far)
    run(
        driver, TABLE.format(name="t", key="k integer PRIMARY KEY") + "; INSERT INTO t VALUES (1, 30, 7, 'Sales', true)"
    )
    add_clients(engine, 3)
    add_model(engine)  # the first is the default
    things = add(engine, far, "t")
    serve(engine, things)
    monkeypatch.setenv("FAR_URL", "postgresql://nobody:password-1@127.0.0.1:1/none")
    waiting = [bulk(engine, things, [1]) for _ in range(3)]
    here = submit_bulk(engine, [1, 2, 3])
    outcomes = score(scorer, Queue.BULK)
    assert sorted(outcomes) == ["failed", "finished"]  # one probe; the other two batches were not even claimed
    assert job_of(engine, here.job_id).status is JobStatus.SUCCEEDED
    with autocommit(engine) as connection:
        rows = connection.execute(
            text("SELECT attempts, last_error FROM predictq.prediction_batches ORDER BY id")
        ).all()
    assert [row.attempts for row in rows] == [0, 0, 0]
    assert "password-1" not in str(rows)
    for _ in range(5):
        expire(engine)
        score(scorer, Queue.BULK)
    monkeypatch.setenv("FAR_URL", far)
    expire(engine)
    assert score(scorer, Queue.BULK)
    expire(engine)
    score(scorer, Queue.BULK)
    assert [job_of(engine, job.job_id).status for job in waiting] == [JobStatus.SUCCEEDED] * 3
    with autocommit(engine) as connection:
        assert (
            connection.execute(text("SELECT count(*) FROM predictq.sources WHERE away_since IS NOT NULL")).scalar_one()
            == 0
        )
    driver.close()


def test_calls_with_features_do_not_wait_for_a_locked_source(engine: Engine, scorer: Scorer) -> None:
    """They are no batch with those that came at the same moment and read it, and are answered first."""
    add_model(engine)
    add_clients(engine, 2)
    features = orjson.dumps(FEATURES).decode()
    with engine.connect() as other:
        other.execute(text("ALTER TABLE predictq_data.clients ADD COLUMN note text"))  # and does not end
        with autocommit(engine) as connection:
            jobs = [single_job(engine, 1), single_job(engine, None, features=features), single_job(engine, 2)]
            keyed, given, _ = accept_singles(connection, jobs, look_up=False)
        assert isinstance(keyed, Accepted)
        assert isinstance(given, Accepted)
        assert score(scorer) == ["finished", "failed"]
        assert job_of(engine, given.job_id).status is JobStatus.SUCCEEDED
        assert job_of(engine, keyed.job_id).status is not JobStatus.SUCCEEDED
        other.rollback()
    expire(engine)
    change(engine, "UPDATE predictq.prediction_batches SET lease_until = now()")
    assert score(scorer) == ["finished"]
    assert job_of(engine, keyed.job_id).status is JobStatus.SUCCEEDED


def test_calls_for_a_source_that_is_away_are_passed_over(engine: Engine, scorer: Scorer) -> None:
    """They take no message of calls that bring their features, nor of other models; after the next probe they go on."""
    add_model(engine)
    add_clients(engine, 2)
    change(engine, "UPDATE predictq.sources SET away_since = now(), probe_at = now() + interval '1 hour', probes = 1")
    keyed = [single_job(engine, 1), single_job(engine, 2)]
    with autocommit(engine) as connection:
        for job in keyed:
            accept_singles(connection, [job], look_up=False)
        given = single_job(engine, None, features=orjson.dumps(FEATURES).decode())
        accept_singles(connection, [given])
    change(
        engine,
        "UPDATE predictq.prediction_batches SET status = 'running', fence = 1, worker = 'w', "
        "lease_until = now() - interval '1 s' WHERE id = (SELECT min(id) FROM predictq.prediction_batches)",
    )
    assert scorer.work(Queue.INTERACTIVE) == ["finished"]
    assert job_of(engine, given.job_id).status is JobStatus.SUCCEEDED
    assert scorer.work(Queue.INTERACTIVE) == ["not_needed"]
    change(engine, "UPDATE predictq.sources SET probe_at = now() - interval '1 s'")
    assert scorer.work(Queue.INTERACTIVE) == ["finished", "finished"]  # one message, though one had been claimed before
    assert away(engine) == 0


def test_processes_that_find_a_source_away_at_once_are_one_finding(engine: Engine) -> None:
    """The next look comes after a second, not after eight; each probe that fails doubles that."""
    add_clients(engine, 1)
    circuit = Circuit(as_worker(engine), 3600)

    def pause() -> float:
        with autocommit(engine) as connection:
            return float(connection.execute(text(
                "SELECT extract(epoch FROM probe_at - clock_timestamp()) FROM predictq.sources"
            )).scalar_one())  # fmt: skip

    for _ in range(4):
        circuit.open(1)
    assert 0 < pause() <= 1
    assert not circuit.take_probe(1)
    change(engine, "UPDATE predictq.sources SET probe_at = now() - interval '1 s'")
    assert circuit.take_probe(1)
    circuit.open(1, is_probe=True)
    assert 1 < pause() <= 2


@pytest.mark.parametrize(
    ("alteration", "repair"),
    [
        ("ALTER TABLE t RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO t"),
        ("ALTER TABLE t ALTER k TYPE text", "ALTER TABLE t ALTER k TYPE integer USING k::integer"),
    ],
)
def test_a_source_that_was_altered_is_noted_until_it_is_read_again(
    engine: Engine, scorer: Scorer, far: str, alteration: str, repair: str
) -> None:
    """Its rows end in an error at once, and whoever can do something about it is told, until it is mended."""
    driver = connect(far)
    run(
        driver, TABLE.format(name="t", key="k integer PRIMARY KEY") + "; INSERT INTO t VALUES (1, 30, 7, 'Sales', true)"
    )
    things = add(engine, far, "t")
    serve(engine, things)

    def refusing() -> list[str]:
        with autocommit(engine) as connection:
            return [need.about["source"] for need in refusing_sources(connection)]

    run(driver, alteration)
    job = bulk(engine, things, [1])
    while "finished" not in (done := score(scorer, Queue.BULK)):
        assert set(done) == {"failed"}
        change(engine, "UPDATE predictq.prediction_batches SET lease_until = now()")
    (row,) = results(engine, job)
    assert row.error_code is not None
    assert refusing() == [things.name]
    run(driver, repair)
    again = bulk(engine, things, [1])
    assert score(scorer, Queue.BULK) == ["finished"]
    (row,) = results(engine, again)
    assert (row.error_code, refusing()) == (None, [])


def test_a_lock_is_waited_for_as_long_as_the_most_impatient_says(engine: Engine) -> None:
    """Who set the source up, or whoever reads for a single call."""
    driver = connect(engine.url.render_as_string(hide_password=False).replace("+psycopg2", ""))
    run(driver, TABLE.format(name="t", key="k integer PRIMARY KEY"))
    found = source_from("things", None, describe(driver, "t"))
    driver.close()
    waits = [
        _hurried(replace(found, settings={**found.settings, **own}), seconds).settings.get("lock_seconds")
        for own, seconds in (({}, None), ({}, 1.0), ({"lock_seconds": 0.2}, 1.0), ({"lock_seconds": 9}, 1.0))
    ]
    assert waits == [None, 1.0, 0.2, 1.0]


def test_a_source_that_is_away_for_too_long_ends_its_rows(
    engine: Engine, scorer: Scorer, far: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the patience, in a stated error; one that comes back then is noticed all the same."""
    driver = connect(far)
    run(
        driver, TABLE.format(name="t", key="k integer PRIMARY KEY") + "; INSERT INTO t VALUES (1, 30, 7, 'Sales', true)"
    )
    things = add(engine, far, "t")
    serve(engine, things)
    monkeypatch.setenv("FAR_URL", "postgresql://127.0.0.1:1/none")
    first = bulk(engine, things, [1])
    assert score(scorer, Queue.BULK) == ["failed"]
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE predictq.sources SET away_since = now() - interval '2 hours' WHERE away_since IS NOT NULL")
        )
    expire(engine)
    assert score(scorer, Queue.BULK) == ["finished"]
    (row,) = results(engine, first)
    assert row.error_code == "source_unavailable"
    second = bulk(engine, things, [1])
    assert score(scorer, Queue.BULK) == ["finished"]  # at once, without a probe
    assert results(engine, second)[0].error_code == "source_unavailable"
    monkeypatch.setenv("FAR_URL", far)
    expire(engine)
    third = bulk(engine, things, [1])
    assert score(scorer, Queue.BULK) == ["finished"]
    assert job_of(engine, third.job_id).status is JobStatus.SUCCEEDED
    driver.close()


def test_work_that_no_worker_can_load_ends_after_a_while(engine: Engine, scorer: Scorer) -> None:
    """Not before; and not while a worker that can is alive."""
    add_clients(engine, 1)
    with transaction(engine) as connection:
        version = new_version(build_artefact(TestModel(), SIGNATURE, 0.5, name="far"), source_id=1)
        promote_version(connection, register_version(connection, replace(version, requirements="of_nobody")).id)
    accepted = submit_bulk(engine, [1])
    assert score(scorer, Queue.BULK) == []
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.prediction_batches SET created_at = now() - interval '2 hours'"))
        connection.execute(text("INSERT INTO predictq.workers (name, requirements) VALUES ('other', '{of_nobody}')"))
    scorer.next_look.clear()
    assert score(scorer, Queue.BULK) == []
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.workers SET heartbeat_at = now() - interval '10 minutes'"))
    scorer.next_look.clear()
    assert score(scorer, Queue.BULK) == ["finished"]
    (row,) = results(engine, accepted)
    assert row.error_code == "model_unavailable"


def test_a_source_that_is_too_slow_by_key_is_read_along_with_its_keys(
    engine: Engine, settings: Settings, scorer: Scorer, far: str
) -> None:
    """In the plan's one pass; exactly what reading by key gives, and a value that does not fit costs its row."""
    driver = connect(far)
    kinds = "k text, n numeric, r real, d float8, b bigint, t boolean, w text, day date, z timestamptz, c char(4)"
    run(driver, f"""CREATE TABLE t ({kinds}, "odd ""name'%s" integer)""")
    run(
        driver,
        r"""INSERT INTO t VALUES (E'a"\\', 5436249914.65, 0.64, 0.1::float8 + 0.2, 9007199254740992, true, E'x"\\\n\té',
        '2025-02-01', '2025-02-01 10:20:30.5+02', 'ab', 7),
        ('b', NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL),
        ('c', 'NaN', 1, 1, 1, false, 'c', '2025-02-01', 'epoch', '', 1),
        ('d', 1, 1, 1, 1, false, 'c', 'infinity', 'epoch', 'abcd', 1)""",
    )
    things = add(engine, far, "t", key=("k",))
    features = tuple(
        FeatureSpec(column.name, kind, nullable=True, dtype=dtype)
        for column, (kind, dtype) in zip(things.columns, SCANNED, strict=True)
    )
    serve(engine, things, Signature(features))
    by_key = bulk(engine, things, ['a"\\', "b", "c", "d"])
    change(engine, f"UPDATE predictq.sources SET is_scan = true WHERE id = {things.id}")
    scanned = accept_selection(
        engine, BulkJob(uuid7(), OWNER, 10, Target(ModelChoice("far"), "text", None, things.id)), {}
    )
    with planner_process(settings):
        wait_until(lambda: job_of(engine, scanned.job_id).total == 4, what="a planned job")
    with autocommit(engine) as connection:
        given = connection.execute(
            text("SELECT given FROM predictq.batch_requests WHERE given IS NOT NULL")
        ).scalar_one()
    first = json.loads(given[0])
    assert (first["n"], first["r"], first["d"], first["b"]) == (5436249914.65, 0.64, 0.30000000000000004, 2**53)
    assert first["c"] == "ab  "
    assert (first["w"], first["odd \"name'%s"]) == ('x"\\\n\té', 7)
    score(scorer, Queue.BULK)
    errors = [[row.error_code for row in results(engine, job)] for job in (by_key, scanned)]
    assert errors[0] == errors[1]
    assert errors[0][2:] == ["invalid_feature", "invalid_feature"]
    with autocommit(engine) as connection:
        pages = (
            connection.execute(text("SELECT features FROM predictq.batch_outputs ORDER BY batch_id")).scalars().all()
        )
    assert bytes(pages[0]) == bytes(pages[1])
    driver.close()


@pytest.mark.parametrize("is_scan", [False, True])
def test_rows_that_share_a_key_are_ambiguous_however_they_are_read(
    engine: Engine, settings: Settings, scorer: Scorer, far: str, *, is_scan: bool
) -> None:
    """A view may get a second row of a key after it was added: a plan asks for the key once, and nobody is scored."""
    driver = connect(far)
    run(driver, TABLE.format(name="t", key="k text") + "; CREATE VIEW v AS SELECT * FROM t")
    run(
        driver,
        "INSERT INTO t VALUES ('a', 30, 7, 'Sales', true), ('b', 30, 7, 'Sales', true), ('c', 30, 7, 'Sales', true)",
    )
    things = add(engine, far, "v", key=("k",))
    serve(engine, things)
    run(driver, "INSERT INTO t VALUES ('b', 40, 7, 'Sales', true)")
    change(engine, f"UPDATE predictq.sources SET is_scan = {is_scan} WHERE id = {things.id}")
    by_key = bulk(engine, things, ["a", "b", "c"])
    job = BulkJob(uuid7(), OWNER, 10, Target(ModelChoice("far"), "text", None, things.id))
    planned = accept_selection(engine, job, {})
    with planner_process(settings):
        wait_until(lambda: job_of(engine, planned.job_id).total is not None, what="a planned job")
    score(scorer, Queue.BULK)
    found = [
        [(row.client_id, row.probability, row.error_code, row.error_detail) for row in results(engine, job)]
        for job in (by_key, planned)
    ]
    assert found[0] == found[1]
    assert [row[2] for row in found[0]] == [None, "ambiguous_key", None]
    driver.close()


LETTERED = [
    ("LOCALE_PROVIDER libc LOCALE 'C'", ["É1", "é1", "Ab"], []),
    ("LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST'", ["É1", "İx", "ΟΔΟΣ", "οδοσ", "Ab"], ["İx", "ΟΔΟΣ"]),
]


@pytest.mark.parametrize("is_scan", [False, True])
@pytest.mark.parametrize(("locale", "words", "strange"), LETTERED, ids=["C", "full"])
def test_citext_of_any_locale_is_one_client_for_answers_and_erasure(
    engine: Engine,
    settings: Settings,
    scorer: Scorer,
    far: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    locale: str,
    words: list[str],
    strange: list[str],
    is_scan: bool,
) -> None:
    """A key is answered with its own row or refused with words, by list and by plan; erased, it takes nobody along."""
    admin, name = connect(far), f"lettered_{uuid7().hex}"
    run(admin, f"CREATE DATABASE {name} TEMPLATE template0 {locale}")
    url = f"{far.rpartition('/')[0]}/{name}"
    monkeypatch.setenv("FAR_URL", url)
    driver = connect(url)
    run(driver, "CREATE EXTENSION citext; " + TABLE.format(name="t", key="k citext PRIMARY KEY"))
    for number, word in enumerate(words):
        run(driver, "INSERT INTO t VALUES (%s, %s, 7, 'Sales', true)", word, 20 + number)
    things = add(engine, url, "t")
    serve(engine, things)
    change(engine, f"UPDATE predictq.sources SET is_scan = {is_scan} WHERE id = {things.id}")
    keys = {things.key_form.parse(word).canonical: word for word in words}
    listed = bulk(engine, things, words)
    job = BulkJob(uuid7(), OWNER, 10, Target(ModelChoice("far"), "text", None, things.id))
    planned = accept_selection(engine, job, {})
    with planner_process(settings):
        wait_until(lambda: job_of(engine, planned.job_id).total is not None, what="a planned job")
    score(scorer, Queue.BULK)
    expected = {
        word: (None, "invalid_key") if word in strange else (right_answer(20 + number, 7, "Sales", True), None)
        for number, word in enumerate(words)
    }

    def answers() -> list[dict[str, Any]]:
        both = [{row.client_id: row for row in results(engine, job)} for job in (listed, planned)]
        refused = [row.error_detail for rows in both for row in rows.values() if row.error_code == "invalid_key"]
        assert all("a view whose key is text" in detail for detail in refused)
        return [
            {keys.get(str(client), str(client)): (row.probability, row.error_code) for client, row in rows.items()}
            for rows in both
        ]

    assert answers() == [expected, expected]
    read = make_handlers(as_worker(engine))["read_features"]
    for key, word in keys.items():
        found = read({"source_id": things.id, "key": key})
        assert found["features"]["age"] == 20 + words.index(word)
    if strange:
        assert not read({"source_id": things.id, "key": things.key_form.parse("i̇x").canonical})["found"]
    erase(engine, key_of(engine, words[-2], "things"))
    left = {word: what for word, what in expected.items() if word != words[-2]}
    for found in answers():
        assert {word: what for word, what in found.items() if word in left} == left
        assert not any(word not in left and what != (None, "erased") for word, what in found.items())
    driver.close()
    run(admin, f"DROP DATABASE {name} WITH (FORCE)")
    admin.close()


def test_what_is_read_along_is_what_reading_by_key_makes_of_a_column_of_another_type(
    engine: Engine, settings: Settings, scorer: Scorer, far: str
) -> None:
    """A flag as a number or a word, 0 and 1 as a flag, a number as a word; what is no flag costs its row.

    The sign of a zero stays.
    """
    driver = connect(far)
    run(
        driver,
        "CREATE TABLE t (k text, n boolean, w boolean, f integer, c integer, i numeric, z float8, r real, x text)",
    )
    run(driver, "INSERT INTO t VALUES ('a', true, true, 1, 5, 7.0), ('b', false, false, 0, NULL, NULL)")
    run(driver, "INSERT INTO t VALUES ('c', true, true, 2, 5, 7), ('d', NULL, NULL, NULL, 5, 8)")
    run(driver, "UPDATE t SET z = '-0', r = '-0', x = ':-0,' WHERE k <> 'b'; UPDATE t SET z = 0, r = 0 WHERE k = 'b'")
    things = add(engine, far, "t", key=("k",))
    kinds = [FeatureKind.INTEGER, FeatureKind.CATEGORY, FeatureKind.BOOLEAN, FeatureKind.CATEGORY, FeatureKind.INTEGER]
    kinds += [FeatureKind.NUMBER, FeatureKind.NUMBER, FeatureKind.CATEGORY]
    features = [
        FeatureSpec(column.name, kind, nullable=True) for column, kind in zip(things.columns, kinds, strict=True)
    ]
    serve(engine, things, Signature(tuple(features)))
    by_key = bulk(engine, things, ["a", "b", "c", "d"])
    change(engine, f"UPDATE predictq.sources SET is_scan = true WHERE id = {things.id}")
    scanned = accept_selection(
        engine, BulkJob(uuid7(), OWNER, 10, Target(ModelChoice("far"), "text", None, things.id)), {}
    )
    with planner_process(settings):
        wait_until(lambda: job_of(engine, scanned.job_id).total == 4, what="a planned job")
    score(scorer, Queue.BULK)
    errors = [[row.error_code for row in results(engine, job)] for job in (by_key, scanned)]
    assert errors[0] == errors[1]
    assert [error == "invalid_feature" for error in errors[0]] == [False, False, True, False]
    with autocommit(engine) as connection:
        pages = (
            connection.execute(text("SELECT features FROM predictq.batch_outputs ORDER BY batch_id")).scalars().all()
        )
    features_from = trace_of(engine, results(engine, scanned)[0].request_id).features_from
    assert bytes(pages[0]) == bytes(pages[1])
    assert features_from == things.name  # nobody sent them
    driver.close()


SCANNED = [
    (FeatureKind.NUMBER, ""),
    (FeatureKind.NUMBER, ""),
    (FeatureKind.NUMBER, ""),
    (FeatureKind.INTEGER, ""),
    (FeatureKind.BOOLEAN, ""),
    (FeatureKind.CATEGORY, ""),
    (FeatureKind.DATETIME, ""),
    (FeatureKind.DATETIME, "datetime64[us, UTC]"),
    (FeatureKind.CATEGORY, ""),
    (FeatureKind.INTEGER, ""),
]


@pytest.mark.parametrize("is_far", [False, True])
def test_features_above_what_a_page_may_have_end_in_a_stated_error(
    engine: Engine, scorer: Scorer, database_url: str, far: str, *, is_far: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first attempt, with what to set. What is too much to be read ends so, too, and the next batch is read."""
    url = far if is_far else database_url
    driver = connect(url)
    run(driver, "CREATE TABLE t (k integer PRIMARY KEY, v text)")
    run(driver, "INSERT INTO t SELECT n, n || repeat('x', 1000000) FROM generate_series(1, 70) n")
    run(driver, "GRANT SELECT ON t TO PUBLIC")
    things = add(engine, url, "t", variable="FAR_URL" if is_far else None)
    serve(engine, things, Signature((FeatureSpec("v", FeatureKind.CATEGORY, nullable=True),)))
    too_large = bulk(engine, things, list(range(1, 71)))
    assert score(scorer, Queue.BULK) == ["finished"]
    rows = results(engine, too_large)
    assert {row.error_code for row in rows} == {"features_too_large"}
    assert "PREDICTQ_BULK_BATCH_ROWS" in rows[0].error_detail
    assert "sources check" in rows[0].error_detail
    monkeypatch.setattr(reading, "MOST_BYTES", 2_000_000)
    unread, small = bulk(engine, things, [1, 2]), bulk(engine, things, [3])
    assert score(scorer, Queue.BULK) == ["finished", "finished"]
    assert {row.error_code for row in results(engine, unread)} == {"features_too_large"}
    # It was read: what it lacks is a column that the test's model asks for.
    assert {row.error_code for row in results(engine, small)} == {"model_failed"}
    driver.close()


def test_a_reading_that_is_given_up_holds_no_connection(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its statement ends at once, whatever it would still send, and the next reading over the pool has a line."""
    driver = connect(database_url)
    run(driver, "CREATE TABLE t (k integer PRIMARY KEY, v text)")
    run(driver, "INSERT INTO t SELECT n, n || repeat('x', 1000000) FROM generate_series(1, 70) n")
    things, signature = add(engine, database_url, "t", variable=None), words("v")
    reader = SourceReader(engine)
    monkeypatch.setattr(reading, "MOST_BYTES", 2_000_000)
    with pytest.raises(PageTooLarge):
        reader.read(things.id, signature, wanted(list(range(1, 71))))
    sending = (
        "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%COPY (%' AND pid <> pg_backend_pid()"
    )
    wait_until(lambda: not fetch(driver, sending), what="the end of the reading")
    assert len(values(reader.read(things.id, signature, wanted([7])))[0]) == 1_000_001
    driver.close()
