"""Rows of a source to train on: read by a worker, fetched by HTTP, their owner's alone, gone with any erasure."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from sqlalchemy import Engine, text

from cli.connection.address import ApiAddress
from cli.connection.client import ApiClient
from cli.errors import GatewayRefused
from model.training.source_rows import read_source_rows
from shared.config import Settings
from shared.erasure.client_holds import HoldGuard
from shared.erasure.elsewhere import erase_elsewhere
from shared.erasure.keys import client_key, read_source
from shared.exports import ExportGone
from shared.postgres.engine import autocommit, transaction
from shared.sources.description import source_from
from shared.sources.source import Source, add_source
from tests.integration.gateway.api_support import Gateway, bearer, new_key, running_gateway
from tests.integration.sources.source_support import connect, run
from tests.roles import as_worker
from tests.support import OWNER, add_clients, add_model
from worker.errands.runner import ErrandRunner
from worker.exports import source_rows
from worker.exports.source_rows import read_rows, write_source_rows
from worker.sources.describing.description import describe
from worker.sources.reader import SourceReader

TABLE = """
CREATE TABLE things (country text COLLATE "C", no integer, size double precision, whole bigint, born date, word text,
                     left_at date, PRIMARY KEY (country, no));
INSERT INTO things
SELECT CASE n % 2 WHEN 0 THEN 'É"' ELSE 'D,E' END, n, n / 8.0, n, date '2020-01-01' + n, 'w' || n, NULL
FROM generate_series(1, 100) n;
UPDATE things SET size = 'NaN' WHERE no = 3;
UPDATE things SET size = '-Infinity' WHERE no = 4;
UPDATE things SET whole = 9007199254740993 WHERE no = 5;
UPDATE things SET whole = NULL WHERE no = 6;
UPDATE things SET born = '0044-03-15 BC' WHERE no = 7;
UPDATE things SET word = E'a "b",\\n\\\\' WHERE no = 8;
UPDATE things SET word = '' WHERE no = 9;
"""


@pytest.fixture
def far(make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of somebody else, whose address the variable FAR_URL has."""
    url = make_database(migrated=False).replace("+psycopg2", "")
    monkeypatch.setenv("FAR_URL", url)
    driver = connect(url)
    run(driver, TABLE)
    driver.close()
    return url


