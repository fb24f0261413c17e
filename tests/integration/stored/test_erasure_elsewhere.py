"""What is no page and names a client goes, however her key was written; what names somebody else stays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from uuid_utils.compat import uuid7

from shared.database_role import DatabaseRole
from shared.erasure.export import export_client
from shared.errors import Erased, IdempotencyKeyReused
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.jobs.accepting.singles import accept_singles
from shared.postgres.engine import autocommit, transaction
from tests.integration.stored.erasure_support import PERSON, add_page, add_source, erase, everything, key_of
from tests.roles import as_role
from tests.support import OWNER, add_clients, add_model, bulk_job, job_of, single_job, submit_bulk


def add_selection(engine: Engine, source_id: int, where: dict[str, Any]) -> UUID:
    """A job of a filter, whose name is nobody's."""
    job_id = uuid7()
    with transaction(engine) as connection:
        connection.execute(
            text("""INSERT INTO predictq.jobs (id, kind, owner, model_version_id, source_id, first_batch_id, selection)
                    VALUES (:id, 'bulk', :owner, 1, :source, 1, CAST(:selection AS jsonb))"""),
            {"id": str(job_id), "owner": OWNER, "source": source_id, "selection": json.dumps({"where": where})},
        )
    return job_id


def where_of(engine: Engine, job_id: UUID) -> Any:
    with transaction(engine) as connection:
        query = text("SELECT selection -> 'where' FROM predictq.jobs WHERE id = :id")
        return connection.execute(query, {"id": str(job_id)}).scalar_one()


def add_errand(engine: Engine, kind: str, arguments: dict[str, Any], status: str = "queued") -> UUID:
    errand_id = uuid7()
    with transaction(engine) as connection:
        connection.execute(
            text("""INSERT INTO predictq.errands (id, kind, owner, arguments, status, result)
                    VALUES (:id, :kind, 'o', CAST(:arguments AS jsonb), :status, '{"count": 5, "rows": "5 of 1"}')"""),
            {"id": str(errand_id), "kind": kind, "arguments": json.dumps(arguments), "status": status},
        )
    return errand_id


def errands_left(engine: Engine) -> set[UUID]:
    with transaction(engine) as connection:
        return {UUID(str(item)) for item in connection.execute(text("SELECT id FROM predictq.errands")).scalars()}


UPPER, LOWER = "5A8F3C1E-77D2-4B61-9C0A-1F2E3D4C5B6A", "5a8f3c1e-77d2-4b61-9c0a-1f2e3d4c5b6a"
BOTH = {"country": "FR", "no": 17}
FILTERS: list[tuple[Sequence[str], Any, dict[str, Any], dict[str, Any]]] = [
    (["bigint"], 7, {"code": [5, "007", 7.0, "+7"], "age": 7}, {"code": [5], "age": 7}),
    (["bigint"], 7, {"code": "007"}, {"code": []}),
    (["bigint"], 7, {"code": {"gte": 7, "lt": 20}}, {"code": {"gte": 8, "lt": 20}}),
    (["text"], "a ü", {"code": ["A ü", "a ü"]}, {"code": ["A ü"]}),
    (["text"], "m", {"code": {"gte": "m"}}, {"code": []}),
    (["citext"], "anna", {"code": ["Anna", "ANNE"]}, {"code": ["ANNE"]}),
    (["numeric"], "1.1", {"code": [1.10, "1.10", 11]}, {"code": [11]}),
    (["uuid"], LOWER, {"code": [UPPER, f"{{{UPPER}}}"]}, {"code": []}),
    (["text", "integer"], BOTH, {"country": "FR", "no": "017", "age": 17}, {"country": [], "no": [], "age": 17}),
    (["text", "integer"], BOTH, {"country": ["FR", "DE"], "no": 17}, {"country": ["DE"], "no": 17}),
]
OTHERS: list[tuple[Sequence[str], Any, dict[str, Any]]] = [
    (["bigint"], 7, {"code": [17, 70, "77"], "age": 7}),
    (["bigint"], 7, {"code": {"gte": 1, "lt": 70}}),
    (["text"], "anna", {"code": "Anna"}),
    (["text", "integer"], BOTH, {"country": "FR"}),
    (["text", "integer"], BOTH, {"country": ["DE"], "no": 17}),
]


