"""The errands about sources, on a real PostgreSQL: what they find, whose turn it is, how one elsewhere is reached."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812
from sqlalchemy import Engine

from shared.config import Settings
from shared.errands import claim_errand, extend_errand, finish_errand, read, submit, wait, withdraw
from shared.postgres.engine import autocommit, transaction
from shared.sources.description import source_from
from shared.sources.source import Source, add_source, get_source
from shared.watching.workers import Worker, beat
from tests.integration.sources.source_support import fetch, run
from tests.models import TestModel
from tests.roles import as_worker
from tests.support import ROOT, add_clients, add_model, environment, stop
from worker.errands.kinds import make_handlers
from worker.errands.runner import ErrandRunner
from worker.models.loadable import Loadable
from worker.sources.failures import SourceAway


@pytest.fixture
def here(make_database: Callable[..., str], engine: Engine) -> Engine:
    """Predictq's own database, with the sample's clients."""
    add_clients(engine, 30)
    return engine


def do(engine: Engine, kind: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What became of an errand that a runner did."""
    with transaction(engine) as connection:
        errand_id = submit(connection, kind, "tester", arguments)
    assert ErrandRunner(
        as_worker(engine), make_handlers(as_worker(engine)), worker="w", stopped=threading.Event()
    ).do_next()
    found = wait(engine, errand_id, seconds=1)
    assert found is not None
    assert found.result is not None
    return found.status, found.result


