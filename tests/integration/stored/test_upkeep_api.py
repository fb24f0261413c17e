"""Retention, holds and storage as a person meets them: over HTTP, and on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.postgres.engine import transaction
from shared.retention.asked_runs import ask_run, read_run
from shared.retention.rules.errors import ClocksDisagree, ExportFailed
from tests.integration.gateway.api_support import Gateway, bearer, new_key, running_gateway
from tests.integration.stored.erasure_support import add_page, add_source, key_of
from tests.integration.stored.upkeep_support import add_version, close_range, count_rows, store_bulk, store_singles
from tests.roles import as_upkeep
from tests.support import ROOT, add_model, environment
from worker.upkeep import retention
from worker.upkeep.duties import long_duties
from worker.upkeep.duty import database_clock
from worker.upkeep.retention import AskedRetention, Retention

OLD = datetime.now(UTC) - timedelta(days=420)
CARD = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway, called with an admin's key."""
    with running_gateway(settings, new_key(engine, "ann", is_admin=True)) as client:
        yield client


def predictq(settings: Settings, gateway: Gateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    values = environment(settings) | {
        "PREDICTQ_API_URL": str(gateway.base_url),
        "PREDICTQ_API_KEY": gateway.headers["Authorization"].removeprefix("Bearer "),
    }
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(command, cwd=ROOT, env=values, capture_output=True, text=True, timeout=120)


def acts(engine: Engine) -> list[Any]:
    with transaction(engine) as connection:
        query = "SELECT actor, action, object, before, after, call_id FROM predictq.audit_log ORDER BY id"
        return list(connection.execute(text(query)).all())


def test_periods_are_set_and_shown(gateway: Gateway, engine: Engine) -> None:
    """What is set is shown, and stands in the audit log with what was before."""
    add_version(engine)
    changed = gateway.put("/v1/retention", json={"keep_for": "13 months"})
    assert changed.json()["keep_for"] == "13 months"
    gateway.put("/v1/retention", json={"keep_for": "2 years", "model": "default"})
    assert gateway.get("/v1/retention").json() == {
        "keep_for": "13 months",
        "floor": "6 months",
        "models": [{"model": "default", "own": "24 months", "keep_for": "24 months"}],
    }
    first, second = acts(engine)
    assert tuple(first)[:5] == ("ann", "retention.set", None, {"keep_for": "for ever"}, {"keep_for": "13 months"})
    assert tuple(second)[2:5] == ("default", {"keep_for": None}, {"keep_for": "24 months"})
    assert first.call_id == changed.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/retention", {"keep_for": "1 month"}, 422, "below the floor"),
        ("/v1/retention", {"keep_for": "soon"}, 422, "no period"),
        ("/v1/retention", {"keep_for": "1 year", "model": "nobody"}, 404, "no model 'nobody'"),
        ("/v1/retention/floor", {"floor": "1 day"}, 422, "30 days"),
    ],
)
def test_what_cannot_be_is_refused_with_words(
    gateway: Gateway, engine: Engine, path: str, body: dict[str, str], status: int, words: str
) -> None:
    """A refusal says why, and changes and records nothing."""
    answer = gateway.put(path, json=body)
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert acts(engine) == []


def test_only_administrators_come_in(gateway: Gateway, engine: Engine) -> None:
    """A plain key is refused by every one of these calls."""
    plain = bearer(new_key(engine, "bob"))
    calls = [("GET", "/v1/retention"), ("PUT", "/v1/retention"), ("POST", "/v1/retention/run"), ("GET", "/v1/holds"),
             ("POST", "/v1/holds"), ("DELETE", "/v1/holds/1"), ("GET", "/v1/storage")]  # fmt: skip
    bodies = {"/v1/retention": {"keep_for": "1 year"}, "/v1/retention/run": {}, "/v1/holds": {"reason": "x"}}
    for method, path in calls:
        body = bodies.get(path) if method in ("PUT", "POST") else None
        assert gateway.request(method, path, json=body, headers=plain).status_code == 403, path