def add_things(engine: Engine, types: Sequence[str]) -> int:
    add_model(engine)
    storage = {"bigint": "int8", "uuid": "uuid"}.get(types[0], "text")
    return add_source(engine, "things", storage, ("country", "no") if len(types) > 1 else ("code",), types)


@pytest.mark.parametrize(("types", "given", "where", "left"), FILTERS)
def test_a_filter_and_errands_that_name_her(
    engine: Engine, types: Sequence[str], given: Any, where: dict[str, Any], left: dict[str, Any]
) -> None:
    """Her key goes out of the filter and others stay in; errands of the same filter and of her row go."""
    source_id = add_things(engine, types)
    job_id, other = add_selection(engine, source_id, where), add_selection(engine, 1, where)
    key = key_of(engine, given, "things")
    add_errand(engine, "count", {"source_id": source_id, "where": where}, "done")
    add_errand(engine, "read_features", {"source_id": source_id, "key": key.text, "features": []})
    kept = add_errand(engine, "count", {"source_id": 1, "where": where})
    erase(engine, key)
    assert where_of(engine, job_id) == left
    assert where_of(engine, other) == where
    assert errands_left(engine) == {kept}


@pytest.mark.parametrize(("types", "given", "where"), OTHERS)
def test_a_filter_that_does_not_name_her(
    engine: Engine, types: Sequence[str], given: Any, where: dict[str, Any]
) -> None:
    """What selects others, or her among all who have something in common with her, stays as it is.

    Not so a count that may show her key beside others.
    """
    source_id = add_things(engine, types)
    job_id = add_selection(engine, source_id, where)
    add_errand(engine, "count", {"source_id": source_id, "where": where, "first_keys": 5}, "done")
    kept = add_errand(engine, "count", {"source_id": source_id, "where": where})
    erase(engine, key_of(engine, given, "things"))
    assert where_of(engine, job_id) == where
    assert errands_left(engine) == {kept}


def test_a_job_whose_filter_named_her_loses_her_name_too(engine: Engine) -> None:
    """Though she was not in the source, so that no row of the job is hers."""
    source_id = add_things(engine, ["bigint"])
    job_id = add_selection(engine, source_id, {"code": PERSON})
    with transaction(engine) as connection:
        values = {"id": str(job_id), "name": f"for client_{PERSON}"}
        connection.execute(text("UPDATE predictq.jobs SET name = :name WHERE id = :id"), values)
    erase(engine, key_of(engine, PERSON, "things"))
    assert str(PERSON) not in everything(engine)


@pytest.mark.parametrize("person", [1, 5, PERSON])
def test_a_repeated_call_makes_no_second_job(engine: Engine, person: int) -> None:
    """However short her key is: each call that asked for her is answered Erased, and makes no second job."""
    add_model(engine)
    add_clients(engine, 100)
    add_clients(engine, 1, first=PERSON)
    other_person = 6
    keys = [f"client-{person}", str(uuid7()), f"{person}", "1550e8400"]
    mine = [single_job(engine, person, idempotency_key=key, payload_hash="ab") for key in keys]
    other = single_job(engine, other_person, idempotency_key=f"for {person}", payload_hash="ef")
    with autocommit(engine) as connection:
        accept_singles(connection, [*mine, other])
    bulk = bulk_job(engine, batch_rows=10, idempotency_key="list 15", payload_hash="01")
    accept_keys(engine, bulk, ListedIds([person, 7]), 2)
    for _ in range(2):  # again changes nothing
        erase(engine, key_of(engine, person))
        with autocommit(engine) as connection:
            *gone, there = accept_singles(connection, [replace(job, job_id=uuid7()) for job in (*mine, other)])
        assert [type(answer) for answer in gone] == [Erased] * len(mine)
        assert not isinstance(there, Exception)
        assert there.job_id == other.job_id
        with pytest.raises(Erased):
            accept_keys(engine, bulk, ListedIds([person, 7]), 2)
        with autocommit(engine) as connection:
            reused = accept_singles(connection, [replace(other, job_id=uuid7(), payload_hash="00")])
        assert isinstance(reused[0], IdempotencyKeyReused)
    with transaction(engine) as connection:
        stored = set(connection.execute(text("SELECT key FROM predictq.idempotency_keys")).scalars())
        jobs = connection.execute(text("SELECT count(*) FROM predictq.jobs")).scalar_one()
    assert (len(stored), jobs) == (6, 6)
    assert stored & {*keys, "list 15"} == set()
    assert f"for {person}" in stored