def test_a_source_elsewhere_is_described_counted_and_checked_by_errands(
    here: Engine, driver: PsycopgConnection, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of a variable; what changed is said, and which live model that breaks."""
    monkeypatch.setenv("CRM_URL", address)
    run(
        driver,
        "CREATE TABLE t (k uuid PRIMARY KEY, age integer, over_time boolean); "
        "INSERT INTO t SELECT gen_random_uuid(), n FROM generate_series(1, 9) n",
    )
    status, found = do(here, "describe_source", {"url_variable": "CRM_URL", "table": "t"})
    assert (status, found["rows"], found["key"]) == ("done", 9, [{"name": "k", "type": "uuid"}])
    with transaction(here) as connection:
        added = add_source(connection, source_from("far", "CRM_URL", found))
    assert do(here, "count", {"source_id": added.id, "where": {"age": {"gt": 3}}}) == (
        "done",
        {"count": 6, "first_keys": None},
    )
    status, refused = do(here, "count", {"source_id": added.id, "where": {"nothing": 3}})
    assert (status, refused["code"]) == ("failed", "filter_refused")
    run(driver, "ALTER TABLE t DROP COLUMN over_time, ALTER COLUMN age TYPE text, ADD COLUMN more date")
    status, checked = do(here, "check_source", {"source_id": added.id})
    assert checked["changes"] == [
        "age was integer and is text.",
        "over_time is gone, or may not be read any more.",
        "more is new.",
    ]
    with autocommit(here) as connection:
        assert [column.name for column in get_source(connection, added.id).columns] == ["age", "more"]
    monkeypatch.delenv("CRM_URL")
    status, away = do(here, "check_source", {"source_id": added.id})
    assert (status, away["code"]) == ("failed", "source_unavailable")
    assert "CRM_URL" in away["detail"]
    monkeypatch.setenv("CRM_URL", "postgresql://somebody:password-1@127.0.0.1:1/none")
    status, away = do(here, "count", {"source_id": added.id})
    assert (status, away["code"]) == ("failed", "source_unavailable")
    assert "password-1" not in away["detail"]


def add_described(here: Engine, name: str) -> Source:
    """The table t of the other database as a source of this name, by all that a look finds."""
    found = do(here, "describe_source", {"url_variable": "CRM_URL", "table": "t"})[1]
    with transaction(here) as connection:
        return add_source(connection, source_from(name, "CRM_URL", found))


def test_a_check_tells_of_labels_that_came_and_went(
    here: Engine, driver: PsycopgConnection, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model with closed categories answers no row that has a new one: `nothing has changed` would be untrue."""
    run(driver, "CREATE TYPE ward AS ENUM ('A', 'B'); CREATE TABLE t (k integer PRIMARY KEY, ward ward, age integer)")
    monkeypatch.setenv("CRM_URL", address)
    added = add_described(here, "labelled")
    run(driver, "ALTER TYPE ward ADD VALUE 'Gériatrie'")
    run(driver, "ALTER TYPE ward RENAME VALUE 'B' TO 'C'")
    for changes in (
        [
            "ward has new labels: C, Gériatrie. A model may not have learnt them.",
            "ward has these labels no longer: B.",
        ],
        [],
    ):
        assert do(here, "check_source", {"source_id": added.id})[1]["changes"] == changes


def test_a_materialized_view_that_was_never_filled_is_told_with_what_fills_it(
    here: Engine, driver: PsycopgConnection, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL alone says what it lacks, and not what to type."""
    monkeypatch.setenv("CRM_URL", address)
    run(driver, "CREATE MATERIALIZED VIEW v AS SELECT 1 AS k, 2 AS age WITH NO DATA; CREATE UNIQUE INDEX ON v (k)")
    order = {"url_variable": "CRM_URL", "table": "v", "key": ["k"]}
    status, found = do(here, "describe_source", order)
    assert (status, "REFRESH MATERIALIZED VIEW" in found["detail"]) == ("failed", True), found
    run(driver, "REFRESH MATERIALIZED VIEW v")
    assert do(here, "describe_source", order)[0] == "done"


def test_a_check_of_a_table_that_is_gone_says_so(
    here: Engine, driver: PsycopgConnection, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its user has spelt nothing, so nothing is said of spelling."""
    run(driver, "CREATE TABLE t (k integer PRIMARY KEY, age integer)")
    monkeypatch.setenv("CRM_URL", address)
    added = add_described(here, "lost")
    run(driver, "DROP TABLE t")
    status, told = do(here, "check_source", {"source_id": added.id})
    assert status == "failed"
    assert "t is gone since lost was added, or may not be seen any more. Make it again" in told["detail"]
    assert "predictq sources remove lost" in told["detail"]


def test_a_check_keeps_to_the_columns_that_were_chosen(
    here: Engine, driver: PsycopgConnection, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was left out on purpose stays out, for filters and training; a chosen one that is gone is a finding."""
    run(driver, "CREATE TABLE t (k integer PRIMARY KEY, age integer, pay integer, secret integer, region text)")
    monkeypatch.setenv("CRM_URL", address)
    described = {"url_variable": "CRM_URL", "table": "t", "columns": ["age", "pay"], "filters": ["region"]}
    status, found = do(here, "describe_source", described)
    assert status == "done"
    with transaction(here) as connection:
        added = add_source(connection, source_from("chosen", "CRM_URL", found, chosen=["age", "pay"]))
    assert do(here, "check_source", {"source_id": added.id})[1]["changes"] == []
    run(driver, "ALTER TABLE t DROP COLUMN pay, DROP COLUMN region, ADD COLUMN more integer")
    for changes in (
        [
            "pay is gone, or may not be read any more.",
            "region, which filters may name, is gone, or may not be read any more.",
        ],
        [],
    ):
        assert do(here, "check_source", {"source_id": added.id})[1]["changes"] == changes
    with autocommit(here) as connection:
        kept = get_source(connection, added.id)
    assert ([column.name for column in kept.columns], kept.filters) == (["age"], ())
    run(driver, "ALTER TABLE t DROP COLUMN age")
    status, found = do(here, "check_source", {"source_id": added.id})
    assert (status, found["columns"]) == ("done", [])  # and not all that there are


def test_a_check_names_the_live_models_that_a_change_breaks(here: Engine) -> None:
    """A column that is gone, and the model that needs it."""
    add_model(here)
    with autocommit(here) as connection:
        connection.exec_driver_sql("ALTER TABLE predictq_data.clients DROP COLUMN department")
        source_id = connection.exec_driver_sql("SELECT id FROM predictq.sources").scalar_one()
    status, found = do(here, "check_source", {"source_id": source_id})
    assert status == "done"
    assert [(item["lacking"], item["changed"]) for item in found["broken"]] == [(["department"], [])]


def test_a_change_is_told_at_each_check_until_a_version_is_live_that_knows_it(here: Engine) -> None:
    """What was found once is not forgotten: neither what is otherwise than at first, nor the version that it breaks."""
    add_model(here)
    with autocommit(here) as connection:
        connection.exec_driver_sql(
            "ALTER TABLE predictq_data.clients ALTER COLUMN age TYPE bigint, ADD COLUMN later date"
        )
        source_id = connection.exec_driver_sql("SELECT id FROM predictq.sources").scalar_one()
    since_added = ["age was integer and is bigint.", "later is new."]
    for changes in (since_added, [], []):
        status, found = do(here, "check_source", {"source_id": source_id})
        assert (status, found["changes"], found["since_added"]) == ("done", changes, since_added)
        assert [(item["version"], item["lacking"], item["changed"]) for item in found["broken"]] == [(1, [], ["age"])]
        with autocommit(here) as connection:
            kept = get_source(connection, source_id)
        assert kept.measured["broken"] == found["broken"]
    add_model(here, TestModel(offset=0.1))
    status, found = do(here, "check_source", {"source_id": source_id})
    assert (status, found["since_added"], found["broken"]) == ("done", since_added, [])
    with autocommit(here) as connection:
        connection.exec_driver_sql("ALTER TABLE predictq_data.clients ALTER COLUMN age TYPE integer")
    status, found = do(here, "check_source", {"source_id": source_id})
    assert (found["changes"], found["since_added"]) == (["age was bigint and is integer."], ["later is new."])
    assert [(item["version"], item["changed"]) for item in found["broken"]] == [(2, ["age"])]


def test_owners_have_their_errands_done_by_turns(engine: Engine) -> None:
    """Whoever has many waiting holds up nobody else's one; what is withdrawn is done for nobody."""
    with autocommit(engine) as connection:
        of_many = [submit(connection, "count", "many", {"source_id": 1}) for _ in range(5)]
        of_one = submit(connection, "count", "one", {"source_id": 1})
        withdraw(connection, of_many[1])
        claimed = []
        while (held := claim_errand(connection, worker="a", lease_seconds=60)) is not None:
            claimed.append(held.id)
            withdraw(connection, held.id)  # in a worker's hands it stays
            assert finish_errand(connection, held, {"count": 1})
    assert claimed == [of_many[0], of_one, *of_many[2:]]


def test_a_version_is_checked_by_a_worker_that_can_load_it(engine: Engine) -> None:
    """One without its libraries leaves it to another that is alive; where none is, it says what lacks."""
    needs = "lightgbm==4.*"
    version_id = add_model(engine, promote=False, requirements=needs)
    with autocommit(engine) as connection:
        submit(connection, "check_model", "tester", {"version_id": version_id})
        beat(connection, Worker("able", 1, ["bulk"], None, ["", needs], {}))
        assert claim_errand(connection, worker="unable", lease_seconds=-1, requirements=[""]) is None
        assert claim_errand(connection, worker="able", lease_seconds=-1, requirements=["", needs]) is not None
        connection.exec_driver_sql("UPDATE predictq.workers SET heartbeat_at = now() - interval '1 hour'")
        assert claim_errand(connection, worker="unable", lease_seconds=-1, requirements=[""]) is not None


def test_a_runner_leaves_to_others_what_it_cannot_load(engine: Engine) -> None:
    """It asks for what its own libraries meet; what needs no model is taken by anybody."""
    version_id = add_model(engine, promote=False, requirements="no-such-library==1.*")
    with autocommit(engine) as connection:
        checked = submit(connection, "check_model", "tester", {"version_id": version_id})
        beat(connection, Worker("able", 1, ["bulk"], None, ["", "no-such-library==1.*"], {}))
        counted = submit(connection, "count", "other", {"source_id": 1})
    stopped, handlers = threading.Event(), make_handlers(as_worker(engine))
    runner = ErrandRunner(
        as_worker(engine), handlers, worker="w", stopped=stopped, loadable=Loadable(as_worker(engine))
    )
    assert [runner.do_next(), runner.do_next()] == [True, False]
    with autocommit(engine) as connection:
        found = [read(connection, errand_id) for errand_id in (checked, counted)]
    assert [errand and errand.status for errand in found] == ["queued", "done"]


def test_errands_are_claimed_once_and_given_up_at_last(engine: Engine) -> None:
    """A claim whose lease ran out is overtaken, and its result dropped; after three the caller is told."""
    with autocommit(engine) as connection:
        errand_id = submit(connection, "count", "tester", {"source_id": 1})
        first = claim_errand(connection, worker="a", lease_seconds=60)
        assert first is not None
        assert claim_errand(connection, worker="b", lease_seconds=60) is None
        assert extend_errand(connection, first, lease_seconds=-1)
        second = claim_errand(connection, worker="b", lease_seconds=-1)
        assert second is not None
        assert not finish_errand(connection, first, {"count": 1})
        assert not extend_errand(connection, first, lease_seconds=1)
        assert claim_errand(connection, worker="c", lease_seconds=-1) is not None
        assert claim_errand(connection, worker="d", lease_seconds=-1) is None
        found = read(connection, errand_id)
        assert found is not None
        assert (found.status, (found.result or {})["code"]) == ("failed", "worker_ended")
        with pytest.raises(ValueError, match="no kind"):
            submit(connection, "nonsense", "tester", {})


def test_a_source_whose_address_nobody_knows_is_away() -> None:
    """The words say which variable to set."""
    from worker.sources.connections import Remote, find_address

    assert find_address("NOWHERE", {}) is None
    with (
        pytest.raises(SourceAway, match="NOWHERE"),
        Remote("NOWHERE", environment={}).connected(replace(source_from("x", None, _LEAST), url_variable="NOWHERE")),
    ):
        pass


_LEAST: dict[str, Any] = {
    "schema": "s", "relation": "r", "key": [{"name": "k", "type": "text"}], "columns": [], "filters": [],
    "is_indexed": True, "is_scan": False, "kind": "table", "rows": 0, "is_exact": True, "seconds": None, "notes": [],
    "not_features": [],
}  # fmt: skip


def test_an_address_is_read_from_the_environment_or_the_stacks_file(tmp_path: Any) -> None:
    """At each connection; as any tool writes it."""
    from worker.sources.connections import find_address

    file = tmp_path / ".env"
    file.write_text("OTHER=1\nexport CRM_URL='postgres://u:p@h/d'\n", encoding="utf-8")
    environment = {"PREDICTQ_ENV_FILE": str(file), "B_URL": "postgresql+psycopg2://u@h/d", "C_URL": "host=h dbname=d"}
    assert find_address("CRM_URL", environment) == "postgresql://u:p@h/d"
    assert find_address("B_URL", environment) == "postgresql://u@h/d"
    assert find_address("C_URL", environment) == "host=h dbname=d"
    assert find_address("D_URL", environment) is None


def test_a_connection_that_was_ended_while_idle_is_made_anew(
    driver: PsycopgConnection, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server or a firewall ends idle connections: that is no outage of the source."""
    from worker.sources import connections

    monkeypatch.setattr(connections, "_IDLE_SECONDS", 0.0)
    remote = connections.Remote("FAR", environment={"FAR": address})
    source = source_from("far", "FAR", _LEAST)
    with remote.connected(source) as first:
        process = first.info.backend_pid
    run(driver, f"SELECT pg_terminate_backend({process}, 5000)")
    with remote.connected(source) as second:
        assert fetch(second, "SELECT pg_backend_pid()") != [process]
    remote.close()


def test_the_process_beside_the_pool_does_errands(here: Engine, settings: Settings) -> None:
    """As a worker starts it; it ends when it is told to."""
    command = [sys.executable, "-m", "worker.errands", "--name", "e"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(settings))
    try:
        with transaction(here) as connection:
            errand_id = submit(connection, "describe_source", "tester", {"table": "predictq_data.clients"})
        found = wait(here, errand_id, seconds=60)
    finally:
        stop(process)
    assert found is not None
    assert found.status == "done"
    assert (found.result or {})["rows"] == 30
    assert process.returncode == 0
