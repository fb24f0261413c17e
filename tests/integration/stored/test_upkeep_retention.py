"""Retention: what is due goes whole, what is held stays, and the row accounting balances all the while."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, text

from shared.batches.row_accounting import read_row_account
from shared.errors import JobUnknown, PredictionUnknown
from shared.jobs.records import read_job
from shared.jobs.trace import read_trace
from shared.postgres.engine import transaction
from shared.retention.cutoffs import read_cutoffs
from shared.retention.report import Report
from shared.retention.rules.errors import BelowFloor, DoesNotAddUp, FloorRefused, HoldsChanged, PeriodRefused
from shared.retention.rules.holds import add_hold, list_holds, release_hold
from shared.retention.rules.policy import read_policy, set_floor, set_period
from shared.retention.run import dry_run, run_retention
from tests.integration.stored.upkeep_support import (
    Stored,
    add_version,
    close_range,
    count_rows,
    make_week,
    store_bulk,
    store_singles,
)
from tests.roles import as_upkeep
from tests.support import read_results

NOW = datetime.now(UTC)
OLD = (NOW - timedelta(days=420)).replace(hour=12)
MONDAY = (OLD - timedelta(days=OLD.weekday())).replace(hour=12)
NOTHING = {"jobs": 0, "batch_requests": 0, "batch_outputs": 0, "key_hashes": 0}


def let_go(engine: Engine, **options: object) -> Report:
    return run_retention(as_upkeep(engine), NOW, settle_seconds=0, **options)  # type: ignore[arg-type]


def partitions(engine: Engine) -> set[str]:
    with transaction(engine) as connection:
        return set(connection.execute(text("SELECT name FROM predictq.partitions")).scalars())


def require_balance(engine: Engine, rows: int) -> None:
    with transaction(engine) as connection:
        account = read_row_account(connection)
    assert account.accepted == rows
    assert account.imbalance == 0


def test_what_is_due_goes_with_its_partitions(engine: Engine, version: int) -> None:
    """Singles and bulk jobs of a week that is due leave nothing but their counts, and their partitions are gone."""
    store_singles(engine, MONDAY, [1, 2, 3], version, failed=[1])
    bulk = store_bulk(engine, MONDAY + timedelta(days=1), [[4, 5], [6]], version)
    close_range(engine)
    before = partitions(engine)
    report = let_go(engine)
    assert count_rows(engine) == NOTHING
    gone = before - partitions(engine)
    assert {name.rstrip("0123456789w") for name in gone} >= {
        "jobs_",
        "batch_outputs_",
        "batch_requests_",
        "key_hashes_",
    }
    assert set(report.partitions) == gone
    assert [(m.model, m.jobs, m.pages, m.answers) for m in report.models] == [("default", 4, 3, 6)]
    require_balance(engine, 6)
    with transaction(engine) as connection:
        days = connection.execute(
            text("""SELECT day, kind, jobs, accepted, succeeded, failed FROM predictq.daily_counts ORDER BY day""")
        ).all()
        with pytest.raises(JobUnknown):
            read_job(connection, bulk.job_ids[0], "tester")
    assert [tuple(day) for day in days] == [
        (MONDAY.date(), "single", 3, 3, 2, 1),
        (MONDAY.date() + timedelta(days=1), "bulk", 1, 3, 3, 0),
    ]


def test_what_is_not_due_stays(engine: Engine, version: int) -> None:
    """A page younger than its period stays, with its job; so does all where nothing says how long to keep it."""
    store_singles(engine, NOW - timedelta(days=300), [1], version)
    close_range(engine)
    assert let_go(engine).models == []
    with transaction(engine) as connection:
        set_period(connection, "for ever")
    store_singles(engine, OLD, [1], version)
    close_range(engine)
    assert let_go(engine).models == []
    assert count_rows(engine)["jobs"] == 2


def test_due_pages_leave_the_open_partition(engine: Engine, version: int) -> None:
    """What is due goes in the same run where its partition must stay: page and jobs together."""
    due = store_singles(engine, OLD, [1, 2], version)
    young = store_singles(engine, NOW - timedelta(days=10), [3], version)
    bulk = store_bulk(engine, OLD, [[1], [2]], version)
    report = let_go(engine)
    assert count_rows(engine) == {"jobs": 1, "batch_requests": 1, "batch_outputs": 1, "key_hashes": 1}
    assert sum(model.jobs for model in report.models) == 3
    require_balance(engine, 5)
    with transaction(engine) as connection:
        assert read_job(connection, young.job_ids[0], "tester").status == "succeeded"
        for job_id in due.job_ids + bulk.job_ids:
            with pytest.raises(JobUnknown):
                read_job(connection, job_id, "tester")
        with pytest.raises(PredictionUnknown):
            read_trace(connection, f"{due.batch_ids[0]}-0", "tester")


def test_jobs_at_the_border_do_not_hold_up_their_partitions(engine: Engine, version: int) -> None:
    """A page with jobs of two weeks, one of which stays, goes one by one; the rest goes with the partition."""
    recent = NOW - timedelta(days=380)  # the range is due, but not all of this week is
    store_singles(engine, MONDAY, [1, 2], version)
    close_range(engine)
    mixed = store_singles(engine, recent, [3], version, answered_at=OLD)
    close_range(engine)
    store_singles(engine, recent, [4], version)
    let_go(engine)
    assert count_rows(engine) == {"jobs": 1, "batch_requests": 1, "batch_outputs": 1, "key_hashes": 1}
    require_balance(engine, 4)
    with transaction(engine) as connection, pytest.raises(JobUnknown):
        read_job(connection, mixed.job_ids[0], "tester")


def test_a_bulk_job_waits_for_its_last_page(engine: Engine, version: int) -> None:
    """A job that ended after the cutoff keeps its early pages, also those in a partition that is else due."""
    store_singles(engine, MONDAY, [1], version)
    job = store_bulk(engine, MONDAY, [[2]], version)
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE predictq.jobs SET finished_at = :at WHERE id = :id"),
            {"at": NOW - timedelta(days=10), "id": str(job.job_ids[0])},
        )
    close_range(engine)
    let_go(engine)
    assert count_rows(engine)["batch_outputs"] == 1
    require_balance(engine, 2)


def test_a_job_that_selected_nobody_goes_too(engine: Engine, version: int) -> None:
    """Jobs without pages are due by their end, in weeks that go and in weeks that stay."""
    store_bulk(engine, MONDAY, [], version)
    hindered = store_bulk(engine, MONDAY + timedelta(weeks=1), [], version)
    store_singles(engine, MONDAY + timedelta(weeks=1), [1], version, answered_at=NOW - timedelta(days=1))
    let_go(engine)
    with transaction(engine) as connection:
        left = connection.execute(text("SELECT kind FROM predictq.jobs")).scalars().all()
        with pytest.raises(JobUnknown):
            read_job(connection, hindered.job_ids[0], "tester")
    assert left == ["single"]


def test_one_model_goes_earlier(engine: Engine, version: int) -> None:
    """Where two models share a partition, the pages of the one that is due go, and the other's stay."""
    other = add_version(engine, "churn")
    with transaction(engine) as connection:
        set_period(connection, "7 months", model="churn")
    at = NOW - timedelta(days=300)
    store_singles(engine, at, [1], version)
    store_singles(engine, at, [2], other)
    store_bulk(engine, at, [[3]], other)
    close_range(engine)
    report = let_go(engine)
    assert [model.model for model in report.models] == ["churn"]
    assert count_rows(engine)["jobs"] == 1
    require_balance(engine, 3)


