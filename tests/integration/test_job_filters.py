"""Lists of jobs by model, name and time, beside their status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.jobs import lists
from shared.jobs.accept_bulk import accept_keys
from shared.jobs.key_pages import ListedIds
from shared.jobs.lists import JobFilter, find_jobs
from shared.postgres.engine import autocommit, transaction
from shared.status import JobStatus
from tests.integration.api_support import new_key, running_gateway
from tests.integration.jobs_support import answer, cancel, take
from tests.integration.upkeep_support import add_version
from tests.support import OWNER, add_clients, add_model, bulk_job, submit_singles


@pytest.fixture
def ready(engine: Engine) -> Engine:
    add_clients(engine, 10)
    add_model(engine)
    return engine


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
        given = {"name": "run &", "since": "2020-01-01T00:00:00+00:00", "status": "queued", "limit": 2}
        answer = gateway.get("/v1/jobs", params=given)
        assert [job["id"] for job in answer.json()["jobs"]] == [ids[2], ids[1]]
        rest = gateway.get(answer.links["next"]["url"])
        assert [job["id"] for job in rest.json()["jobs"]] == [ids[0]]
        assert "next" not in rest.links
        assert gateway.get("/v1/jobs", params={"since": "2020-01-01T00:00:00"}).status_code == 422
