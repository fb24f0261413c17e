"""After erasure and compaction a person's bytes are in no table file, no statistic, no Redis value and no log of ours.

The plain key proves little: PostgreSQL packs what it stores. So pieces of what was stored are looked for, too: they are
taken out of the TOAST files themselves. They are found until the compaction, and then no more.
"""

from __future__ import annotations

import hashlib
import json
import logging
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from redis import Redis
from sqlalchemy import Engine, text

from devstack.servers.postgres import EmbeddedPostgres
from shared.batches.claims import claim
from shared.config import Settings
from shared.erasure import compact as compaction
from shared.erasure.compact import compact
from shared.erasure.keys import ClientKey
from shared.jobs.accepting.singles import accept_singles
from shared.logging import configure_logging
from shared.postgres.engine import autocommit, transaction
from shared.status import Queue
from tests.integration.stored.erasure_support import (
    PERSON,
    add_page,
    add_source,
    ask,
    erase,
    erasure,
    everything,
    key_of,
)
from tests.integration.worker.scoring_support import score
from tests.roles import as_upkeep
from tests.support import add_clients, add_model, publish, single_job, submit_bulk, submit_singles
from worker.erasure.duties import CompactionDuty, ErasureDuty
from worker.scoring.scorer import Scorer

_PAGE = 8192
_PIECE = 64
_CHUNK = 1996  # bytes of a TOAST value that are together in a file
_COLUMNS = {"batch_requests": ("keys_int8",), "batch_outputs": ("features", "key_filter", "values")}


@dataclass(frozen=True)
class Files:
    """The files of the test's database, without the table of clients, which is the user's own."""

    engine: Engine
    pgdata: Path

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Each relation file as it is on the disk after a checkpoint, segments and forks too."""
        with autocommit(self.engine) as connection:
            connection.execute(text("CHECKPOINT"))
            directory = connection.execute(
                text("SELECT 'base/' || oid FROM pg_database WHERE datname = current_database()")
            ).scalar_one()
            users = set(connection.execute(_USERS_FILES).scalars())
        for file in sorted((self.pgdata / directory).iterdir()) + sorted((self.pgdata / "global").iterdir()):
            if file.is_file() and file.name.partition(".")[0].partition("_")[0] not in users:
                yield file.name, file.read_bytes()

    def holding(self, pieces: Iterable[bytes]) -> dict[bytes, list[str]]:
        """The files in which each piece is."""
        contents = list(self.contents())
        return {piece: [name for name, content in contents if piece in content] for piece in pieces}

    def stored(self, table: str, column: str, batch_id: int) -> bytes:
        """The bytes of one TOAST value as they are stored, packed or not, read out of the file of chunks."""
        with autocommit(self.engine) as connection:
            connection.execute(text("CHECKPOINT"))
            row = connection.execute(
                text(f"""SELECT pg_column_toast_chunk_id(t."{column}") AS chunk_id,
                         pg_relation_filepath(c.reltoastrelid) AS path
                         FROM predictq.{table} t JOIN pg_class c ON c.oid = t.tableoid WHERE t.batch_id = :id"""),
                {"id": batch_id},
            ).one()
        assert row.chunk_id is not None, f"{column} of batch {batch_id} is not in TOAST"
        chunks = dict(_chunks((self.pgdata / row.path).read_bytes(), row.chunk_id))
        return b"".join(chunks[number] for number in sorted(chunks))


_USERS_FILES = text("""
WITH own AS (SELECT oid, reltoastrelid FROM pg_class WHERE relnamespace = 'predictq_data'::regnamespace),
     all_of_it AS (SELECT oid FROM own UNION SELECT reltoastrelid FROM own
                   UNION SELECT indexrelid FROM pg_index WHERE indrelid IN (SELECT oid FROM own))
