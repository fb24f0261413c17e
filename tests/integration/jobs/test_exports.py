"""Answers as Parquet, Arrow and Excel, written by a worker and kept for a day; an erasure takes them along."""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import openpyxl
import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.erasure.client_holds import HoldGuard
from shared.erasure.elsewhere import erase_elsewhere
from shared.erasure.keys import client_key, read_source
from shared.exports import ExportGone, ExportInterrupted, begin_export, copy_export_piece, end_export, write_pieces
from shared.postgres.engine import autocommit, transaction
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.integration.gateway.test_screens import browser_of
from tests.roles import as_worker
from tests.support import OWNER, add_clients, add_model, submit_bulk
from worker.errands.runner import ErrandRunner
from worker.exports.writing import write_export
from worker.upkeep.expiry import Expiry

MEDIA = {
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.file",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with a job of three answered rows and one that nobody knows, without a worker."""
    add_model(engine)
    add_clients(engine, 3)
    with running_gateway(settings, new_key(engine, OWNER)) as client:
        yield client


def write_all(engine: Engine) -> None:
    """Do the errands as the slow thread of a worker's errand process does."""
    import threading

    handlers = {"write_export": lambda arguments: write_export(as_worker(engine), arguments)}
    runner = ErrandRunner(as_worker(engine), handlers, worker="w", stopped=threading.Event())
    while runner.do_next():
        pass


def rows_of(kind: str, content: bytes) -> list[dict[str, Any]]:
    if kind == "parquet":
        rows: list[dict[str, Any]] = parquet.read_table(io.BytesIO(content)).to_pylist()
        return rows
    if kind == "arrow":
        return list(pa.ipc.open_file(io.BytesIO(content)).read_all().to_pylist())
    names, *lines = openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(values_only=True)
    return [dict(zip(names, line, strict=True)) for line in lines]


def test_so_many_files_are_written_for_an_owner_at_a_time(gateway: Gateway, engine: Engine) -> None:
    """One more is a 429 that names the setting, until a worker has written the others."""
    jobs = [submit_bulk(engine, [1]).job_id for _ in range(5)]
    answer_batches(engine)
    *answers, refused = [gateway.post(f"/v1/jobs/{job}/exports", params={"format": "arrow"}) for job in jobs]
    assert [answer.status_code for answer in answers] == [202] * 4
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (429, "owner_exports")
    assert 'predictq_limit_refusals_total{reason="owner_exports"} 1.0' in gateway.get("/metrics").text
    write_all(engine)
    assert gateway.post(f"/v1/jobs/{jobs[4]}/exports", params={"format": "arrow"}).status_code == 202


@pytest.mark.parametrize("kind", list(MEDIA))
def test_answers_come_as_the_file_that_was_asked_for(gateway: Gateway, engine: Engine, kind: str) -> None:
    """409 while it is written; then the rows of the job, in order, under its name. Asked again it is the same file."""
    job = submit_bulk(engine, [3, 1, 2]).job_id
    answer_batches(engine)
    asked = gateway.post(f"/v1/jobs/{job}/exports", params={"format": kind})
    assert asked.status_code == 202
    path = asked.headers["location"]
    waiting = gateway.get(path)
    assert (waiting.status_code, waiting.json()["type"]) == (409, "/problems/export-not-ready")
    write_all(engine)
    found = gateway.get(path)
    assert found.headers["content-type"] == MEDIA[kind]
    assert found.headers["content-disposition"] == f'attachment; filename="{job}.{kind}"'
    assert (found.headers["x-predictq-rows"], found.headers["x-predictq-complete"]) == ("3", "true")
    expected = gateway.get(f"/v1/jobs/{job}/results").json()["rows"]
    assert rows_of(kind, found.content) == expected
    assert gateway.post(f"/v1/jobs/{job}/exports", params={"format": kind}).headers["location"] == path


def test_the_page_of_a_file_says_when_the_download_has_begun(gateway: Gateway, engine: Engine) -> None:
    """And stays, with a way back to the job: a browser that gets a file leaves the page as it was."""
    job = submit_bulk(engine, [3, 1, 2]).job_id
    answer_batches(engine)
    with browser_of(gateway, new_key(engine, OWNER)) as browser:
        (token,) = set(re.findall(r'name="form_token" value="([^"]+)"', browser.get(f"/jobs/{job}").text))
        asked = browser.post(f"/jobs/{job}/files", data={"form_token": token, "format": "xlsx"})
        path = asked.headers["location"]
        waiting = browser.get(path)
        assert "The file is being written" in waiting.text
        again = '<noscript><meta http-equiv="refresh" content="1"></noscript>'
        assert again in waiting.text
        assert 'data-beat="1"' in waiting.text  # with a script only what changes is swapped, and read out
        assert again in browser.get(path, params={"get": 1}).text
        write_all(engine)
        page = browser.get(path)
        assert page.headers["refresh"] == f"0; url={path}?get=1"
        assert "The download has begun" in page.text
        assert "is being written" not in page.text
        assert "data-beat" not in page.text
        assert f'href="/jobs/{job}">Back to the job</a>' in page.text
        file = browser.get(path, params={"get": 1})
        assert file.headers["content-disposition"] == f'attachment; filename="{job}.xlsx"'
        assert len(rows_of("xlsx", file.content)) == 3


def test_a_file_that_no_worker_writes_is_not_waited_for(gateway: Gateway, engine: Engine) -> None:
    """After a while it is said that none is there; once one is, the file comes."""
    job = submit_bulk(engine, [3]).job_id
    answer_batches(engine)
    path = gateway.post(f"/v1/jobs/{job}/exports", params={"format": "xlsx"}).headers["location"]
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictq.errands SET created_at = now() - interval '1 minute'"))
    answer = gateway.get(path)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/no-worker")
    write_all(engine)
    assert gateway.get(path).status_code == 200


def test_texts_that_look_like_formulas_stay_texts(tmp_path: Any) -> None:
    """Whatever they begin with; long numbers keep their digits."""
    from worker.exports.result_files import write_rows

    row = dict.fromkeys(("probability", "threshold", "error_detail", "key", "value"))
    row |= {"request_id": "1-0", "client_id": "=1+1", "label": "+x", "model_version": 1, "model": "@m\x01"}
    lines = io.BytesIO()
    lines.write(orjson.dumps({**row, "error_code": None}) + b"\n")
    lines.seek(0)
    target = tmp_path / "a.xlsx"
    with target.open("wb") as file:
        assert write_rows(lines, file, "xlsx") == 1
    cells = next(iter(openpyxl.load_workbook(target).active.iter_rows(min_row=2)))
    assert [(cell.value, cell.data_type) for cell in cells if cell.value][1:3] == [("=1+1", "s"), ("+x", "s")]


def test_doubles_keep_their_last_digit_in_excel(tmp_path: Any) -> None:
    """The text in the sheet's XML is the number itself, also where that needs 17 digits or an exponent."""
    from worker.exports.result_files import write_rows

    draw = random.Random(7)
    given = [0.023060146676727032, 5e-324, 1e22, 0.1, 1.0, *(draw.random() for _ in range(2000))]
    given += [draw.random() * 10.0 ** draw.randint(-300, 300) for _ in range(2000)]
    row: dict[str, Any] = dict.fromkeys(("label", "threshold", "error_code", "error_detail", "key", "value"))
    row |= {"request_id": "1-0", "client_id": 1, "model_version": 1, "model": "m"}
    lines = io.BytesIO(b"".join(orjson.dumps({**row, "probability": p, "threshold": p}) + b"\n" for p in given))
    target = tmp_path / "a.xlsx"
    with target.open("wb") as file:
        assert write_rows(lines, file, "xlsx") == len(given)
    with zipfile.ZipFile(target) as archive, archive.open("xl/worksheets/sheet1.xml") as sheet:
        names = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
        cells = {str(cell.get("r")): cell for cell in ET.parse(sheet).iter(f"{names}c")}
    (header, *_) = openpyxl.load_workbook(target).active.iter_rows(max_row=1)
    columns = [cell.column_letter for cell in header if cell.value in ("probability", "threshold")]
    assert len(columns) == 2
    for column in columns:
        found = [cells[f"{column}{place}"] for place in range(2, len(given) + 2)]
        assert [float(str(cell.findtext(f"{names}v"))) for cell in found] == given
        assert {cell.get("t") for cell in found} == {"n"}


def test_a_key_of_several_columns_is_spelt_as_in_csv(tmp_path: Any) -> None:
    """As PostgreSQL writes JSON, accents as they are: files of both kinds can be joined."""
    from worker.exports.result_files import write_rows

    row = dict.fromkeys(("probability", "label", "threshold", "error_code", "error_detail", "key", "value"))
    row |= {"request_id": "1-0", "client_id": {"no": 3, "région": "FR"}, "model_version": 1, "model": "m"}
    target = tmp_path / "a.parquet"
    with target.open("wb") as file:
        write_rows(io.BytesIO(json.dumps(row).encode() + b"\n"), file, "parquet")
    assert parquet.read_table(target).column("client_id").to_pylist() == ['{"no": 3, "région": "FR"}']


def test_an_export_is_its_owners_alone(gateway: Gateway, engine: Engine) -> None:
    """To others there is neither the job nor the file; nor is there one of rows that nobody scored yet."""
    job = submit_bulk(engine, [1]).job_id
    early = gateway.post(f"/v1/jobs/{job}/exports?format=xlsx")
    assert early.json()["type"] == "/problems/results-not-ready"
    answer_batches(engine)
    path = gateway.post(f"/v1/jobs/{job}/exports?format=xlsx").headers["location"]
    write_all(engine)
    other = bearer(new_key(engine, "other"))
    assert gateway.get(path, headers=other).status_code == 404
    assert gateway.post(f"/v1/jobs/{job}/exports?format=xlsx", headers=other).status_code == 404
    assert gateway.post(f"/v1/jobs/{job}/exports?format=doc").status_code == 422
    assert gateway.get(path).status_code == 200


def test_upkeep_deletes_exports_after_a_day(gateway: Gateway, engine: Engine) -> None:
    """With their bytes."""
    job = submit_bulk(engine, [1]).job_id
    answer_batches(engine)
    path = gateway.post(f"/v1/jobs/{job}/exports?format=arrow").headers["location"]
    write_all(engine)
    Expiry().run(engine, lambda: datetime.now(UTC) + timedelta(hours=25))
    assert gateway.get(path).json()["type"] == "/problems/export-unknown"
    with autocommit(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.export_pieces")).scalar_one() == 0


def test_an_erasure_deletes_the_exports_that_may_hold_her(gateway: Gateway, engine: Engine) -> None:
    """Those of her jobs, also one that is being written: its next piece is refused. Others stay."""
    hers, others = submit_bulk(engine, [1, 2]).job_id, submit_bulk(engine, [2]).job_id
    answer_batches(engine)
    paths = [gateway.post(f"/v1/jobs/{job}/exports?format=arrow").headers["location"] for job in (hers, others)]
    write_all(engine)
    with transaction(engine) as connection:
        begun, _ = begin_export(connection, hers, OWNER, "xlsx")
        source = read_source(connection, "clients")
        erasure = UUID(int=7)
        connection.execute(
            text("""INSERT INTO predictq.erasures (id, source_id, client_key, reason, actor, status)
                    VALUES (:id, :source, '1', 'test', 'test', 'running')"""),
            {"id": str(erasure), "source": source.id},
        )
        connection.execute(
            text("INSERT INTO predictq.erasure_jobs VALUES (:id, :job)"), {"id": str(erasure), "job": str(hers)}
        )
    erase_elsewhere(HoldGuard(engine, erasure, client_key(source, 1)))
    assert [gateway.get(path).status_code for path in paths] == [404, 200]
    with pytest.raises(ExportGone):
        write_pieces(engine, begun, io.BytesIO(b"her"))
    with pytest.raises(ExportGone), transaction(engine) as connection:
        end_export(connection, begun, size=3, rows=1, is_whole=True)
    with pytest.raises(ExportGone), autocommit(engine) as connection:
        copy_export_piece(connection, io.BytesIO(), export_id=begun, number=0)


def test_a_worker_that_ended_leaves_no_mixture(engine: Engine, gateway: Gateway) -> None:
    """The same bytes are taken up where they were left; others are refused."""
    job = submit_bulk(engine, [1]).job_id
    with transaction(engine) as connection:
        begun, _ = begin_export(connection, job, OWNER, "arrow")
    write_pieces(engine, begun, io.BytesIO(b"first"))
    assert write_pieces(engine, begun, io.BytesIO(b"first")) == 5
    with pytest.raises(ExportInterrupted):
        write_pieces(engine, begun, io.BytesIO(b"other"))


def test_a_file_that_cannot_be_written_says_why(gateway: Gateway, engine: Engine) -> None:
    """As its reader sees it; a worker's own words."""
    job = submit_bulk(engine, [1]).job_id
    answer_batches(engine)
    path = gateway.post(f"/v1/jobs/{job}/exports?format=xlsx").headers["location"]
    with transaction(engine) as connection:
        connection.execute(
            text("""UPDATE predictq.errands SET status = 'failed', finished_at = now(),
                    result = '{"code": "x", "detail": "An Excel sheet holds 1,048,575 rows."}'""")
        )
    refused = gateway.get(path)
    assert (refused.status_code, refused.json()["detail"]) == (422, "An Excel sheet holds 1,048,575 rows.")
