"""The upkeep process and its duties, but for retention."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from shared.audit.writing import record_act
from shared.config import Settings
from shared.errors import PredictqError
from shared.postgres.engine import transaction
from shared.postgres.turns import Turn, try_turn
from shared.storage.upkeep_state import DutyState, read_duties, read_upkeep_state
from tests.integration.stored.upkeep_support import add_version, make_week, store_bulk, store_singles, upkeep_process
from tests.roles import as_upkeep
from tests.support import wait_until
from worker.upkeep.duties import long_duties, prompt_duties
from worker.upkeep.duty import Clock, database_clock
from worker.upkeep.expiry import Expiry
from worker.upkeep.partitions import PartitionClosing, PartitionsAhead
from worker.upkeep.rounds import Rounds
from worker.upkeep.samples import Samples

NOW = datetime.now(UTC)


def scalar(engine: Engine, query: str, **values: object) -> object:
    with transaction(engine) as connection:
        return connection.execute(text(query), values).scalar_one()


def change(engine: Engine, statement: str, **values: object) -> None:
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        connection.execute(text(statement), values)


def test_partitions_are_made_ahead(engine: Engine) -> None:
    """Eight weeks of jobs and eight ranges of batches are there after a run, however few there were."""
    with transaction(engine) as connection:
        for parent in ("jobs", "batch_outputs", "batch_requests", "key_hashes"):
            names = connection.execute(
                text("""SELECT name FROM predictq.partitions WHERE parent = :parent
                        AND coalesce(first_week > current_date, first_batch_id > 2000000)"""),
                {"parent": parent},
            ).scalars()
            for name in names.all():
                connection.execute(text(f'DROP TABLE predictq."{name}"'))
                connection.execute(text("DELETE FROM predictq.partitions WHERE name = :name"), {"name": name})
    assert "made" in PartitionsAhead().run(as_upkeep(engine), database_clock(engine))
    with transaction(engine) as connection:
        state = read_upkeep_state(connection)
    assert state.job_days_ahead > 55
    assert state.batch_ranges_ahead >= 8
    assert PartitionsAhead().run(as_upkeep(engine), database_clock(engine)) == ""


def test_more_ranges_are_made_where_they_are_used_up_quickly(engine: Engine) -> None:
    """Three weeks at the rate of the last week lie ahead."""
    for _ in range(5):
        change(engine, "SELECT predictq.close_batch_partition()")
    PartitionsAhead().run(as_upkeep(engine), database_clock(engine))
    with transaction(engine) as connection:
        assert read_upkeep_state(connection).batch_ranges_ahead >= 15


def test_a_large_partition_is_closed(engine: Engine) -> None:
    """Batch ids go on in the next range once the open one is larger than the setting."""
    store_bulk(engine, NOW, [list(range(500))], add_version(engine))
    clock = database_clock(engine)
    assert PartitionClosing(2**28).run(as_upkeep(engine), clock) == ""
    assert "MB" in PartitionClosing(1024).run(as_upkeep(engine), clock)
    assert scalar(engine, "SELECT nextval('predictq.batch_ids') > 1000000") is True
    assert scalar(engine, "SELECT count(*) FROM predictq.partitions WHERE closed_at IS NOT NULL") == 3


def test_a_partition_is_closed_after_a_month(engine: Engine) -> None:
    """Four weeks begun since its first page are enough; an empty one stays open for ever."""
    closing = PartitionClosing(2**28)
    assert closing.run(as_upkeep(engine), lambda: NOW + timedelta(days=400)) == ""
    store_singles(engine, NOW, [1], add_version(engine))
    assert closing.run(as_upkeep(engine), lambda: NOW + timedelta(days=20)) == ""
    assert "month" in closing.run(as_upkeep(engine), lambda: NOW + timedelta(days=35))


def test_what_has_expired_is_deleted(engine: Engine) -> None:
    """Files, errands, figures and workers go when their time is over; what is younger stays."""
    old, young = NOW - timedelta(days=3), NOW + timedelta(days=1)
    for at in (old, young):
        change(engine, "INSERT INTO predictq.uploads (id, owner, media_type, expires_at) "
                       "VALUES (gen_random_uuid(), 'a', 'text/csv', :at)", at=at)  # fmt: skip
        change(
            engine, "INSERT INTO predictq.upload_pieces SELECT id, 0, 'x' FROM predictq.uploads ON CONFLICT DO NOTHING"
        )
        change(engine, "INSERT INTO predictq.exports (id, owner, media_type, expires_at) "
                       "VALUES (gen_random_uuid(), 'a', 'text/csv', :at)", at=at)  # fmt: skip
        change(engine, "INSERT INTO predictq.errands (id, kind, owner, arguments, status, created_at, finished_at) "
                       "VALUES (gen_random_uuid(), 'count', 'a', '{}', 'done', :at, :at)", at=at)  # fmt: skip
        change(engine, "INSERT INTO predictq.samples (at, name, value) VALUES (:at, 'x', 1)", at=at)
        change(engine, "INSERT INTO predictq.workers (name, heartbeat_at) VALUES (:name, :at)", name=str(at), at=at)
    outcome = Expiry().run(as_upkeep(engine), lambda: NOW)
    assert outcome == "1 uploads, 1 exports, 1 errands, 1 samples, 1 workers"
    for table in ("uploads", "upload_pieces", "exports", "errands", "samples", "workers"):
        assert scalar(engine, f"SELECT count(*) FROM predictq.{table}") == 1, table


def test_an_idempotency_key_lives_as_long_as_its_job(engine: Engine) -> None:
    """A key goes when the partition of its job has gone, and 30 days have passed; not before."""
    version = add_version(engine)
    old = NOW - timedelta(days=90)
    make_week(engine, old)
    kept = store_singles(engine, old, [1], version)
    for key, at, job_id in (
        ("kept", old, str(kept.job_ids[0])),
        ("gone", old - timedelta(days=30), "01900000-0000-7000-8000-000000000001"),
    ):
        change(
            engine,
            "INSERT INTO predictq.idempotency_keys VALUES ('a', :key, 'h', :job, :at)",
            key=key,
            job=job_id,
            at=at,
        )
    change(
        engine, "UPDATE predictq.idempotency_keys SET job_id = predictq.first_uuid_of(created_at) WHERE key = 'gone'"
    )
    assert Expiry().run(as_upkeep(engine), lambda: NOW) == "1 idempotency keys"
    assert scalar(engine, "SELECT key FROM predictq.idempotency_keys") == "kept"


def test_samples_are_written_once_a_minute(engine: Engine) -> None:
    """Figures by queue, and the rate of the minute that has ended by queue and model."""
    minute = NOW.replace(second=0, microsecond=0)
    store_singles(engine, minute - timedelta(seconds=30), [1, 2, 3], add_version(engine))
    for _ in range(2):
        Samples().run(as_upkeep(engine), lambda: minute + timedelta(seconds=5))
    with transaction(engine) as connection:
        rows = connection.execute(text("SELECT name, queue, model, value FROM predictq.samples ORDER BY 1, 2")).all()
    assert [tuple(row) for row in rows if row.name == "rows_per_second"] == [
        ("rows_per_second", "interactive", "default", pytest.approx(3 / 60))
    ]
    assert sum(row.name == "waiting_rows" for row in rows) == 3
    assert sum(row.name == "oldest_seconds" for row in rows) == 3


def test_a_minute_in_which_nobody_looked_is_made_up_for(engine: Engine) -> None:
    """Its answers are in a sample of their own minute, once, and so are those of the minutes around it."""
    minute = NOW.replace(second=0, microsecond=0)
    version = add_version(engine)
    for number in range(3):
        store_singles(engine, minute + timedelta(minutes=number, seconds=30), [1] * (number + 1), version)
    for seconds in (5, 185, 190):  # nobody looked in the second minute, and nobody in the third
        Samples().run(as_upkeep(engine), lambda: minute + timedelta(seconds=seconds))  # noqa: B023 - called at once
    with transaction(engine) as connection:
        rows = connection.execute(
            text("SELECT at, value * 60 FROM predictq.samples WHERE name = 'rows_per_second' ORDER BY at")
        ).all()
    assert [tuple(row) for row in rows] == [
        (minute + timedelta(minutes=number), pytest.approx(number)) for number in (1, 2, 3)
    ]


class Failing:
    name = "failing"
    every_seconds = 3600.0

    def run(self, engine: Engine, clock: Clock) -> str:
        raise PredictqError("no room")


class Counting:
    name = "counting"
    every_seconds = 3600.0
    runs = 0

    def run(self, engine: Engine, clock: Clock) -> str:
        self.runs += 1
        return "counted"


def test_a_duty_that_fails_keeps_none_back_and_is_tried_again(engine: Engine) -> None:
    """The others run; the failure is noted and comes round after a minute, what succeeded after its own time."""
    now = NOW
    counting = Counting()
    rounds = Rounds(as_upkeep(engine), [Failing(), counting], lambda: now)
    assert rounds.run_due() == ["failing", "counting"]
    assert rounds.run_due() == []
    with transaction(engine) as connection:
        assert read_upkeep_state(connection).failing == {"failing": "no room"}
    now += timedelta(seconds=61)
    assert rounds.run_due() == ["failing"]
    now += timedelta(hours=1)
    Rounds(as_upkeep(engine), [counting], lambda: now).run_due()
    assert counting.runs == 2


def test_pauses_grow_while_a_duty_fails(engine: Engine) -> None:
    """From a minute to its own pause, an hour at most; once it succeeds they are its own again."""
    now = NOW
    failing = Failing()
    rounds = Rounds(as_upkeep(engine), [failing], lambda: now)
    pauses = []
    rounds.run_due()
    for _ in range(8):
        began = now
        while not rounds.run_due():
            now += timedelta(seconds=30)
        pauses.append((now - began).total_seconds() / 60)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_duty_that_ran_in_the_future_is_due(engine: Engine) -> None:
    """A clock was ahead, or the database comes from a server whose clock was: nothing waits until then."""
    counting = Counting()
    Rounds(as_upkeep(engine), [counting], lambda: NOW + timedelta(days=400)).run_due()
    with transaction(engine) as connection:
        (duty,) = read_duties(connection)
    assert duty.is_late
    rounds = Rounds(as_upkeep(engine), [counting], lambda: NOW)
    assert (rounds.run_due(), rounds.run_due()) == (["counting"], [])
    with transaction(engine) as connection:
        (duty,) = read_duties(connection)
    assert not duty.is_late


def test_a_run_that_is_under_way_is_known(engine: Engine) -> None:
    """With when it began, so that one that hangs can be told; nothing of it stays when it has ended."""
    seen: list[DutyState] = []

    class Looking(Counting):
        def run(self, engine: Engine, clock: Clock) -> str:
            with transaction(engine) as connection:
                seen.extend(read_duties(connection))
            return super().run(engine, clock)

    Rounds(as_upkeep(engine), [Looking()], lambda: NOW - timedelta(hours=3)).run_due()
    assert seen[0].hangs
    with transaction(engine) as connection:
        (duty,) = read_duties(connection)
    assert (duty.running_seconds, duty.is_late) == (None, False)


def test_only_one_has_a_turn(engine: Engine) -> None:
    """A second asks in vain until the first has ended."""
    with try_turn(engine, Turn.UPKEEP) as first:
        assert first is not None
        with try_turn(engine, Turn.UPKEEP) as second:
            assert second is None
    with try_turn(engine, Turn.UPKEEP) as third:
        assert third is not None


def test_lost_connections_end_no_upkeep(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    """Its lock goes with its connection: it waits, takes its turn again, and says so in a line without a traceback."""
    log = tmp_path / "log"

    def turns() -> int:
        return log.read_text().count("upkeep is at work") if log.exists() else 0

    with upkeep_process(settings, log) as process:
        wait_until(lambda: turns() == 1, what="it is at work")
        change(
            engine,
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name LIKE 'upkeep@%'""",
        )
        wait_until(lambda: turns() == 2, what="it is at work again")
        assert process.poll() is None
    assert "Traceback" not in log.read_text()