SELECT CAST(relfilenode AS text) FROM pg_class WHERE oid IN (SELECT oid FROM all_of_it)
""")


def _chunks(content: bytes, chunk_id: int) -> Iterator[tuple[int, bytes]]:
    """The chunks of a value in the file of a TOAST table: rows of chunk_id oid, chunk_seq integer, chunk_data bytea."""
    for start in range(0, len(content), _PAGE):
        page = content[start : start + _PAGE]
        (lower,) = struct.unpack_from("<H", page, 12)
        for (pointer,) in struct.iter_unpack("<I", page[24:lower]):
            offset, state = pointer & 0x7FFF, pointer >> 15 & 3
            if state != 1:  # LP_NORMAL
                continue
            data = offset + page[offset + 22]  # t_hoff
            found, number, header = struct.unpack_from("<III", page, data)
            if found != chunk_id:
                continue
            if header & 1:  # one byte of length
                yield number, page[data + 9 : data + 8 + (header >> 1 & 0x7F)]
            else:
                yield number, page[data + 12 : data + 8 + (header >> 2)]


def _pieces(old: bytes, new: bytes) -> list[bytes]:
    """The first, the middle and the last 64 bytes of an old value, 64 of each chunk, and 64 where it was changed.

    Those that are in the new value are left out: what is stored of others stays as it is. None crosses from one chunk
    into the next: the file has something else in between.
    """
    starts = {0, len(old) // 2, len(old) - _PIECE, *range(0, len(old) - _PIECE, _CHUNK)}
    starts |= {min(start, len(old) - _PIECE) for start in _changes(old, new)}
    within = {start - max(0, start % _CHUNK + _PIECE - _CHUNK) for start in starts}
    pieces = [old[start : start + _PIECE] for start in sorted(within)]
    return [piece for piece in pieces if len(set(piece)) > 8 and piece not in new]


def _changes(old: bytes, new: bytes) -> Iterator[int]:
    """Where the first change begins, and some bytes before the last one ends."""
    yield next((place for place, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    same = next((n for n, (a, b) in enumerate(zip(reversed(old), reversed(new), strict=False)) if a != b), 0)
    yield max(0, len(old) - same - _PIECE)


def _key_forms(key: ClientKey) -> list[bytes]:
    assert isinstance(key.value, int)
    return [key.text.encode(), key.value.to_bytes(8, "little"), key.value.to_bytes(8, "big")]


def _redis_contents(url: str) -> bytes:
    """Names and values as Redis itself stores them."""
    with Redis.from_url(url) as redis:
        return b"\n".join(name + (redis.dump(name) or b"") for name in redis.scan_iter("*"))


@pytest.fixture
def key(engine: Engine) -> ClientKey:
    """The person among a thousand clients, with a live model."""
    add_model(engine)
    add_clients(engine, 1000)
    add_clients(engine, 1, first=PERSON)
    return key_of(engine)


@pytest.mark.usefixtures("own_logging")
def test_her_bytes_are_found_before_and_nowhere_after(
    engine: Engine,
    settings: Settings,
    postgres: EmbeddedPostgres,
    key: ClientKey,
    scorer: Scorer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Old stored bytes and the plain key: in the files until the compaction, and nowhere after it."""
    configure_logging(settings, service="upkeep")
    log_starts = postgres.log_path.stat().st_size  # other tests share the server, and its log
    root_handlers = logging.getLogger().handlers[:]
    files = Files(engine, postgres.pgdata)
    # Large pages, scored by a worker and stored as they are in life; she stands in different places of them.
    words = [f"street {n * 7919}, {n * 104729}" for n in range(3000)]
    large = [
        add_page(engine, key.source.id, "int8", [*others[:at], PERSON, *others[at:]],
                 words=[*words[:at], "Her own street 4711", *words[at:]])[0]
        for at, others in ((0, range(7_000_001, 7_021_001, 7)), (1500, range(3_000, 6_000)))
    ]  # fmt: skip
    submit_bulk(engine, [*range(1, 500), PERSON], batch_rows=1000)
    submit_singles(engine, [PERSON, 1, 2])
    singles = [single_job(engine, PERSON, idempotency_key=f"of-{PERSON}", payload_hash="ab")]
    with autocommit(engine) as connection:
        accept_singles(connection, singles)
    score(scorer, Queue.BULK)
    score(scorer)
    # One batch is in a worker's hands; the message about another is in Redis.
    held_job = submit_bulk(engine, [PERSON, 5])
    publish(settings, held_job)
    (held,) = claim(engine, Queue.BULK, worker="old", lease_seconds=600)
    with autocommit(engine) as connection:
        tables = connection.execute(_OWN_TABLES).scalars().all()
        for table in tables:
            connection.execute(text(f"ANALYZE predictq.{table}"))
    old = {(table, column, batch): files.stored(table, column, batch)
           for table, columns in _COLUMNS.items() for column in columns for batch in large}  # fmt: skip
    forms = _key_forms(key)
    assert all(files.holding(forms[:2]).values())  # as text, and in arrays that are not packed
    assert key.text in everything(engine)

    with engine.begin() as connection:  # the user's own table is the user's
        connection.execute(text("DELETE FROM predictq_data.clients WHERE client_id = :key"), {"key": PERSON})
    done = erase(engine, key, tmp_path)
    assert (done.status, done.pages, done.answers) == ("done", 6, 6)

    assert key.text not in everything(engine)
    assert scorer._answer([held]) == {}
    new = {place: files.stored(*place) for place in old}
    assert all(new[place] != old[place] for place in old)
    pieces = {piece for place in old for piece in _pieces(old[place], new[place])}
    assert len(pieces) > 20
    # Erased, and still in the files: this test can fail. (A few may be overwritten already, where their page had room.)
    assert sum(map(bool, files.holding(pieces).values())) > 0.8 * len(pieces)
    assert any(files.holding(forms).values())

    report = compact(as_upkeep(engine))
    assert report.left == {}
    assert report.closed_at is not None
    assert erasure(engine, done.id).compacted_at is not None
    assert score(scorer, Queue.BULK) == ["finished"]
    assert {piece: names for piece, names in files.holding([*pieces, *forms]).items() if names} == {}
    assert key.text not in everything(engine)
    contents = _redis_contents(settings.redis_url.get_secret_value())
    assert contents
    assert not [form for form in forms if form in contents]
    logging.getLogger().handlers[:] = root_handlers
    output = "".join(capfd.readouterr())
    assert key.text not in output
    assert key.text.encode() not in postgres.log_path.read_bytes()[log_starts:]
    assert all(key.text.encode() not in file.read_bytes() for file in tmp_path.iterdir() if file.is_file())