def test_a_dry_run_says_what_would_go_and_takes_nothing(engine: Engine, version: int) -> None:
    """The dry run names partitions, jobs, pages, answers and bytes, and all of it is still there."""
    store_singles(engine, MONDAY, [1, 2], version)
    close_range(engine)
    report = dry_run(as_upkeep(engine), NOW, settle_seconds=0).to_json()
    assert (report["jobs"], report["pages"], report["answers"]) == (2, 1, 2)
    assert report["bytes"] > 0
    assert any(name.startswith("jobs_") for name in report["partitions"])
    assert count_rows(engine)["jobs"] == 2


@pytest.mark.parametrize("held", ["model", "job", "client", "bulk job", "client of a bulk job"])
def test_a_hold_keeps(engine: Engine, version: int, held: str) -> None:
    """Nothing of a held model, job or client goes; released, it goes with the next run."""
    singles = store_singles(engine, MONDAY, [1, 2], version)
    bulk = store_bulk(engine, MONDAY, [[3, 4], [5]], version)
    close_range(engine)
    what: dict[str, dict[str, object]] = {
        "model": {"model": "default"},
        "job": {"job_id": singles.job_ids[1]},
        "client": {"client_key": "2"},
        "bulk job": {"job_id": bulk.job_ids[0]},
        "client of a bulk job": {"client_key": "5", "source": "clients"},
    }
    with transaction(engine) as connection:
        hold = add_hold(connection, reason="lawsuit", actor="ann", **what[held])  # type: ignore[arg-type]
    let_go(engine)
    kept = {row for row, there in _there(engine, singles, bulk).items() if there}
    expected = {"model": {"singles", "bulk"}, "job": {"singles"}, "client": {"singles"}}
    assert kept == expected.get(held, {"bulk"})
    require_balance(engine, 5)
    with transaction(engine) as connection:
        release_hold(connection, hold.id)
        assert list_holds(connection) == []
    let_go(engine)
    assert count_rows(engine) == NOTHING
    require_balance(engine, 5)