def test_a_right_that_is_missing_ends_no_upkeep(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    """It says so in a line without a traceback, with what to do, and goes on once it has the right."""
    log = tmp_path / "log"
    change(engine, "REVOKE SELECT, INSERT, UPDATE ON predictq.duties FROM predictq_upkeep")
    with upkeep_process(settings, log) as process:
        wait_until(
            lambda: log.exists() and "permission denied for table duties" in log.read_text(), what="the reason is said"
        )
        assert process.poll() is None
        change(engine, "GRANT SELECT, INSERT, UPDATE ON predictq.duties TO predictq_upkeep")
        wait_until(lambda: scalar(engine, "SELECT count(*) FROM predictq.duties WHERE is_ok") == 9, what="it goes on")
    assert "predictq doctor" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_second_process_takes_over(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    """One process is at work, another waits, and goes on when the first is killed; SIGTERM ends it in good order."""
    first_log, second_log = tmp_path / "first", tmp_path / "second"

    def is_at_work(log: Path) -> bool:
        return log.exists() and "upkeep is at work" in log.read_text()

    with upkeep_process(settings, first_log) as first:
        wait_until(lambda: is_at_work(first_log), what="the first is at work")
        with upkeep_process(settings, second_log) as second:
            wait_until(
                lambda: second_log.exists() and "upkeep starts" in second_log.read_text(), what="the second starts"
            )
            assert not is_at_work(second_log)
            first.send_signal(signal.SIGKILL)
            wait_until(lambda: is_at_work(second_log), what="the second took over")
            duties = len([*prompt_duties(), *long_duties(settings)])
            wait_until(lambda: scalar(engine, "SELECT count(*) FROM predictq.duties") == duties, what="all duties ran")
            second.send_signal(signal.SIGTERM)
            assert second.wait(30) == 0
    with transaction(engine) as connection:
        assert read_upkeep_state(connection).failing == {}


def test_an_act_is_recorded_with_the_act(engine: Engine) -> None:
    """A line of the audit log has who, what, before and after; it cannot be changed."""
    with transaction(engine) as connection:
        record_act(connection, "api key", "ann", "retention.set", "churn", {"keep_for": None}, {"keep_for": "1 year"})
    with transaction(engine) as connection:
        row = connection.execute(
            text("SELECT actor, action, object, before, after, reason FROM predictq.audit_log")
        ).one()
    assert tuple(row) == ("ann", "retention.set", "churn", {"keep_for": None}, {"keep_for": "1 year"}, None)
    with pytest.raises(Exception, match="append-only"), transaction(engine) as connection:
        connection.execute(text("DELETE FROM predictq.audit_log"))