_KINDS = {
    "text": ("Ärztin ZQXJ-KVW", lambda digest: digest[:20], "ÄRZTIN zqxj-kvw"),
    "uuid": ("7c5d1e2f-93a4-4b68-8d71-e60f5a4b3c2d", lambda digest: str(UUID(digest[:32])), "{7C5D1E2F93A44B688D71}"),
}


@pytest.mark.parametrize("storage", list(_KINDS))
def test_bytes_of_other_keys_and_of_what_came_with_them(
    engine: Engine, postgres: EmbeddedPostgres, storage: str
) -> None:
    """The same of texts and UUIDs as keys, how they were written, features of the call, probabilities by class."""
    person, make_key, written = _KINDS[storage]
    add_model(engine)
    source_id = add_source(engine, "things", storage)
    digests = [hashlib.sha256(b"%d" % n).hexdigest() for n in range(3000)]
    at = 1500
    keys, notes, spellings = [*map(make_key, digests)], [*digests], [digest[32:] for digest in digests]
    keys.insert(at, person)
    notes.insert(at, "Her own words 4711, and what she wrote beside them, which is nowhere else by chance")
    spellings.insert(at, written)
    rng = np.random.default_rng(5)
    batch_id, _ = add_page(
        engine, source_id, storage, keys,
        words=notes,
        spelled=json.dumps({str(row): spelling for row, spelling in enumerate(spellings)}),
        given=[json.dumps({"note": note}) for note in notes],
        scores=rng.random(3 * len(keys)).tolist(),
    )  # fmt: skip
    files = Files(engine, postgres.pgdata)
    columns = {
        "batch_requests": (f"keys_{storage}", "spelled", "given"),
        "batch_outputs": ("values", "scores", "features", "key_filter"),
    }
    places = [(table, column, batch_id) for table, names in columns.items() for column in names]
    old = {place: files.stored(*place) for place in places}
    forms = [person.encode(), written.encode(), *([UUID(person).bytes] if storage == "uuid" else [])]
    assert any(files.holding(forms).values())

    erase(engine, key_of(engine, person, "things"))
    assert person not in everything(engine)
    assert written not in everything(engine)
    new = {place: files.stored(*place) for place in places}
    pieces_of = {place: _pieces(old[place], new[place]) for place in places}
    assert {place[1] for place, pieces in pieces_of.items() if pieces} == {place[1] for place in places}
    pieces = {piece for found in pieces_of.values() for piece in found}
    assert any(files.holding(pieces).values())

    assert compact(as_upkeep(engine)).left == {}
    assert {piece: names for piece, names in files.holding([*pieces, *forms]).items() if names} == {}


_OWN_TABLES = text("""
SELECT relname FROM pg_class WHERE relnamespace = 'predictq'::regnamespace AND relkind IN ('r', 'p')
""")