@pytest.mark.parametrize(
    ("person", "name", "is_kept"),
    [
        (5, "Q4 2025", True),
        (5, "15 stores, 50 towns", True),
        (5, "client 5", False),
        (5, "client_005", False),
        (1, "week 51 of 2021", True),
        (PERSON, f"letter of {PERSON}.", False),
        (PERSON, f"{PERSON}0", True),
    ],
)
def test_a_name_that_names_her(engine: Engine, person: int, name: str, is_kept: bool) -> None:
    """It is hers where her key stands in it as a word; the same for the text of an error."""
    add_model(engine)
    bulk = submit_bulk(engine, [person, 7])
    with transaction(engine) as connection:
        values = {"id": str(bulk.job_id), "name": name}
        query = "UPDATE predictq.jobs SET name = :name, error_detail = :name WHERE id = :id"
        connection.execute(text(query), values)
    erase(engine, key_of(engine, person))
    with transaction(engine) as connection:
        query = "SELECT name, error_detail FROM predictq.jobs WHERE id = :id"
        left = connection.execute(text(query), {"id": str(bulk.job_id)}).one()
    assert tuple(left) == ((name, name) if is_kept else (None, "The text was removed by an erasure."))
    assert job_of(engine, bulk.job_id).name == left.name


def add_upload(engine: Engine, media_type: str, content: bytes) -> UUID:
    upload_id = uuid7()
    with transaction(engine) as connection:
        connection.execute(
            text("""INSERT INTO predictq.uploads (id, owner, media_type, size, expires_at)
                    VALUES (:id, 'ann', :type, :size, now() + interval '1 hour')"""),
            {"id": str(upload_id), "type": media_type, "size": len(content)},
        )
        connection.execute(
            text("INSERT INTO predictq.upload_pieces (upload_id, number, content) VALUES (:id, 0, :content)"),
            {"id": str(upload_id), "content": content},
        )
    return upload_id


def test_an_export_has_all_that_an_erasure_would_take(engine: Engine) -> None:
    """Filters, names and errors of jobs, and files that name her; afterwards nothing of them is left."""
    source_id = add_things(engine, ["bigint"])
    add_clients(engine, 1, first=PERSON)
    by_filter, of_others = add_selection(engine, source_id, {"code": [5, PERSON]}), submit_bulk(engine, [1]).job_id
    hers, nameless = (add_page(engine, source_id, "int8", [PERSON], is_answered=False)[1] for _ in range(2))
    with transaction(engine) as connection:
        for job_id in (hers, of_others):
            connection.execute(
                text("UPDATE predictq.jobs SET name = 'May', error_detail = :detail WHERE id = :id"),
                {"id": str(job_id), "detail": f"client_{PERSON} is twice in the file"},
            )
    files = {
        add_upload(engine, "text/csv", b"client_id\n%d\n" % PERSON),
        add_upload(engine, "application/vnd.apache.parquet", b"PAR1"),
    }
    add_upload(engine, "text/csv", b"client_id\n17\n")
    key = key_of(engine, PERSON, "things")
    gateway = as_role(engine, DatabaseRole.GATEWAY)
    found = export_client(gateway, key)
    assert {row["job_id"] for row in found["predictions"]} == {hers, nameless}
    named = {job["job_id"]: (job["filter"], job["name"], job["error_detail"]) for job in found["jobs"]}
    assert named == {
        by_filter: ({"code": [5, PERSON]}, None, None),
        hers: (None, None, f"client_{PERSON} is twice in the file"),
    }
    assert {file["id"] for file in found["uploads"]} == files
    erase(engine, key)
    left = export_client(gateway, key)
    assert (left["predictions"], left["jobs"], left["uploads"]) == ([], [], [])