@pytest.fixture
def things(engine: Engine, far: str) -> Source:
    """The source `things`."""
    driver = connect(far)
    found = describe(
        driver, "things", key=("country", "no"), filters=("left_at",), columns=("size", "whole", "born", "word")
    )
    driver.close()
    with transaction(engine) as connection:
        return add_source(connection, source_from("things", "FAR_URL", found))


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway that an admin of OWNER calls."""
    with running_gateway(settings, new_key(engine, OWNER, is_admin=True)) as client:
        yield client


def do_errands(engine: Engine) -> None:
    handlers = {"read_rows": partial(write_source_rows, as_worker(engine))}
    runner = ErrandRunner(as_worker(engine), handlers, worker="w", stopped=threading.Event())
    while runner.do_next():
        pass


def table_of(content: bytes) -> tuple[pa.Table, dict[str, Any]]:
    table = pa.ipc.open_file(io.BytesIO(content)).read_all()
    return table, json.loads(table.schema.metadata[b"predictq"])


def test_rows_come_as_scoring_reads_them(gateway: Gateway, engine: Engine, things: Source, far: str) -> None:
    """In key order and in the types of the columns; what no feature can be is left out, and counted by column."""
    asked = gateway.post("/v1/sources/things/rows", json={"columns": ["word", "size", "whole", "born", "left_at"]})
    assert asked.status_code == 202
    path = asked.json()["links"]["self"]
    assert gateway.get(path).json()["type"] == "/problems/export-not-ready"
    do_errands(engine)
    found = gateway.get(path)
    assert found.headers["x-predictq-rows"] == "96"
    table, about = table_of(found.content)
    assert about["unfit"] == {"size": 2, "whole": 1, "born": 1}
    assert [column["type"] for column in about["columns"]] == ["text", "double precision", "bigint", "date", "date"]
    rows = {row["word"]: row for row in table.to_pylist()}
    assert next(iter(rows)) == "w1"  # D,E before É
    assert (rows["w10"]["size"], rows["w10"]["whole"], rows["w10"]["left_at"]) == (1.25, 10, None)
    assert not {"w3", "w4", "w5", "w7"} & set(rows)  # NaN and infinity: scoring refuses both
    assert rows["w6"]["whole"] is None
    assert {'a "b",\n\\', ""} <= set(rows)
    assert gateway.delete(path).status_code == 204
    assert gateway.get(path).status_code == gateway.delete(path).status_code == 404


def test_drawn_rows_are_the_same_for_a_seed_and_no_first_ones(engine: Engine, things: Source) -> None:
    """So many, from everywhere; another seed draws others."""
    reader = SourceReader(as_worker(engine))
    first, again, other = (
        read_rows(reader, things, ["word"], rows=20, seed=seed).column("word").to_pylist() for seed in (1, 1, 2)
    )
    assert first == again
    assert set(first) != set(other)
    assert len(set(first)) == 20
    assert not set(first) <= {f"w{n}" for n in range(1, 60)}


@pytest.mark.parametrize("limit", ["MOST_ROWS", "_MOST_BYTES"])
def test_more_than_a_file_holds_is_refused_with_what_to_ask_for(
    gateway: Gateway, engine: Engine, things: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str
) -> None:
    """In the words of the command line there; a part of it is read."""
    monkeypatch.setattr(source_rows, limit, 50)
    threading.Thread(target=_when_asked, args=(engine,), daemon=True).start()
    address = ApiAddress(str(gateway.base_url), new_key(engine, OWNER, is_admin=True))
    words = r"The source has more than .* drawn at random: --rows 200000, say"
    with (
        ApiClient(address) as client,
        (tmp_path / "rows").open("wb") as file,
        pytest.raises(GatewayRefused, match=words) as refused,
    ):
        client.source_rows("things", {"columns": ["whole"]}, file, lambda *_: None)
    assert refused.value.codes == {"too_many_rows"}


def _when_asked(engine: Engine) -> None:
    handlers = {"read_rows": partial(write_source_rows, as_worker(engine))}
    runner = ErrandRunner(as_worker(engine), handlers, worker="w", stopped=threading.Event())
    while not runner.do_next():
        threading.Event().wait(0.05)


def test_a_file_of_rows_is_read_as_it_was_written(engine: Engine, things: Source, tmp_path: Path) -> None:
    """Of no named column all that can be features, and not those for filters; no row is no error here."""
    table = read_rows(SourceReader(as_worker(engine)), things, [], rows=None, seed=0)
    path = tmp_path / "rows"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    rows = read_source_rows(path)
    assert [column.name for column in rows.columns] == list(rows.frame) == ["size", "whole", "born", "word"]
    assert len(rows.frame) == 96


def test_rows_are_their_owners_and_of_named_columns_alone(gateway: Gateway, engine: Engine, things: Source) -> None:
    """Another admin meets 404, so does the address of files of answers; who asked for what stands in the audit log."""
    rows_id = gateway.post("/v1/sources/things/rows", json={"columns": ["size"]}).json()["id"]
    do_errands(engine)
    other = bearer(new_key(engine, "other", is_admin=True))
    assert gateway.get(f"/v1/rows/{rows_id}", headers=other).status_code == 404
    assert gateway.delete(f"/v1/rows/{rows_id}", headers=other).status_code == 404
    assert gateway.get(f"/v1/exports/{rows_id}").status_code == 404
    refused = gateway.post("/v1/sources/things/rows", json={"columns": ["country"]})
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/column-unknown")
    assert "'country' is its key" in refused.json()["detail"]
    assert gateway.post("/v1/sources/none/rows", json={}).status_code == 404
    assert gateway.get("/v1/sources/thngs").json()["detail"] == "There is no source 'thngs'. There are clients, things."
    with autocommit(engine) as connection:
        acts = connection.execute(text("SELECT object, after FROM predictq.audit_log WHERE action = 'source.read'"))
        assert [(act.object, act.after["columns"]) for act in acts] == [("things", ["size"])]


def test_who_asked_for_what_and_who_fetched_it_stands_in_the_audit_log(
    gateway: Gateway, engine: Engine, things: Source
) -> None:
    """Where no column was named, the names of all that were read; each fetching is a line of its own."""
    rows_id = gateway.post("/v1/sources/things/rows", json={}).json()["id"]
    assert gateway.get(f"/v1/rows/{rows_id}").status_code == 409
    do_errands(engine)
    assert gateway.get(f"/v1/rows/{rows_id}").status_code == 200
    with autocommit(engine) as connection:
        acts = connection.execute(
            text("SELECT action, object, after FROM predictq.audit_log WHERE action LIKE 'source.%' ORDER BY id")
        ).all()
    assert [(act.action, act.object, act.after["rows_id"]) for act in acts] == [
        ("source.read", "things", rows_id),
        ("source.fetch", "things", rows_id),
    ]
    assert acts[0].after["columns"] == ["size", "whole", "born", "word"]


def test_rows_that_nobody_wants_any_more_are_not_read(gateway: Gateway, engine: Engine, things: Source) -> None:
    """Deleted before a worker has begun: there is no errand; deleted in its hands: it stops before it reads."""
    gateway.delete(f"/v1/rows/{gateway.post('/v1/sources/things/rows', json={}).json()['id']}")
    with autocommit(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.errands")).scalar_one() == 0
    arguments = {"export_id": str(UUID(int=1)), "source_id": things.id, "columns": ["none"], "seed": 0}
    with pytest.raises(ExportGone):
        write_source_rows(engine, arguments)


def test_rows_are_kept_for_an_hour_from_when_they_are_there(gateway: Gateway, engine: Engine, things: Source) -> None:
    """However long reading them took; an errand in hand is not taken for an old one."""
    rows_id = gateway.post("/v1/sources/things/rows", json={}).json()["id"]
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE predictq.errands SET created_at = now() - interval '2 hours', status = 'running'")
        )
        connection.execute(text("UPDATE predictq.exports SET expires_at = expires_at - interval '2 hours'"))
    gateway.post("/v1/sources/things/rows", json={})
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.errands SET lease_until = now() - interval '1 s'"))
    do_errands(engine)
    assert gateway.get(f"/v1/rows/{rows_id}").status_code == 200
    with autocommit(engine) as connection:
        left = connection.execute(
            text("SELECT expires_at - now() > interval '59 minutes' FROM predictq.exports WHERE id = :id"),
            {"id": rows_id},
        )
        assert left.scalar_one()


def test_keys_of_unlike_collations_are_drawn_from(engine: Engine, far: str) -> None:
    """The texts of such a key have no collation together."""
    driver = connect(far)
    run(
        driver,
        """CREATE TABLE pairs (a text COLLATE "C", b text COLLATE "ucs_basic", n integer, PRIMARY KEY (a, b));
           INSERT INTO pairs SELECT 'a', 'b' || n, n FROM generate_series(1, 9) n""",
    )
    found = describe(driver, "pairs", key=("a", "b"))
    driver.close()
    with transaction(engine) as connection:
        pairs = add_source(connection, source_from("pairs", "FAR_URL", found))
    assert read_rows(SourceReader(as_worker(engine)), pairs, ["n"], rows=5, seed=1).num_rows == 5


def test_no_worker_and_no_source_are_said(gateway: Gateway, engine: Engine, things: Source, far: str) -> None:
    """503 where nobody has begun after a while; where the table is gone, what the worker met, and no statement."""
    rows_id = gateway.post("/v1/sources/things/rows", json={}).json()["id"]
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.errands SET created_at = created_at - interval '21 s'"))
    assert gateway.get(f"/v1/rows/{rows_id}").json()["type"] == "/problems/no-worker"
    with transaction(engine) as connection:
        killed = "status = 'running', lease_until = clock_timestamp() - interval '21 s'"
        connection.execute(text(f"UPDATE predictq.errands SET {killed}"))
    assert gateway.get(f"/v1/rows/{rows_id}").json()["type"] == "/problems/no-worker"
    driver = connect(far)
    run(driver, "DROP TABLE things")
    driver.close()
    do_errands(engine)
    failed = gateway.get(f"/v1/rows/{rows_id}")
    assert failed.status_code == 422
    assert "things" in failed.json()["detail"]
    assert "SELECT" not in failed.text


def test_an_erasure_deletes_rows_to_train_on(gateway: Gateway, engine: Engine, things: Source) -> None:
    """Whoever is erased may be among them."""
    add_model(engine)
    add_clients(engine, 3)
    rows_id = gateway.post("/v1/sources/things/rows", json={}).json()["id"]
    do_errands(engine)
    with autocommit(engine) as connection:
        clients = read_source(connection, "clients")
    erase_elsewhere(HoldGuard(engine, UUID(int=7), client_key(clients, 1)))
    assert gateway.get(f"/v1/rows/{rows_id}").status_code == 404