def test_no_sample_of_a_key_is_kept(engine: Engine, key: ClientKey, scorer: Scorer) -> None:
    """ANALYZE of everything leaves nothing that names a client in pg_statistic, parents of partitions included."""
    submit_bulk(engine, [PERSON] * 3)
    submit_singles(engine, [PERSON] * 3)
    score(scorer)
    ask(engine, key)
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE predictq.prediction_batches SET last_error = :key, planned_key = :key"), {"key": key.text}
        )
        connection.execute(text("UPDATE predictq.jobs SET error_detail = :key"), {"key": key.text})
    with autocommit(engine) as connection:
        for table in connection.execute(_OWN_TABLES).scalars().all():
            connection.execute(text(f"ANALYZE predictq.{table}"))
        sampled = connection.execute(
            text("SELECT DISTINCT tablename, attname FROM pg_stats WHERE schemaname = 'predictq'")
        ).all()
        kept = connection.execute(
            text("""SELECT tablename, attname FROM pg_stats WHERE schemaname = 'predictq' AND strpos(
                    coalesce(CAST(most_common_vals AS text), '') || coalesce(CAST(histogram_bounds AS text), '')
                    || coalesce(CAST(most_common_elems AS text), ''), :key) > 0"""),
            {"key": key.text},
        ).all()
    assert len(sampled) > 50  # ANALYZE has been at work
    assert kept == []
    assert ("key_hashes", "hash") not in {tuple(row) for row in sampled}


def test_old_rows_that_somebody_can_see_are_not_called_gone(engine: Engine, key: ClientKey) -> None:
    """While a transaction can still see the old rows, the partition stays marked and the report says why."""
    add_page(engine, key.source.id, "int8", [PERSON, *range(1, 100)])
    with engine.connect() as reader:
        reader.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        reader.execute(text("SELECT 1"))
        done = erase(engine, key)
        report = compact(as_upkeep(engine), patience_seconds=0)
        assert any("older transaction" in why for why in report.left.values())
        assert erasure(engine, done.id).compacted_at is None
    assert compact(as_upkeep(engine)).is_complete
    assert erasure(engine, done.id).compacted_at is not None
    assert compact(as_upkeep(engine)).compacted == []


def test_compaction_waits_for_a_reader_and_gives_up(engine: Engine, key: ClientKey) -> None:
    """A table that somebody reads is left for the next time; nobody queues behind the compaction for long."""
    add_page(engine, key.source.id, "int8", [PERSON, *range(1, 100)])
    done = erase(engine, key)
    with engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM predictq.batch_outputs"))
        report = compact(as_upkeep(engine), patience_seconds=0)
        assert "somebody holds a lock on it" in report.left.values()
    assert erasure(engine, done.id).compacted_at is None
    assert compact(as_upkeep(engine)).is_complete


def test_large_tables_that_acceptance_writes_wait_for_the_night(
    engine: Engine, key: ClientKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By day they are left, with words that say when they are done; the upkeep process does them at night."""
    submit_bulk(engine, [PERSON], batch_rows=10)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.jobs SET name = :name"), {"name": f"client {PERSON}"})
    done = erase(engine, key)
    monkeypatch.setattr(compaction, "LARGEST_BYTES_BY_DAY", 0)
    report = compact(as_upkeep(engine))
    assert {name for name in report.left if name.startswith("jobs_")}
    assert "idempotency_keys" in report.left
    assert set(report.left.values()) == {
        "no job could be accepted while it is written: the upkeep process does it between 1 and 5 UTC"
    }
    assert [one.table for one in report.compacted if one.table.startswith("batch_")]
    assert erasure(engine, done.id).compacted_at is None
    assert "left" not in CompactionDuty().run(as_upkeep(engine), lambda: datetime(2026, 5, 3, 2, tzinfo=UTC))
    assert erasure(engine, done.id).compacted_at is not None


def test_the_duty_erases_all_that_waits(engine: Engine, key: ClientKey, tmp_path: Path) -> None:
    """One run of the upkeep process's duty ends every erasure that was asked for."""
    for given in (PERSON, 5, 6):
        ask(engine, key_of(engine, given))
    assert ErasureDuty(tmp_path).run(as_upkeep(engine)) == "3 erasures ended"
    assert ErasureDuty(tmp_path).run(as_upkeep(engine)) == ""
