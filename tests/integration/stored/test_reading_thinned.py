"""Readers of answers beside retention: they see what is left, or are told that rows went; half a job is never whole."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import IO, Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Connection, Engine, text

from api.jobs.downloads import Copy
from shared.config import Settings
from shared.erasure.keys import ClientKey
from shared.errors import JobUnknown, ResultsGone
from shared.exports import ExportGone, begin_export
from shared.installation import read_installation
from shared.jobs.result_pages import list_pages
from shared.jobs.result_sql import JobShape, Page
from shared.jobs.results import begin_copy, copy_results, read_errors, read_part, read_shape
from shared.jobs.summary import read_summary
from shared.postgres.engine import autocommit, transaction
from shared.retention.rules.holds import add_hold
from shared.retention.run import run_retention
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.integration.stored.erasure_support import PERSON, erase, key_of
from tests.integration.stored.upkeep_support import close_range, store_bulk
from tests.roles import as_upkeep, as_worker
from worker.exports.result_files import write_rows
from worker.exports.writing import write_export
from worker.upkeep.rewriting import PageRewriter

NOW = datetime.now(UTC)
OLD = (NOW - timedelta(days=420)).replace(hour=12)
MONDAY = (OLD - timedelta(days=OLD.weekday())).replace(hour=12)


def hold(engine: Engine, client: int) -> None:
    """Keep what is stored of a client."""
    with transaction(engine) as connection:
        add_hold(connection, reason="lawsuit", actor="ann", client_key=str(client))


def let_go(engine: Engine) -> None:
    """Let retention take what is due, also out of pages that are held."""
    close_range(engine)
    run_retention(as_upkeep(engine), NOW, rewriter=PageRewriter(), settle_seconds=0)


def cancel_page(engine: Engine, job_id: UUID, batch_id: int) -> None:
    """Make of an answered page one that was cancelled before a worker took it."""
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        values = {"batch": batch_id, "job": str(job_id)}
        connection.execute(
            text("""UPDATE predictq.batch_outputs SET "values" = NULL, succeeded = 0, cancelled = request_count,
                        worker = NULL, threshold = NULL WHERE batch_id = :batch"""),
            values,
        )
        connection.execute(
            text("""UPDATE predictq.jobs j SET status = 'cancelled', cancelled_at = j.created_at,
                        succeeded = j.succeeded - o.cancelled, cancelled = o.cancelled
                    FROM predictq.batch_outputs o WHERE j.id = :job AND o.batch_id = :batch"""),
            values,
        )


def clients_of(engine: Engine, job_id: UUID) -> list[list[int]]:
    """The clients of a job's rows by each way to read them: parts of one row, one part, NDJSON and CSV."""
    as_json, as_csv = io.BytesIO(), io.BytesIO()
    with autocommit(engine) as connection:
        whole = read_part(connection, job_id, end=2**60, after=None, limit=1000)
        after, has_more, parts = None, True, []
        while has_more:
            part = read_part(connection, job_id, end=2**60, after=after, limit=1)
            parts += json.loads(b"[%b]" % part.rows)
            after, has_more = part.last, part.has_more
        copy_results(connection, job_id, end=2**60, target=as_json, as_json=True)
        copy_results(connection, job_id, end=2**60, target=as_csv)
    read = [parts, json.loads(b"[%b]" % whole.rows), [json.loads(line) for line in as_json.getvalue().splitlines()]]
    found = [[row["client_id"] for row in rows] for rows in read]
    return [*found, [int(line.split(b",")[1]) for line in as_csv.getvalue().splitlines()[1:]]]