def _there(engine: Engine, singles: Stored, bulk: Stored) -> dict[str, bool]:
    def pages(connection: Connection, stored: Stored) -> int:
        query = text("SELECT count(*) FROM predictq.batch_outputs WHERE batch_id = ANY (:ids)")
        found: int = connection.execute(query, {"ids": stored.batch_ids}).scalar_one()
        return found

    with transaction(engine) as connection:
        return {
            "singles": pages(connection, singles) == len(singles.batch_ids),
            "bulk": pages(connection, bulk) == len(bulk.batch_ids),
        }


def test_a_hold_that_comes_during_a_run_is_obeyed(engine: Engine, version: int) -> None:
    """A run stops where a hold came after it looked, before it takes anything."""
    store_singles(engine, MONDAY, [1], version)
    close_range(engine)

    def hold(*_: object) -> None:
        with transaction(engine) as connection:
            add_hold(connection, reason="lawsuit", actor="ann", model="default")

    with pytest.raises(HoldsChanged):
        let_go(engine, before_going=hold)
    let_go(engine)
    assert count_rows(engine)["jobs"] == 1


def test_a_run_that_was_cut_off_is_gone_on_with(engine: Engine, version: int) -> None:
    """Partitions that are marked count as gone at once, and the next run takes them away."""
    store_singles(engine, MONDAY, [1, 2], version)
    close_range(engine)
    reader = engine.connect()
    try:
        reader.execute(text("SELECT count(*) FROM predictq.jobs"))  # in a transaction that stays open
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("shared.retention.statements._TRIES", 1)
            with pytest.raises(Exception, match="does not answer"):
                let_go(engine)
        require_balance(engine, 2)
    finally:
        reader.close()
    let_go(engine)
    assert count_rows(engine) == NOTHING
    require_balance(engine, 2)


def test_jobs_that_lack_their_pages_stop_the_run(engine: Engine, version: int) -> None:
    """Where jobs and pages do not have the same rows, nothing goes: an error is not covered up by a deletion."""
    stored = store_singles(engine, MONDAY, [1, 2], version)
    close_range(engine)
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        connection.execute(text("DELETE FROM predictq.jobs WHERE id = :id"), {"id": str(stored.job_ids[0])})
    with pytest.raises(DoesNotAddUp):
        let_go(engine)
    assert count_rows(engine)["batch_outputs"] == 1


def test_counts_that_differ_stop_the_run(engine: Engine, version: int) -> None:
    """Where a job says that it failed and its page has an answer, their partitions stay."""
    stored = store_singles(engine, MONDAY, [1, 2], version)
    close_range(engine)
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE predictq.jobs SET status = 'failed', finished_at = created_at WHERE id = :id"),
            {"id": str(stored.job_ids[0])},
        )
    with pytest.raises(DoesNotAddUp):
        let_go(engine)
    assert count_rows(engine)["jobs"] == 2
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.daily_counts")).scalar_one() == 0


def test_an_idempotency_key_goes_with_its_job(engine: Engine, version: int) -> None:
    """A key of a job that is deleted page by page is gone with it, so that the key can be used anew."""
    due = store_singles(engine, OLD, [1], version)
    store_singles(engine, NOW, [1], version)
    with transaction(engine) as connection:
        connection.execute(
            text("""INSERT INTO predictq.idempotency_keys (owner, key, payload_hash, job_id, created_at)
                    VALUES ('tester', 'k', 'h', :id, :at)"""),
            {"id": str(due.job_ids[0]), "at": OLD},
        )
    let_go(engine)
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.idempotency_keys")).scalar_one() == 0


