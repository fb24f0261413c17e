"""What needs a person, and the last hours in figures: over HTTP, in doctor's words, and in /health."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from cli.doctor.examinations import _examine_attention, _examine_pauses, _examine_sources
from shared.batches.claims import claim, record_failure
from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.postgres.engine import autocommit, make_engine
from shared.sources.source import add_source, read_source, update_source
from shared.status import Queue
from shared.watching.workers import Worker, beat
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.integration.jobs.jobs_support import answer, take
from tests.support import add_clients, add_model, submit_bulk, wait_until
from worker.upkeep.samples import Samples


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    add_clients(engine, 20)
    with running_gateway(settings, new_key(engine, "olga", roles=("read", "operate"))) as client:
        yield client


def needs(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """By code; the upkeep does not run here, which is always one of them."""
    answer = gateway.get("/v1/attention")
    assert answer.status_code == 200, answer.text
    return {need["code"]: need for need in answer.json()["needs"] if need["code"] != "upkeep"}


def alive(engine: Engine, models: list[str] | None = None) -> None:
    with autocommit(engine) as connection:
        beat(connection, Worker("w@host", 1, ["bulk"], models, [""], {}))


def test_doctor_names_every_source_that_is_away_or_refuses(engine: Engine) -> None:
    """In one line, the ones that answer after them; what to type is for the first."""
    with engine.begin() as connection:
        clients = read_source(connection, "clients")
        for name in ("crm", "erp", "old crm"):
            add_source(connection, replace(clients, name=name))
    assert _examine_sources(engine).detail == "clients, crm, erp, old crm"
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.sources SET refused_since = now() WHERE name IN ('crm', 'old crm')"))
    said = _examine_sources(engine)
    assert said.detail == "crm, old crm cannot be read: a right, its table or a column is gone or has changed"
    assert (said.ok, said.advice) == (False, "predictq sources check crm")
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.sources SET away_since = now() WHERE name = 'erp'"))
    said = _examine_sources(engine)
    assert said.detail == (
        "erp does not answer; clients does; "
        "crm, old crm cannot be read: a right, its table or a column is gone or has changed"
    )
    assert said.advice == "predictq sources check erp"


def test_each_matter_has_a_code_its_figures_and_words(gateway: Gateway, engine: Engine, settings: Settings) -> None:
    """No worker, nobody who can load it, batches that fail, a source away, a pause; and nothing where nothing is."""
    add_model(engine)
    submit_bulk(engine, range(1, 21), batch_rows=10)
    assert needs(gateway)["no_worker"]["about"] == {"batches": 2, "rows": 20}
    alive(engine)
    assert needs(gateway) == {}
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.prediction_batches SET created_at = created_at - interval '1 minute'"))
    alive(engine, models=["another"])
    found = needs(gateway)["unloadable"]
    assert (found["about"]["model"], found["about"]["batches"]) == ("default", 2)
    assert "it takes other models alone" in found["detail"]
    alive(engine)
    (held,) = claim(engine, Queue.BULK, worker="w@host/1", lease_seconds=60)
    record_failure(engine, held, "it has no scikit-learn", retry_after_seconds=60)
    found = needs(gateway)["failing"]
    assert (found["about"]["batches"], found["about"]["error"]) == (1, "it has no scikit-learn")
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.sources SET away_since = now()"))
        connection.execute(
            text("INSERT INTO predictq.pauses (queue, reason, actor) VALUES ('bulk', 'month end', 'olga')")
        )
    found = needs(gateway)
    assert {"failing", "source_away", "paused"} <= set(found)
    assert found["paused"]["detail"] == "the queue bulk is paused by olga: month end"
    told = {finding.name: finding for finding in _examine_attention(engine, settings)}
    assert "source away" not in told  # doctor says it in the line of the sources
    said = _examine_sources(engine)
    assert (said.ok, said.detail) == (False, "clients does not answer")
    assert "paused" not in told  # doctor says it once, with when, and how to resume
    (pause,) = _examine_pauses(engine)
    assert pause.detail.startswith("the queue bulk is paused since ")
    assert pause.detail.endswith(" by olga: month end")


def test_a_queue_that_is_late_is_told_though_others_are_answered(
    gateway: Gateway, engine: Engine, settings: Settings
) -> None:
    """With its rows and what to add; not before its own limit, nor while it is paused; doctor says the same."""
    add_model(engine)
    alive(engine)
    submit_bulk(engine, range(1, 21), batch_rows=5)
    _let_wait(engine, "9 minutes")
    answer_batches(engine, limit=1)
    assert "late" not in needs(gateway)
    _let_wait(engine, "2 minutes")
    late = needs(gateway)["late"]
    assert (late["about"]["queue"], late["about"]["rows"]) == ("bulk", 15)
    assert late["detail"] == "the queue bulk has waited for 11 min, 15 rows wait"
    assert late["advice"] == "predictq worker --concurrency 2"
    (told,) = [finding for finding in _examine_attention(engine, settings) if finding.name == "late"]
    assert (told.detail, told.advice) == (late["detail"], late["advice"])
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO predictq.pauses (queue, reason, actor) VALUES ('bulk', 'night', 'olga')"))
    assert "late" not in needs(gateway)


def _let_wait(engine: Engine, interval: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE predictq.prediction_batches SET created_at = created_at - CAST(:i AS interval)"),
            {"i": interval},
        )


def test_a_model_whose_rows_fail_is_told_though_its_batches_are_answered(
    gateway: Gateway, engine: Engine, settings: Settings
) -> None:
    """With how many, and of what; on the overview and by doctor. Nothing is wrong with the service for it."""
    add_model(engine)
    alive(engine)
    before = gateway.get("/health").json()["reasons"]
    end_rows(engine, 1_000, errors=99)  # too few
    assert "rows_fail" not in needs(gateway)
    end_rows(engine, 1_000, errors=100)  # 199 of 2,000, which is too small a part
    assert "rows_fail" not in needs(gateway)
    end_rows(engine, 1_000, errors=1_000)
    found = needs(gateway)["rows_fail"]
    assert found["about"] == {"model": "default", "failed": 1_199, "rows": 3_000, "error_code": "model_failed"}
    said = "1,199 of 3,000 rows of default had an error in the last hour, most of them model_failed"
    assert (found["detail"], found["advice"]) == (said, "predictq models show default")
    (told,) = [finding for finding in _examine_attention(engine, settings) if finding.name == "rows fail"]
    assert (told.ok, told.detail) == (True, said)
    gateway.get(gateway.post("/v1/sign-in-links").json()["path"], follow_redirects=True)
    for language, title in (
        ("en", "40 % of the rows of default had an error in the last hour"),
        ("fr", "40 % des lignes de default ont eu une erreur dans la dernière heure"),
    ):
        page = gateway.get("/", headers={"Accept-Language": language}).text
        needed = page.partition('id="needs"')[2].partition("</section>")[0]
        assert title in needed.replace("\u202f", " ").replace("\xa0", " ")
        assert 'href="/models/default"' in needed
        assert not re.search("Answers a minute|Réponses par minute", page), "of rows that mostly had an error"
    assert gateway.get("/health").json()["reasons"] == before


def end_rows(engine: Engine, rows: int, *, errors: int) -> None:
    """Let so many rows end, the first ones in an error, and the minute be written down."""
    submit_bulk(engine, [1] * rows, batch_rows=rows)
    answer(engine, take(engine), errors=errors)
    with engine.begin() as connection:  # which are no more than once
        connection.execute(text("DELETE FROM predictq.samples"))
    Samples().run(engine, lambda: datetime.now(UTC) + timedelta(minutes=1))


def test_workers_that_run_and_cannot_write_are_not_said_to_be_gone(
    gateway: Gateway, engine: Engine, settings: Settings
) -> None:
    """Another worker would not help. One that has ended is no longer connected."""
    own = make_engine(settings.as_role(DatabaseRole.WORKER), application_name="w@host")
    with own.connect() as connection:
        connection.execute(text("SELECT"))
        found = needs(gateway)
        assert "no_worker" not in found
        assert found["silent_workers"]["about"]["workers"] == ["w@host"]
        told = {finding.name: finding for finding in _examine_attention(engine, settings)}
        assert not told["silent workers"].ok
        alive(engine)
        assert "silent_workers" not in needs(gateway)
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.workers SET heartbeat_at = now() - interval '1 minute'"))
    own.dispose()
    wait_until(lambda: "no_worker" in needs(gateway), what="the end of the worker")


def test_a_live_version_whose_source_lacks_a_column_is_named(gateway: Gateway, engine: Engine) -> None:
    """Whether or not anybody has asked for it yet."""
    add_model(engine)
    alive(engine)
    with engine.begin() as connection:
        connection.execute(
            text("""UPDATE predictq.sources SET columns = (
                    SELECT jsonb_agg(c) FROM jsonb_array_elements(columns) c WHERE c ->> 'name' <> 'age')""")
        )
    assert needs(gateway)["source_changed"]["about"]["lacking"] == ["age"]


def test_a_source_that_refuses_is_told_of_until_it_is_checked(gateway: Gateway, engine: Engine) -> None:
    """By doctor in the line of the sources, as well, with the command that says what lacks."""
    add_model(engine)
    alive(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.sources SET refused_since = now()"))
        source = read_source(connection, "clients")
    found = needs(gateway)["source_refuses"]
    assert found["detail"] == "the source clients cannot be read: a right, its table or a column is gone or has changed"
    said = _examine_sources(engine)
    assert (said.ok, said.detail, said.advice) == (
        False,
        found["detail"].removeprefix("the source "),
        "predictq sources check clients",
    )
    with engine.begin() as connection:
        update_source(connection, source)
    assert needs(gateway) == {}
    assert _examine_sources(engine).ok


def test_only_operators_are_told(gateway: Gateway, engine: Engine) -> None:
    """It names models, machines and errors."""
    assert gateway.get("/v1/attention", headers=bearer(new_key(engine, "alice"))).status_code == 403


def test_health_says_that_batches_fail(gateway: Gateway, engine: Engine) -> None:
    """Without names, because nobody needs a key for it."""
    add_model(engine)
    submit_bulk(engine, range(1, 21), batch_rows=10)
    (held,) = claim(engine, Queue.BULK, worker="w@host/1", lease_seconds=60)
    record_failure(engine, held, "a secret of the model", retry_after_seconds=60)
    said = wait_until(
        lambda: [reason for reason in gateway.get("/health").json()["reasons"] if "failed" in reason], what="a word"
    )
    assert said == ["Batches were tried and failed (1): predictq doctor tells more"]


def test_samples_are_the_same_whoever_asks(gateway: Gateway, engine: Engine) -> None:
    """Waiting rows by queue, answers and errors by model; of models that a key may not use nothing."""
    add_model(engine)
    submit_bulk(engine, range(1, 31), batch_rows=10)
    answer_batches(engine, limit=2)
    now = datetime.now(UTC)
    Samples().run(engine, lambda: now + timedelta(minutes=1))
    found = gateway.get("/v1/samples").json()
    assert found["step_seconds"] == 60
    by_name = {(one["name"], one["queue"], one["model"]): one["points"] for one in found["series"]}
    assert by_name["waiting_rows", "bulk", None][-1]["value"] == 10
    assert by_name["rows_per_second", "bulk", "default"][-1]["value"] == pytest.approx(20 / 60)
    day = gateway.get("/v1/samples", params={"hours": 24}).json()
    assert day["step_seconds"] == 720
    limited = bearer(new_key(engine, "alice", models=["another"]))
    assert all(one["model"] is None for one in gateway.get("/v1/samples", headers=limited).json()["series"])
    assert gateway.get("/v1/samples", params={"hours": 25}).status_code == 422