def test_a_cancelled_row_that_is_held_is_no_answer(engine: Engine, version: int) -> None:
    """It gave no row before retention thinned its page, and gives none after; nor is its page one that was scored."""
    stored = store_bulk(engine, MONDAY, [[1, 2, 3], [2, 4]], version)
    (job_id,) = stored.job_ids
    cancel_page(engine, job_id, stored.batch_ids[0])
    assert clients_of(engine, job_id) == [[2, 4]] * 4
    hold(engine, 2)
    let_go(engine)
    assert clients_of(engine, job_id) == [[2]] * 4
    with autocommit(engine) as connection:
        summary = read_summary(connection, job_id)
        assert read_errors(connection, job_id, end=2**60, after=None, limit=10).count == 0
    assert [(part.done, part.rows) for part in summary.strip] == [(1, 1)]


WAYS: list[dict[str, Any]] = [
    {"as_json": as_json, "only_errors": only_errors} for as_json in (False, True) for only_errors in (False, True)
]


def begin(engine: Engine, job_id: UUID, target: IO[bytes], **way: Any) -> list[Copy]:
    """A download's first page; the others are returned."""
    with autocommit(engine) as connection:
        return begin_copy(connection, target, job_id=job_id, end=2**60, **way)


def go_on(engine: Engine, copies: Sequence[Copy], target: IO[bytes]) -> None:
    """The other pages of a download."""
    for copy in copies:
        with autocommit(engine) as connection:
            copy(connection, target)


def fail_row(engine: Engine, batch_ids: Sequence[int]) -> None:
    """Let the last row of each page have an error."""
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        connection.execute(
            text("""WITH failed AS (
                        UPDATE predictq.batch_outputs SET "values"[request_count] = NULL, failed = 1,
                            succeeded = succeeded - 1, error_rows = ARRAY[request_count - 1], error_codes = '{odd}',
                            error_details = '{odd}'
                        WHERE batch_id = ANY (CAST(:ids AS bigint[])) RETURNING job_id)
                    UPDATE predictq.jobs j SET succeeded = j.succeeded - n.failed, failed = n.failed
                    FROM (SELECT job_id, count(*) AS failed FROM failed GROUP BY 1) n WHERE j.id = n.job_id"""),
            {"ids": list(batch_ids)},
        )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("held", [None, 5])
def test_a_download_does_not_end_where_rows_went(
    engine: Engine, version: int, way: dict[str, Any], held: int | None
) -> None:
    """Retention takes the job, or all rows of it but one client's, between two pages: what follows is an error."""
    stored = store_bulk(engine, MONDAY, [[1, 2, 3], [4, 5], [6, 5]], version)
    if way["only_errors"]:
        fail_row(engine, stored.batch_ids)
    if held:
        hold(engine, held)
    target = io.BytesIO()
    copies = begin(engine, stored.job_ids[0], target, **way)
    assert len(copies) >= 2
    let_go(engine)
    for wrong in [copies, copies[-1:]]:
        with pytest.raises(ResultsGone):
            go_on(engine, wrong, target)


def test_a_download_that_has_met_no_row_that_went_is_whole(engine: Engine, version: int) -> None:
    """What retention left before it began is left out, and what it takes from other jobs is not its business."""
    stored = store_bulk(engine, MONDAY, [[1, 2, 3], [2, 5], [6, 2]], version)
    store_bulk(engine, MONDAY, [[7]], version)
    hold(engine, 2)
    fail_row(engine, stored.batch_ids[2:])
    let_go(engine)
    assert clients_of(engine, stored.job_ids[0]) == [[2, 2, 2]] * 4
    for way in WAYS:
        target = io.BytesIO()
        copies = begin(engine, stored.job_ids[0], target, **way)
        store_bulk(engine, MONDAY, [[8]], version)
        let_go(engine)
        go_on(engine, copies, target)
        assert target.getvalue().count(b"\n") == (1 if way["only_errors"] else 3) + (not way["as_json"])


def make_findable(engine: Engine, batch_id: int) -> ClientKey:
    """Note that the person is in a small page, as a worker does. Her key is returned."""
    key = key_of(engine)
    with transaction(engine) as connection:
        values = {"hash": key.hash(read_installation(connection).hash_secret), "batch": batch_id}
        connection.execute(text("INSERT INTO predictq.key_hashes (hash, batch_id) VALUES (:hash, :batch)"), values)
    return key


