"""Lists of jobs by model, name and time, beside their status."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text

from shared.batches.claims import finish
from shared.config import Settings
from shared.jobs import lists
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.jobs.lists import JobFilter, find_jobs
from shared.jobs.records import JobRecord
from shared.postgres.engine import autocommit, transaction
from shared.status import JobStatus
from tests.integration.gateway.api_support import bearer, new_key, running_gateway
from tests.integration.jobs.jobs_support import answer, cancel, page_of, take
from tests.integration.stored.upkeep_support import add_version
from tests.roles import as_worker
from tests.support import OWNER, bulk_job, job_of, submit_singles
from worker.errands.kinds import make_handlers
from worker.errands.runner import ErrandRunner
from worker.scoring.key_hashes import KeyHashes


def bulk(engine: Engine, name: str | None = None) -> UUID:
    return accept_keys(engine, bulk_job(engine, name=name), ListedIds([1]), 1).job_id


def found(engine: Engine, **wanted: object) -> list[UUID]:
    with autocommit(engine) as connection:
        return [job.job_id for job in find_jobs(connection, OWNER, JobFilter(**wanted), limit=100)[0]]  # type: ignore[arg-type]


def test_a_name_is_found_by_a_part_of_it(ready: Engine) -> None:
    """In whatever case; percent signs are letters; with a status, too."""
    july, june, percent, _ = (bulk(ready, name) for name in ("Run of July", "run of june", "100 % of all", None))
    assert found(ready, name="RUN") == [june, july]
    assert found(ready, name="%") == [percent]
    cancel(ready, june)
    assert found(ready, name="run", status=JobStatus.CANCELLED) == [june]
    assert found(ready, name="run", status=JobStatus.QUEUED) == [july]
    answer(ready, take(ready))
    assert found(ready, name="run", status=JobStatus.SUCCEEDED) == [july]
    assert found(ready, name="winter") == []
    assert found(ready, name="run", has_errors=False) == found(ready, model="default", has_errors=False) == [june, july]
    assert found(ready, name="run", has_errors=True) == []


@pytest.mark.parametrize("status", [None, JobStatus.QUEUED])
def test_jobs_of_a_model_are_found_among_others(
    ready: Engine, status: JobStatus | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Single ones and bulk ones; however few are looked through at a time, following on shows each once."""
    others = [bulk(ready) for _ in range(3)]
    singles = [accepted.job_id for accepted in submit_singles(ready, [1, 2])]
    version = add_version(ready, "other")
    with transaction(ready) as connection:
        connection.execute(
            text("UPDATE predictq.jobs SET model_version_id = :version WHERE id = ANY (CAST(:ids AS uuid[]))"),
            {"version": version, "ids": [str(others[0]), str(singles[1])]},
        )
    expected = [singles[1], others[0]]
    assert found(ready, model="other", status=status) == expected
    assert found(ready, model="nobody's") == []
    monkeypatch.setattr(lists, "_PORTION", 1)
    monkeypatch.setattr(lists, "_MOST_PORTIONS", 2)
    seen: list[UUID] = []
    before, parts = None, 0
    with autocommit(ready) as connection:
        while parts == 0 or before is not None:
            wanted = JobFilter(status, "other")
            jobs, before = find_jobs(connection, OWNER, wanted, limit=100, before=before)
            seen += [job.job_id for job in jobs]
            parts += 1
    assert seen == expected
    assert parts == 3