def test_periods_obey_the_floor(engine: Engine) -> None:
    """A period below the floor is refused with words; a floor never below 30 days; a raised floor counts at once."""
    version = add_version(engine)
    with transaction(engine) as connection:
        with pytest.raises(BelowFloor, match=r"5 months is below the floor.*6 months"):
            set_period(connection, "5 months")
        with pytest.raises(PeriodRefused):
            set_period(connection, "a while")
        with pytest.raises(FloorRefused):
            set_floor(connection, "10 days")
        assert set_floor(connection, "60 days").floor == "60 days"
        policy = set_period(connection, "90 days")
        assert (policy.keep_for, policy.models[0].own) == ("90 days", None)
        with pytest.raises(FloorRefused, match="all models"):
            set_floor(connection, "100 days")
        assert set_period(connection, "for ever", model="default").models[0].keep_for == "for ever"
        assert set_period(connection, None, model="default").models[0].keep_for == "90 days"
        assert read_policy(connection).keep_for == "90 days"
        connection.execute(text("UPDATE predictq.retention_default SET floor = interval '2 years'"))
    store_singles(engine, OLD, [1], version)
    assert let_go(engine).models == []


def test_no_calendar_makes_a_period_shorter_than_the_floor(engine: Engine) -> None:
    """Months have 28 to 31 days: what may be shorter is refused with the days to set, what never is passes."""
    add_version(engine)
    with transaction(engine) as connection:
        for floor, refused, accepted in (
            ("6 months", "180 days", "184 days"),
            ("6 months", "183 days", "6 months"),
            ("12 months", "365 days", "366 days"),
            ("30 days", "1 month", "2 months"),
            ("59 days", "58 days", "2 months"),
            ("3 years", "1095 days", "36 months"),
        ):
            set_period(connection, "for ever")
            set_floor(connection, floor)
            with pytest.raises(BelowFloor, match="is below the floor"):
                set_period(connection, refused)
            set_period(connection, accepted)
            set_period(connection, "90000 years", model="default")
        set_floor(connection, "6 months")
        with pytest.raises(BelowFloor, match=r"180 days is below the floor: .* 6 months, which may be 184 days\."):
            set_period(connection, "180 days")
        with pytest.raises(FloorRefused, match="1 months, which may be 28 days: 30 days is the least"):
            set_floor(connection, "1 month")
        set_period(connection, "360 days")
        with pytest.raises(FloorRefused, match=r"for all models\..* to 12 months or 366 days at least"):
            set_floor(connection, "12 months")


def test_a_period_that_an_earlier_version_let_pass_takes_nothing_before_the_floor(engine: Engine) -> None:
    """The earlier of both moments counts, on each day of the calendar."""
    version = add_version(engine)
    with transaction(engine) as connection:
        for period, floor in (("180 days", "6 months"), ("1 month", "30 days"), ("360 days", "12 months")):
            connection.execute(
                text("""UPDATE predictq.retention_default
                        SET keep_for = CAST(:period AS interval), floor = CAST(:floor AS interval)"""),
                {"period": period, "floor": floor},
            )
            for days in range(0, 400, 3):
                now = datetime(2027, 1, 1, tzinfo=UTC) + timedelta(days=days)
                earliest = connection.execute(
                    text("""SELECT least(CAST(:now AS timestamptz) - CAST(:floor AS interval),
                                         CAST(:now AS timestamptz) - CAST(:period AS interval))"""),
                    {"now": now, "period": period, "floor": floor},
                ).scalar_one()
                assert read_cutoffs(connection, now)[version].before == earliest, (period, floor, now)


def test_an_old_empty_week_goes(engine: Engine, version: int) -> None:
    """A week without jobs leaves no partition behind for ever."""
    make_week(engine, MONDAY)
    before = partitions(engine)
    report = let_go(engine)
    assert before - partitions(engine) == set(report.partitions) != set()


def test_keys_of_other_forms_can_be_held(engine: Engine, version: int) -> None:
    """A client whose key is no number is held by its text."""
    stored = store_singles(engine, MONDAY, [1], version)
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        connection.execute(
            text("UPDATE predictq.batch_requests SET keys_int8 = NULL, keys_text = ARRAY['Müller; \"x\"']")
        )
        add_hold(connection, reason="lawsuit", actor="ann", client_key='Müller; "x"')
        add_hold(connection, reason="lawsuit", actor="ann", client_key="12345678901234567890123")
    close_range(engine)
    let_go(engine)
    with transaction(engine) as connection:
        kept: list[UUID] = list(connection.execute(text("SELECT id FROM predictq.jobs")).scalars())
    assert kept == stored.job_ids


class BareRewriter:
    """Stands in for what opens pages: tells what it was asked."""

    def features(self, data: bytes, gone: Collection[int]) -> bytes:
        return data + bytes(gone)

    def key_filter(self, hashes: Sequence[int]) -> bytes:
        return b"filter of %d" % len(hashes)