@pytest.mark.parametrize("way", WAYS)
def test_who_is_erased_during_a_download_is_told_as_erased(engine: Engine, version: int, way: dict[str, Any]) -> None:
    """Her row on a page that was not sent yet is no row without answer and without error, and none that is missing."""
    stored = store_bulk(engine, NOW - timedelta(days=1), [[1, 2], [3, PERSON, 4], [5]], version)
    if way["only_errors"]:
        fail_row(engine, stored.batch_ids)
    key = make_findable(engine, stored.batch_ids[1])
    target = io.BytesIO()
    copies = begin(engine, stored.job_ids[0], target, **way)
    erase(engine, key)
    go_on(engine, copies, target)
    content = target.getvalue()
    rows = (
        list(csv.DictReader(io.StringIO(content.decode())))
        if not way["as_json"]
        else [json.loads(line) for line in content.splitlines()]
    )
    assert len(rows) == (4 if way["only_errors"] else 6)
    assert [row["error_code"] for row in rows if row["request_id"] == f"{stored.batch_ids[1]}-1"] == ["erased"]
    assert str(PERSON).encode() not in content


@pytest.mark.parametrize("only_errors", [False, True])
@pytest.mark.parametrize("held", [None, 5])
def test_a_part_has_all_rows_or_is_none(
    engine: Engine, version: int, monkeypatch: pytest.MonkeyPatch, only_errors: bool, held: int | None
) -> None:
    """Rows that go while a part is read are not missing in its middle: it is read anew, or the job is unknown."""
    stored = store_bulk(engine, MONDAY, [[1, 2, 3], [4, 5], [6, 5]], version)
    (job_id,) = stored.job_ids
    if only_errors:
        fail_row(engine, stored.batch_ids)
    if held:
        hold(engine, held)
    meanwhile(monkeypatch, lambda: let_go(engine))
    read = read_errors if only_errors else read_part
    with autocommit(engine) as connection:
        if held is None:
            with pytest.raises(JobUnknown):
                read(connection, job_id, end=2**60, after=None, limit=100)
            return
        part = read(connection, job_id, end=2**60, after=None, limit=100)
    assert [row["client_id"] for row in json.loads(b"[%b]" % part.rows)] == [5, 5]