@pytest.mark.parametrize("wanted", [JobFilter(), JobFilter(model="default"), JobFilter(kind="bulk")])
def test_a_list_goes_on_where_retention_takes_jobs_while_it_is_read(
    ready: Engine, wanted: JobFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found and is gone when it is read makes a page short, and never the last one."""
    jobs = [bulk(ready) for _ in range(5)][::-1]
    read_jobs = lists.read_jobs

    def read_others(connection: Connection, found: list[UUID]) -> dict[UUID, JobRecord]:
        return {job_id: job for job_id, job in read_jobs(connection, found).items() if job_id != jobs[1]}

    monkeypatch.setattr(lists, "read_jobs", read_others)
    seen: list[UUID] = []
    before: UUID | None = None
    with autocommit(ready) as connection:
        while True:
            page, more = find_jobs(connection, OWNER, wanted, limit=2, before=before)
            seen += [job.job_id for job in page]
            before = more or (page[-1].job_id if len(page) == 2 else None)
            if before is None:
                break
    assert seen == [jobs[0], *jobs[2:]]


def test_times_are_those_of_acceptance(ready: Engine) -> None:
    """`since` is in, `until` is not."""
    first, second = bulk(ready), bulk(ready)
    with autocommit(ready) as connection:
        at = connection.execute(
            text("SELECT created_at FROM predictq.jobs WHERE id = :id"), {"id": second}
        ).scalar_one()
    assert found(ready, since=at) == [second]
    assert found(ready, until=at) == [first]
    assert found(ready, since=at - timedelta(hours=1), until=at + timedelta(hours=1)) == [second, first]
    assert found(ready, since=datetime.now(UTC) + timedelta(hours=1)) == []


def test_the_gateway_keeps_the_filter_from_page_to_page(ready: Engine, settings: Settings) -> None:
    """The `Link` says all of it again; a time without its zone is a 422."""
    ids = [str(bulk(ready, f"run & {number}")) for number in range(3)]
    with running_gateway(settings, new_key(ready, OWNER)) as gateway:
        since = "2020-01-01T00:00:00+00:00"
        given: dict[str, str | int] = {"name": "run &", "since": since, "status": "queued", "limit": 2}
        answer = gateway.get("/v1/jobs", params=given)
        assert [job["id"] for job in answer.json()["jobs"]] == [ids[2], ids[1]]
        rest = gateway.get(answer.links["next"]["url"])
        assert [job["id"] for job in rest.json()["jobs"]] == [ids[0]]
        assert "next" not in rest.links
        wanted = {"kind": "bulk", "id": ids[0][:8], "limit": "1"}
        link = gateway.get("/v1/jobs", params=wanted).links["next"]["url"]
        assert wanted.items() <= dict(parse_qsl(urlsplit(link).query)).items()
        assert gateway.get("/v1/jobs", params={"since": "2020-01-01T00:00:00"}).status_code == 422


_ONE = {"matching": 1, "cancelled": 1, "more": False}


def test_open_jobs_are_cancelled_by_filter(ready: Engine, settings: Settings) -> None:
    """Those that fit and are the caller's, single ones too; without any filter none is."""
    july, june = bulk(ready, "July"), bulk(ready, "June")
    (single,) = submit_singles(ready, [1])
    with running_gateway(settings, new_key(ready, OWNER)) as gateway:
        other = gateway.post("/v1/jobs/cancel", json={"name": "j"}, headers=bearer(new_key(ready, "other")))
        assert other.json() == {"matching": 0, "cancelled": 0, "more": False}
        assert gateway.post("/v1/jobs/cancel", json={}).status_code == 422
        assert gateway.post("/v1/jobs/cancel", json={"name": "july"}).json() == _ONE
        assert [job_of(ready, job).status for job in (july, june)] == ["cancelled", "queued"]
        assert gateway.post("/v1/jobs/cancel", json={"kind": "many"}).status_code == 422
        assert gateway.post("/v1/jobs/cancel", json={"kind": "single"}).json() == _ONE
        answer(ready, take(ready))
        may = bulk(ready, "May")
        assert gateway.post("/v1/jobs/cancel", json={"model": "default"}).json() == _ONE
    assert job_of(ready, june).status is JobStatus.SUCCEEDED
    assert job_of(ready, may).status is JobStatus.CANCELLED
    assert job_of(ready, single.job_id).status is JobStatus.CANCELLED


def test_what_would_be_cancelled_is_counted_and_what_was_is_in_the_audit_log(ready: Engine, settings: Settings) -> None:
    """A dry run changes nothing; jobs that were accepted later than the filter says stay; an act is one line."""
    jobs = [bulk(ready) for _ in range(2)]
    submit_singles(ready, [1, 2, 3])
    with autocommit(ready) as connection:
        until = str(connection.execute(text("SELECT clock_timestamp()")).scalar_one())
    later = bulk(ready)
    with running_gateway(settings, new_key(ready, OWNER)) as gateway:
        order = {"until": until}
        dry = gateway.post("/v1/jobs/cancel", json={**order, "dry_run": True}).json()
        assert dry == {"matching": 5, "cancelled": 0, "more": False}
        assert job_of(ready, jobs[0]).status is JobStatus.QUEUED
        assert gateway.post("/v1/jobs/cancel", json=order).json() == {"matching": 5, "cancelled": 5, "more": False}
    assert job_of(ready, later).status is JobStatus.QUEUED
    with autocommit(ready) as connection:
        acts = connection.execute(text("SELECT action, object, after FROM predictq.audit_log ORDER BY id")).all()
    (act,) = [act for act in acts if act.action == "job.cancel"]
    first = act.after.pop("first")
    assert (act.object, act.after) == ("jobs of a filter", {"status": None, "kind": None, "model": None, "jobs": 5})
    assert {str(job) for job in jobs} < set(first)
    assert (len(first), str(later) in first) == (5, False)


def test_jobs_are_found_by_kind_and_by_what_people_read_of_an_id(ready: Engine, settings: Settings) -> None:
    """The beginning with or without dashes, in whatever case, and `beginning…end`; other filters hold as well."""
    first, second = bulk(ready, "July"), bulk(ready)
    single = submit_singles(ready, [1])[0].job_id
    cancel(ready, second)
    assert found(ready, kind="bulk") == [second, first]
    assert found(ready, kind="single") == [single]
    assert found(ready, kind="bulk", status=JobStatus.QUEUED) == [first]
    assert found(ready, kind="bulk", status=JobStatus.CANCELLED) == [second]
    written = str(first)
    assert first in found(ready, id=written[:8])
    assert found(ready, id=written[:8], name="july") == [first]
    assert found(ready, id=written[:8], kind="single") == [single]
    for part in (written, written.replace("-", "").upper(), f"{written[:8]}…{written[-4:]}"):
        assert found(ready, id=part) == [first]
    assert found(ready, id="f" * 32) == found(ready, id="00000000…0000") == []
    with running_gateway(settings, new_key(ready, OWNER)) as gateway:
        page = gateway.get("/v1/jobs", params={"id": written[:13], "limit": 1})
        seen = page.json()["jobs"]
        while "next" in page.links:
            page = gateway.get(page.links["next"]["url"])
            seen += page.json()["jobs"]
        assert written in [job["id"] for job in seen]
        assert len({job["id"] for job in seen}) == len(seen)
        for wrong in ("0123456", "01234567…01", "not-a-job", "-" * 8):
            assert gateway.get("/v1/jobs", params={"id": wrong}).status_code == 422
        other = gateway.get("/v1/jobs", params={"id": written}, headers=bearer(new_key(ready, "other")))
        assert other.json()["jobs"] == []


def test_a_filter_is_counted_by_a_worker(ready: Engine, settings: Settings) -> None:
    """Before a job is made of it; a filter that cannot be is refused as at a job."""
    stopped = threading.Event()
    runner = threading.Thread(
        target=ErrandRunner(as_worker(ready), make_handlers(as_worker(ready)), worker="w", stopped=stopped).run
    )
    runner.start()
    try:
        with running_gateway(settings, new_key(ready, OWNER)) as gateway:
            counted = gateway.post("/v1/jobs/count", json={"where": {"age": {"lt": 25}}})
            answer = {"model": "default", "source": "clients", "count": 4}
            assert counted.json() == {**answer, "first_keys": [1, 2, 3, 4]}
            all_of_them = gateway.post("/v1/jobs/count", json={}).json()
            assert (all_of_them["count"], all_of_them["first_keys"]) == (10, [1, 2, 3, 4, 5])
            nobody = gateway.post("/v1/jobs/count", json={"where": {"age": {"lt": 0}}}).json()
            assert (nobody["count"], nobody["first_keys"]) == (0, [])
            # Whoever may not read results sees whose they would be as little.
            sender = bearer(new_key(ready, OWNER, roles=["bulk"]))
            counted = gateway.post("/v1/jobs/count", json={"where": {"age": {"lt": 25}}}, headers=sender)
            assert counted.json() == {**answer, "first_keys": None}
            refused = gateway.post("/v1/jobs/count", json={"where": {"nothing": 1}})
            assert refused.json()["type"] == "/problems/filter-refused"
    finally:
        stopped.set()
        runner.join()


def test_all_answers_of_a_client(ready: Engine, settings: Settings) -> None:
    """Of single and bulk jobs, newest first, in whatever state; another owner's are not hers to see."""
    first = accept_keys(ready, bulk_job(ready, name="July"), ListedIds([1, 2]), 2).job_id
    held = take(ready)
    hashes = KeyHashes(as_worker(ready))(np.array([1, 2], np.int64), held.source_id or 0).tolist()
    finish(as_worker(ready), [(held, replace(page_of(held), key_hashes=hashes))])
    (single,) = submit_singles(ready, [2])
    with running_gateway(settings, new_key(ready, OWNER)) as gateway:
        wanted = {"source": "clients", "client_id": 2}
        found = gateway.post("/v1/clients/answers", json=wanted).json()
        assert [(row["job_id"], row["state"], row["probability"]) for row in found["answers"]] == [
            (str(single.job_id), "open", None),
            (str(first), "answered", 0.25),
        ]
        assert (found["answers"][1]["job_name"], found["answers"][1]["label"], found["next"]) == ("July", 0, None)
        assert gateway.post("/v1/clients/answers", json={**wanted, "model": "other"}).json()["answers"] == []
        other = gateway.post("/v1/clients/answers", json=wanted, headers=bearer(new_key(ready, "other")))
        assert other.json()["answers"] == []
        assert gateway.post("/v1/clients/answers", json={**wanted, "source": "none"}).status_code == 404
    with autocommit(ready) as connection:
        acts = connection.execute(text("SELECT row_to_json(a)::text FROM predictq.audit_log a")).scalars().all()
    assert len([act for act in acts if "client.answers" in act]) >= 3