def test_a_page_that_is_held_keeps_the_held_rows_alone(engine: Engine, version: int) -> None:
    """Of a page of single jobs the held row stays, under its id; the others are as if they had never been."""
    stored = store_singles(engine, MONDAY, [1, 2, 3], version, failed=[0, 1])
    close_range(engine)
    with transaction(engine) as connection:
        add_hold(connection, reason="lawsuit", actor="ann", client_key="2")
    for rows in (2, 0):
        assert dry_run(engine, NOW, settle_seconds=0).thinned_rows == rows
        assert let_go(engine, rewriter=BareRewriter()).thinned_rows == rows
    require_balance(engine, 3)
    with transaction(engine) as connection:
        page = connection.execute(
            text("""SELECT o."values" AS answers, o.error_rows, o.gone_rows, o.succeeded, o.failed,
                           r.keys_int8, r.job_ids
                    FROM predictq.batch_outputs o JOIN predictq.batch_requests r USING (batch_id)""")
        ).one()
        shown = [
            connection.execute(text(f"SELECT request_id FROM predictq.{view}")).scalars().all()
            for view in ("prediction_requests", "prediction_outputs", "prediction_trace")
        ]
        hashes = connection.execute(text("SELECT count(*) FROM predictq.key_hashes")).scalar_one()
        assert read_job(connection, stored.job_ids[1], "tester").status == "failed"
        with pytest.raises(JobUnknown):
            read_job(connection, stored.job_ids[0], "tester")
        (hold,) = list_holds(connection)
    assert (page.answers, page.error_rows, page.gone_rows) == ([None, 0.25, None], [1], [0, 2])
    assert (page.succeeded, page.failed) == (0, 1)
    assert (page.keys_int8, page.job_ids) == ([None, 2, None], [None, stored.job_ids[1], None])
    assert shown == [[f"{stored.batch_ids[0]}-1"]] * 3
    assert hashes <= 1
    with transaction(engine) as connection:
        release_hold(connection, hold.id)
    let_go(engine)
    assert count_rows(engine) == NOTHING
    require_balance(engine, 3)


def test_a_bulk_job_that_is_held_keeps_the_held_rows_alone(engine: Engine, version: int) -> None:
    """Pages without a held row go, the others lose their rows, and the job says how many it has now."""
    stored = store_bulk(engine, MONDAY, [[1, 2, 3], [4, 5], [2, 6]], version)
    close_range(engine)
    with transaction(engine) as connection:
        hold = add_hold(connection, reason="lawsuit", actor="ann", client_key="2")
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        connection.execute(text("UPDATE predictq.batch_outputs SET features = 'x', key_filter = 'y'"))
    assert dry_run(engine, NOW, settle_seconds=0).thinned_rows == 5
    assert let_go(engine, rewriter=BareRewriter()).thinned_rows == 5
    require_balance(engine, 7)
    with transaction(engine) as connection:
        job = read_job(connection, stored.job_ids[0], "tester")
        rows = read_results(connection, stored.job_ids[0], end=10**9)
        with pytest.raises(PredictionUnknown):
            read_trace(connection, f"{stored.batch_ids[0]}-0", "tester")
        shown = connection.execute(text("SELECT client_id FROM predictq.prediction_requests")).scalars().all()
        kept = connection.execute(text("SELECT key_filter FROM predictq.batch_outputs")).scalars().all()
    assert (job.total, job.succeeded) == (2, 2)
    assert shown == ["2", "2"]
    assert [(row["request_id"], row["client_id"]) for row in rows] == [
        (f"{stored.batch_ids[0]}-1", 2),
        (f"{stored.batch_ids[2]}-0", 2),
    ]
    assert [bytes(one) for one in kept] == [b"filter of 1"] * 2
    with transaction(engine) as connection:
        release_hold(connection, hold.id)
    let_go(engine)
    assert count_rows(engine) == NOTHING
    require_balance(engine, 7)


def test_the_owner_of_the_tables_can_run_it(engine: Engine, version: int) -> None:
    """As `retention run --export` does: its role may be called predictq, and names then lack the schema."""
    store_bulk(engine, OLD, [[1, 2], [3]], version)
    close_range(engine)
    store_singles(engine, OLD, [4, 5], version)
    store_singles(engine, NOW, [6], version)
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT 'predictq.jobs'::regclass::text")).scalar_one() == "jobs"
    report = run_retention(engine, NOW, settle_seconds=0)
    assert report.to_json()["answers"] == 5
    assert "batch_outputs_0" in report.partitions
    require_balance(engine, 6)