def test_the_command_line_says_that_a_hold_holds_nothing(settings: Settings, gateway: Gateway, engine: Engine) -> None:
    """It stands all the same: the client's first answer may be to come."""
    add_model(engine)
    add_page(engine, key_of(engine, 7).source.id or 0, "int8", [7])
    held, nobody = (
        predictq(settings, gateway, "holds", "add", "--client", key, "--reason", "lawsuit").stdout
        for key in ("7", "70")
    )
    assert held.startswith("hold 1 stands over 1 stored answer. ")
    assert "Nothing is stored" not in held
    assert nobody.startswith("hold 2 stands. ")
    assert "Nothing is stored under this key" in nobody


def test_a_client_key_stays_in_bodies(gateway: Gateway, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    """A hold on a client stands and is listed; its key is in no log and no line of the audit log, and is forgotten."""
    key = "917345552"
    made = gateway.post("/v1/holds", json={"client_id": int(key), "source": "clients", "reason": "lawsuit"})
    assert (made.status_code, made.json()["client_id"]) == (201, key)
    assert gateway.get("/v1/holds").json()["holds"] == [{k: v for k, v in made.json().items() if k != "answers"}]
    assert gateway.post("/v1/holds", json={"client_id": 5, "source": "nobody", "reason": "x"}).status_code == 404
    wrong = gateway.post("/v1/holds", json={"client_id": {"a": key}, "reason": "lawsuit"})
    assert wrong.status_code == 422
    assert key not in wrong.text
    assert gateway.delete(f"/v1/holds/{made.json()['id']}").status_code == 204
    assert gateway.delete(f"/v1/holds/{made.json()['id']}").status_code == 404
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT client_key FROM predictq.holds")).scalar_one() is None
    assert [act.action for act in acts(engine)] == ["hold.add", "hold.release"]
    assert key not in str(acts(engine))
    assert key not in "".join(capfd.readouterr())


def test_a_hold_on_a_client_says_how_much_it_holds(gateway: Gateway, engine: Engine) -> None:
    """A misspelt key would hold nobody, and her answers go by age."""
    add_model(engine)
    for keys in ([7, 8], [7, 9]):
        add_page(engine, key_of(engine, 7).source.id or 0, "int8", keys)
    add_page(engine, add_source(engine, "cards", "uuid"), "uuid", [CARD])
    named = ({"client_id": 7, "source": "clients"}, {"client_id": CARD.upper(), "source": "cards"})
    anywhere = ({"client_id": "7"}, {"client_id": CARD.upper()}, {"client_id": 70}, {"model": "default"})
    made = [gateway.post("/v1/holds", json={**body, "reason": "lawsuit"}) for body in (*named, *anywhere)]
    assert [hold.json()["answers"] for hold in made] == [2, 1, 2, 1, 0, None]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"reason": "x"}, "one thing"),
        ({"reason": "x", "model": "default", "client_id": 5}, "one thing"),
        ({"reason": "x", "client_id": 1.5}, "whole number"),
        ({"reason": "x", "client_id": "five", "source": "clients"}, "whole number"),
        ({"reason": "x", "job_id": "0197a7b2-0000-7000-8000-000000000000"}, "no job"),
    ],
)
def test_a_hold_must_name_what_there_is(gateway: Gateway, engine: Engine, body: dict[str, Any], words: str) -> None:
    """One thing, that can be held."""
    add_version(engine)
    answer = gateway.post("/v1/holds", json=body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_a_run_is_looked_at_before_and_after(gateway: Gateway, engine: Engine) -> None:
    """A dry run says what would go; the run is carried out by the upkeep, and its report says what went."""
    version = add_version(engine)
    store_singles(engine, OLD, [1, 2], version)
    gateway.put("/v1/retention", json={"keep_for": "13 months"})
    dry = gateway.post("/v1/retention/run", json={"dry_run": True}).json()
    assert (dry["status"], dry["report"]["answers"]) == ("done", 2)
    asked = gateway.post("/v1/retention/run", json={})
    assert (asked.status_code, asked.json()["status"]) == (202, "queued")
    assert gateway.post("/v1/retention/run", json={}).json()["id"] == asked.json()["id"]
    AskedRetention(settle_seconds=0).run(as_upkeep(engine), database_clock(engine))
    done = gateway.get(asked.headers["Location"]).json()
    assert (done["status"], done["report"]["jobs"], done["report"]["answers"]) == ("done", 2, 2)
    assert count_rows(engine)["jobs"] == 0
    assert acts(engine)[-1].action == "retention.run"
    assert gateway.get("/v1/retention/runs/0197a7b2-0000-7000-8000-000000000000").status_code == 404


def test_storage_adds_up(gateway: Gateway, engine: Engine) -> None:
    """Bytes by model and month, and all of them together no more than the database has."""
    store_bulk(engine, OLD, [list(range(1000))], add_version(engine))
    store_singles(engine, datetime.now(UTC), [1], add_version(engine, "churn"))
    stored = gateway.get("/v1/storage").json()
    assert [(one["model"], one["answers"]) for one in stored["months"]] == [("churn", 1), ("default", 1000)]
    assert all(one["bytes"] > 0 for one in stored["months"])
    assert sum(one["bytes"] for one in stored["months"]) + stored["other_bytes"] == stored["total_bytes"]
    assert stored["free_bytes"] > 0  # the tests' own server is on this machine


def test_the_command_line_says_it_in_words(settings: Settings, gateway: Gateway, engine: Engine) -> None:
    """Each command does what it says, and a mistake is one line that tells what to type."""
    store_bulk(engine, OLD, [[1, 2]], add_version(engine))
    assert "kept for 13 months" in predictq(settings, gateway, "retention", "set", "13 months").stdout
    assert "6 months" in predictq(settings, gateway, "retention", "show").stdout
    refused = predictq(settings, gateway, "retention", "set", "1 month")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "below the floor" in refused.stderr
    assert "2 rows of 1 job in 1 page" in predictq(settings, gateway, "retention", "run", "--dry-run").stdout
    held = predictq(settings, gateway, "holds", "add", "--client", "2", "--reason", "lawsuit").stdout
    assert held.startswith("hold 1 stands")
    assert "client 2 " in predictq(settings, gateway, "holds", "list").stdout
    rows = predictq(settings, gateway, "retention", "run", "--dry-run").stdout
    assert "1 row would go out of pages that stay" in rows  # the other client's
    assert "Nothing is due" not in rows
    assert "hold 2 stands" in predictq(settings, gateway, "holds", "add", "--client", "1", "--reason", "lawsuit").stdout
    assert "Nothing is due" in predictq(settings, gateway, "retention", "run", "--dry-run").stdout
    assert "released" in predictq(settings, gateway, "holds", "release", "1").stdout
    assert "more each day" in predictq(settings, gateway, "storage").stdout


@pytest.fixture
def open_umask() -> Iterator[None]:
    """What most accounts have: others may read what is made."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("open_umask")
def test_files_of_the_command_line_are_their_owners_alone(
    settings: Settings, gateway: Gateway, engine: Engine, tmp_path: Path
) -> None:
    """Answers and the audit log, whatever the umask; an audit log writes over no file."""
    bulk = store_bulk(engine, OLD, [[21], [22, 23]], add_version(engine), owner="ann")
    answers, acts = tmp_path / "answers.csv", tmp_path / "audit.jsonl"
    ran = predictq(settings, gateway, "results", str(bulk.job_ids[0]), "-o", str(answers))
    assert ran.returncode == 0, ran.stderr
    assert (answers.read_text().count("\n"), mode_of(answers)) == (4, 0o600)
    for status in (0, 1):
        ran = predictq(settings, gateway, "audit", "export", "--output", str(acts))
        assert (ran.returncode, mode_of(acts)) == (status, 0o600), ran.stderr


@pytest.mark.usefixtures("open_umask")
def test_what_goes_is_exported_first(settings: Settings, gateway: Gateway, engine: Engine, tmp_path: Path) -> None:
    """Every answer that went is in a Parquet file whose digest is right, with its client, its error and its times.

    Files and folders are their owner's alone.
    """
    import pyarrow.parquet as pq

    version = add_version(engine)
    singles = store_singles(engine, OLD, [11, 12], version, failed=[1])
    bulk = store_bulk(engine, OLD, [[21], [22, 23]], version)
    close_range(engine)
    gateway.put("/v1/retention", json={"keep_for": "13 months"})
    ran = predictq(settings, gateway, "retention", "run", "--export", str(tmp_path / "kept"), "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["answers"] == 5
    assert count_rows(engine)["batch_outputs"] == 0
    (directory,) = (tmp_path / "kept").iterdir()
    assert {mode_of(folder) for folder in (tmp_path / "kept", directory)} == {0o700}
    assert {mode_of(file) for file in directory.iterdir()} == {0o600}
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=directory, check=True, capture_output=True)
    rows = [row for file in sorted(directory.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    assert sorted(row["client_id"] for row in rows) == ["11", "12", "21", "22", "23"]
    (failed,) = (row for row in rows if row["status"] == "failed")
    assert (failed["request_id"], failed["error_code"]) == (f"{singles.batch_ids[0]}-1", "unknown_client")
    answered = next(row for row in rows if row["client_id"] == "22")
    assert answered["job_id"] == str(bulk.job_ids[0])
    assert (answered["value"], answered["label"], answered["threshold"]) == (0.25, "0", 0.5)
    assert (answered["model"], answered["model_version"]) == ("default", 1)
    assert answered["accepted_at"].year == OLD.year


def test_an_export_has_all_that_was_stored(engine: Engine, tmp_path: Path) -> None:
    """Probability of each class, features, the key as written, what was given, whose job it was and its filter."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from worker.pages.encode import encode_features
    from worker.pages.from_arrow import from_arrow
    from worker.upkeep.export import Exporter
    from worker.upkeep.retention import carry_out

    version = add_version(engine, classes=["low", "mid", 3], features=["town"])
    bulk = store_bulk(engine, OLD, [[21, 22]], version, owner="ann")
    single = store_singles(engine, OLD, [11], version, owner="bob")
    bare = store_bulk(engine, OLD, [[31]], version)
    scores = {bulk.batch_ids[0]: [0.1, 0.2, 0.7, 0.5, 0.3, 0.2], single.batch_ids[0]: [0.9, 0.05, 0.05]}
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        connection.execute(text("UPDATE predictq.retention_default SET keep_for = interval '13 months'"))
        for batch_id, probabilities in scores.items():
            rows = len(probabilities) // 3
            features = encode_features([from_arrow(pa.array(["Ulm", "Köln"][:rows], pa.string()))], rows)
            connection.execute(
                text("""UPDATE predictq.batch_outputs SET scores = :scores, features = :features, threshold = NULL,
                        labels = array_fill(2::int2, ARRAY[request_count]) WHERE batch_id = :id"""),
                {"id": batch_id, "scores": probabilities, "features": features},
            )
        connection.execute(
            text("""UPDATE predictq.batch_requests SET spelled = '{"1": "022"}',
                    given = ARRAY[NULL, '{"town": "Köln"}'] WHERE batch_id = :id"""),
            {"id": bulk.batch_ids[0]},
        )
        connection.execute(
            text("""UPDATE predictq.jobs SET name = 'May', selection = '{"where": {"town": "Ulm"}}' WHERE id = :id"""),
            {"id": bulk.job_ids[0]},
        )
    exporter = Exporter(as_upkeep(engine), tmp_path)
    carry_out(
        as_upkeep(engine), database_clock(engine), actor_kind="test", actor="t", before_going=exporter, settle_seconds=0
    )
    rows = {row["client_id"]: row for file in exporter.files for row in pq.read_table(file).to_pylist()}
    names = ("probability_low", "probability_mid", "probability_3")
    assert {key: [row[name] for name in names] for key, row in rows.items()} == {
        "21": [0.1, 0.2, 0.7],
        "22": [0.5, 0.3, 0.2],
        "11": [0.9, 0.05, 0.05],
        "31": [None, None, None],
    }
    assert {key: (row["owner"], row["job_name"]) for key, row in rows.items()} == {
        "21": ("ann", "May"),
        "22": ("ann", "May"),
        "11": ("bob", None),
        "31": ("tester", None),
    }
    assert json.loads(rows["21"]["job_filter"]) == {"town": "Ulm"}
    assert rows["11"]["job_filter"] is None
    assert [rows[key]["spelled"] for key in ("21", "22", "11")] == [None, '"022"', None]
    assert [rows[key]["given"] for key in ("21", "22", "11")] == [None, '{"town": "Köln"}', None]
    assert [rows[key]["features"] for key in ("21", "22", "31")] == [{"town": "Ulm"}, {"town": "Köln"}, None]
    assert rows["31"]["job_id"] == str(bare.job_ids[0])


def test_a_job_that_was_cancelled_early_is_exported_with_what_others_answered(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many pages in a row without features, as of batches that were cancelled, come before the first that has some."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from worker.pages.encode import encode_features
    from worker.pages.from_arrow import from_arrow
    from worker.upkeep import export
    from worker.upkeep.retention import carry_out

    monkeypatch.setattr(export, "_PAGES_AT_ONCE", 2)
    version = add_version(engine, features=["town"])
    stored = store_bulk(engine, OLD, [[1], [2], [3], [4]], version)
    features = encode_features([from_arrow(pa.array(["Ulm"], pa.string()))], 1)
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        connection.execute(text("UPDATE predictq.retention_default SET keep_for = interval '13 months'"))
        connection.execute(
            text("UPDATE predictq.batch_outputs SET features = :features WHERE batch_id = :id"),
            {"features": features, "id": stored.batch_ids[2]},
        )
    exporter = export.Exporter(as_upkeep(engine), tmp_path)
    carry_out(
        as_upkeep(engine), database_clock(engine), actor_kind="test", actor="t", before_going=exporter, settle_seconds=0
    )
    (file,) = exporter.files
    assert [row["features"] for row in pq.read_table(file).to_pylist()] == [None, None, {"town": "Ulm"}, None]
    assert count_rows(engine)["batch_outputs"] == 0


@pytest.mark.parametrize("duty", [Retention, AskedRetention])
def test_what_goes_by_itself_is_exported_where_a_directory_is_set(
    engine: Engine, tmp_path: Path, duty: type[Retention | AskedRetention]
) -> None:
    """The upkeep's own runs write what goes into a directory for each run; where they cannot, nothing goes."""
    store_singles(engine, OLD, [11, 12], add_version(engine))
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.retention_default SET keep_for = interval '13 months'"))
    upkeep, clock = as_upkeep(engine), database_clock(engine)
    (tmp_path / "file").write_text("")
    if duty is AskedRetention:
        ask_for_a_run(engine)
    with pytest.raises(ExportFailed, match="so it stays"):
        duty(tmp_path / "file" / "x", settle_seconds=0).run(upkeep, clock)
    assert count_rows(engine)["batch_outputs"] == 1
    if duty is AskedRetention:
        ask_for_a_run(engine)
    assert "2 answers" in duty(tmp_path / "kept", settle_seconds=0).run(upkeep, clock)
    assert count_rows(engine)["batch_outputs"] == 0
    (directory,) = (tmp_path / "kept").iterdir()
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=directory, check=True, capture_output=True)
    assert duty(tmp_path / "kept", settle_seconds=0).run(upkeep, clock) in ("", "nothing was due")
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_a_page_that_cannot_be_read_goes_without_its_features(engine: Engine, tmp_path: Path) -> None:
    """It is the first of them all, and keeps none back: its batch is named, and the others' features are there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from worker.pages.encode import encode_features
    from worker.pages.from_arrow import from_arrow
    from worker.upkeep.export import Exporter
    from worker.upkeep.retention import carry_out

    stored = store_bulk(engine, OLD, [[1], [2], [3]], add_version(engine, features=["town"]))
    whole = encode_features([from_arrow(pa.array(["Ulm"], pa.string()))], 1)
    of_two = encode_features([from_arrow(pa.array(["Ulm", "Köln"], pa.string()))], 2)
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        connection.execute(text("UPDATE predictq.retention_default SET keep_for = interval '13 months'"))
        for batch_id, features in zip(stored.batch_ids, (whole[:-3], of_two, whole), strict=True):
            connection.execute(
                text("UPDATE predictq.batch_outputs SET features = :features WHERE batch_id = :id"),
                {"features": features, "id": batch_id},
            )
    exporter = Exporter(as_upkeep(engine), tmp_path)
    carry_out(
        as_upkeep(engine), database_clock(engine), actor_kind="test", actor="t", before_going=exporter, settle_seconds=0
    )
    (file,) = exporter.files
    assert [row["features"] for row in pq.read_table(file).to_pylist()] == [None, None, {"town": "Ulm"}]
    assert exporter.damaged == list(stored.batch_ids[:2])
    assert count_rows(engine)["batch_outputs"] == 0


def test_a_run_that_fails_leaves_no_copy_of_what_stays(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is tried: files of an export that failed are removed, and so is the run's directory."""
    from worker.upkeep import export

    store_bulk(engine, OLD, [[1], [2]], add_version(engine, "churn"))
    store_bulk(engine, OLD, [[3], [4]], add_version(engine, "price"))
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.retention_default SET keep_for = interval '13 months'"))
    tables = export.page_table

    def failing(page: Any, *rest: Any) -> Any:
        if page.model == "price":
            raise ValueError(page.batch_id)
        return tables(page, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(export, "page_table", failing)
        with pytest.raises(ValueError, match=r"\d"):
            Retention(tmp_path, settle_seconds=0).run(as_upkeep(engine), database_clock(engine))
    assert list(tmp_path.iterdir()) == []
    assert count_rows(engine)["batch_outputs"] == 4
    Retention(tmp_path, settle_seconds=0).run(as_upkeep(engine), database_clock(engine))
    (directory,) = tmp_path.iterdir()
    assert len(list(directory.glob("*.parquet"))) == 2


def test_a_run_that_was_asked_for_ends_whatever_happens(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is none of ours is named by its type, which quotes no row; the run is not tried for ever."""
    with transaction(engine) as connection:
        asked = ask_run(connection, "ann")

    def failing(*_: Any, **__: Any) -> None:
        raise ValueError("planted-73313")

    monkeypatch.setattr(retention, "carry_out", failing)
    with pytest.raises(ValueError, match="planted"):
        AskedRetention().run(as_upkeep(engine), database_clock(engine))
    with transaction(engine) as connection:
        run = read_run(connection, asked.id)
    assert (run.status, run.report) == ("failed", {"error": "ValueError"})
    assert AskedRetention().run(as_upkeep(engine), database_clock(engine)) == ""


@pytest.mark.parametrize("duty", [Retention, AskedRetention])
def test_nothing_goes_by_a_clock_that_is_far_ahead(engine: Engine, duty: type[Retention | AskedRetention]) -> None:
    """PostgreSQL's clock counts, but where it is years from that of the process somebody has to look first."""
    store_singles(engine, OLD, [11], add_version(engine))
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.retention_default SET keep_for = interval '5 years'"))
        ask_run(connection, "ann")
    with pytest.raises(ClocksDisagree, match="until the two agree"):
        duty(settle_seconds=0).run(as_upkeep(engine), lambda: datetime.now(UTC) + timedelta(days=3650))
    assert count_rows(engine)["batch_outputs"] == 1


def test_the_setting_reaches_both_runs(settings: Settings, tmp_path: Path) -> None:
    """PREDICTQ_RETENTION_EXPORT_DIRECTORY is where the daily run and the run that is asked for write."""
    duties = long_duties(settings.model_copy(update={"retention_export_directory": tmp_path}))
    runs = [duty for duty in duties if isinstance(duty, (Retention, AskedRetention))]
    assert [duty.export_directory for duty in runs] == [tmp_path, tmp_path]


def ask_for_a_run(engine: Engine) -> None:
    with transaction(engine) as connection:
        ask_run(connection, "ann")


def test_an_export_that_fails_keeps_everything(engine: Engine, tmp_path: Path) -> None:
    """Where the files cannot be written, nothing goes."""
    from worker.upkeep.export import Exporter
    from worker.upkeep.retention import carry_out

    store_singles(engine, OLD, [1], add_version(engine))
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.retention_default SET keep_for = interval '13 months'"))
    (tmp_path / "file").write_text("")
    clock = database_clock(engine)
    with pytest.raises(ExportFailed, match="Not a directory"):
        carry_out(
            as_upkeep(engine),
            clock,
            actor_kind="test",
            actor="t",
            before_going=Exporter(as_upkeep(engine), tmp_path / "file" / "x"),
            settle_seconds=0,
        )
    assert count_rows(engine)["batch_outputs"] == 1