def test_a_part_tells_who_was_erased_meanwhile(engine: Engine, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where her page had no error when it was listed."""
    stored = store_bulk(engine, NOW - timedelta(days=1), [[1, PERSON]], version)
    key = make_findable(engine, stored.batch_ids[0])
    meanwhile(monkeypatch, lambda: erase(engine, key))
    with autocommit(engine) as connection:
        part = read_part(connection, stored.job_ids[0], end=2**60, after=None, limit=100)
    assert [row["error_code"] for row in json.loads(b"[%b]" % part.rows)] == [None, "erased"]


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen once, after the pages of a job were listed and its shape was read, before its rows are."""
    left = [happens]

    def read(connection: Connection, job_id: UUID) -> JobShape:
        shape = read_shape(connection, job_id)
        if left:
            left.pop()()
        return shape

    monkeypatch.setattr("shared.jobs.results.read_shape", read)


@pytest.mark.parametrize("accept", ["text/csv", "application/x-ndjson"])
def test_the_connection_of_such_a_download_is_broken_off(
    settings: Settings, engine: Engine, version: int, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    """Its caller, who was told that the results are complete, cannot take what she has for the whole."""
    stored = store_bulk(engine, MONDAY, [[1, 2, 3], [4, 5]], version)

    def begin_and_let_go(connection: Connection, target: IO[bytes], **way: Any) -> list[Copy]:
        copies = begin_copy(connection, target, **way)
        let_go(engine)
        return copies

    monkeypatch.setattr("api.routes.jobs.results.begin_copy", begin_and_let_go)
    with running_gateway(settings, new_key(engine, "tester")) as gateway:
        path = f"/v1/jobs/{stored.job_ids[0]}/results"
        with gateway.stream("GET", path, headers={"Accept": accept}) as answer:
            assert (answer.status_code, answer.headers["x-predictq-complete"]) == (200, "true")
            with pytest.raises(httpx.RemoteProtocolError):
                answer.read()


def test_a_download_that_begins_as_its_job_goes_is_no_empty_one(
    engine: Engine, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job was there when its caller asked, and is unknown when its pages are listed."""
    (job_id,) = store_bulk(engine, MONDAY, [[1, 2, 3], [4, 5]], version).job_ids

    def list_late(*arguments: Any, **options: Any) -> list[Page]:
        let_go(engine)
        return list_pages(*arguments, **options)

    monkeypatch.setattr("shared.jobs.results.list_pages", list_late)
    with pytest.raises(JobUnknown):
        begin(engine, job_id, io.BytesIO())


def export(engine: Engine, job_id: UUID) -> UUID:
    """A file of a job's answers, asked for and written; or the one that is there."""
    with transaction(engine) as connection:
        export_id, is_new = begin_export(connection, job_id, "tester", "parquet")
    if is_new:
        write_export(as_worker(engine), {"export_id": str(export_id), "job_id": str(job_id), "format": "parquet"})
    return export_id


def exports(engine: Engine) -> list[tuple[UUID, int]]:
    """The files that there are, and their rows."""
    with transaction(engine) as connection:
        found = connection.execute(text("SELECT id, row_count FROM predictq.exports ORDER BY id")).all()
        pieces = connection.execute(text("SELECT count(DISTINCT export_id) FROM predictq.export_pieces")).scalar_one()
    assert pieces == len(found)
    return [(UUID(str(row.id)), row.row_count) for row in found]


def test_a_file_of_rows_that_went_is_not_given_again(engine: Engine, version: int) -> None:
    """Retention takes rows of a job out of its page: its file goes, and a new one has what is left. Others stay."""
    job_id = store_bulk(engine, MONDAY, [[1, 2, 3, 4, 5]], version).job_ids[0]
    other = export(engine, store_bulk(engine, NOW - timedelta(days=1), [[6]], version).job_ids[0])
    assert export(engine, job_id) == export(engine, job_id)
    hold(engine, 2)
    let_go(engine)
    assert exports(engine) == [(other, 1)]
    assert (export(engine, job_id), 1) in exports(engine)


@pytest.mark.parametrize("is_closed", [True, False])
def test_the_file_of_a_job_goes_with_the_job(engine: Engine, version: int, is_closed: bool) -> None:
    """Whether it goes with its partition or page by page."""
    job_id = store_bulk(engine, MONDAY, [[1, 2], [3]], version).job_ids[0]
    export(engine, job_id)
    if is_closed:
        close_range(engine)
    run_retention(as_upkeep(engine), NOW, settle_seconds=0)
    assert exports(engine) == []


@pytest.mark.parametrize("was_seen", [True, False])
def test_a_file_of_rows_that_go_while_it_is_written_is_none(
    engine: Engine, version: int, monkeypatch: pytest.MonkeyPatch, was_seen: bool
) -> None:
    """Also where it was asked for too late for retention to see it."""
    job_id = store_bulk(engine, MONDAY, [[1, 2, 3]], version).job_ids[0]
    hold(engine, 2)

    def write(*arguments: Any, **options: Any) -> int:
        with transaction(engine) as connection:
            row = connection.execute(text("SELECT * FROM predictq.exports")).one()
        let_go(engine)
        assert exports(engine) == []
        if not was_seen:
            with transaction(engine) as connection:
                names = ", ".join(row._fields)
                places = ", ".join(f":{name}" for name in row._fields)
                connection.execute(text(f"INSERT INTO predictq.exports ({names}) VALUES ({places})"), row._asdict())
        return write_rows(*arguments, **options)

    monkeypatch.setattr("worker.exports.writing.write_rows", write)
    with pytest.raises(ExportGone if was_seen else ResultsGone):
        export(engine, job_id)
