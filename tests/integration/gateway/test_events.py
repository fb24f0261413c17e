"""Jobs as they change, over real sockets: what a stream says first, what follows, and what ends it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.postgres.engine import transaction
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.support import add_clients, add_model, wait_until


@dataclass(frozen=True)
class Event:
    """What came between two empty lines."""

    number: int
    job: dict[str, Any]

    @property
    def status(self) -> str:
        return str(self.job["status"])


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with ten rows a batch, and alice's key."""
    add_model(engine)
    add_clients(engine, 100)
    small = settings.model_copy(update={"bulk_batch_rows": 10, "key_streams": 3})
    with running_gateway(small, new_key(engine, "alice")) as client:
        yield client


@contextlib.contextmanager
def listening(gateway: httpx.Client, path: str, **headers: str) -> Iterator[Iterator[Event]]:
    """An open stream, as an iterator that ends when the stream does."""
    with gateway.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


def _events(answer: httpx.Response) -> Iterator[Event]:
    number = 0
    for line in answer.iter_lines():
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("data: "):
            yield Event(number, json.loads(line[6:]))


def bulk(gateway: httpx.Client, rows: int = 30) -> str:
    made = gateway.post("/v1/jobs", json={"client_ids": list(range(1, rows + 1))})
    assert made.status_code == 202
    return str(made.json()["id"])


def test_a_stream_begins_with_the_present_tells_each_state_and_ends_with_its_job(
    gateway: Gateway, engine: Engine, settings: Settings
) -> None:
    """What is told last is what GET shows, numbers rise with each state, and the stream ends by itself."""
    job = bulk(gateway)
    told: list[Event] = []
    with listening(gateway, f"/v1/jobs/{job}/events") as events:
        told.append(next(events))
        assert told[0].status == "queued"
        for _ in range(3):
            answer_batches(engine, settings, limit=1)
            told.append(next(events))
        told += events
    assert [event.job["request_counts"]["succeeded"] for event in told] == [0, 10, 20, 30]
    numbers = [event.number for event in told]
    assert numbers == sorted(set(numbers))
    assert told[-1].job == gateway.get(f"/v1/jobs/{job}").json()


def test_a_change_that_nobody_has_noticed_is_told_all_the_same(gateway: Gateway, engine: Engine) -> None:
    """Redis says nothing here: a poll finds it."""
    job = bulk(gateway)
    with listening(gateway, f"/v1/jobs/{job}/events") as events:
        assert next(events).status == "queued"
        answer_batches(engine)
        assert list(events)[-1].status == "succeeded"


def test_after_a_gap_the_present_state_comes_first(gateway: Gateway, engine: Engine) -> None:
    """However many changes were missed, one event stands for them; what was seen already is not said again."""
    job = bulk(gateway)
    with listening(gateway, f"/v1/jobs/{job}/events") as events:
        first = next(events)
    answer_batches(engine, limit=2)
    with listening(gateway, f"/v1/jobs/{job}/events", **{"Last-Event-ID": str(first.number)}) as events:
        second = next(events)
        assert second.job["request_counts"]["succeeded"] == 20
    with listening(gateway, f"/v1/jobs/{job}/events", **{"Last-Event-ID": str(second.number)}) as events:
        answer_batches(engine)
        last = next(events)
        assert last.status == "succeeded"
    seen = gateway.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": str(last.number)})
    assert (seen.status_code, seen.content) == (204, b"")
    again = gateway.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": "nonsense"})
    assert again.status_code == 200
    assert again.text.count("data: ") == 1


def test_a_single_job_has_its_answer_in_the_last_event(gateway: Gateway, engine: Engine, settings: Settings) -> None:
    """Single jobs are followed by the batch that they share."""
    made = gateway.post("/v1/predict", json={"client_id": 7}).json()
    with listening(gateway, f"/v1/jobs/{made['id']}/events") as events:
        assert next(events).status == "queued"
        answer_batches(engine, settings)
        assert list(events)[-1].job["result"]["client_id"] == 7


def test_one_stream_tells_of_all_bulk_jobs_of_an_owner_and_of_nobody_elses(
    gateway: Gateway, engine: Engine, settings: Settings
) -> None:
    """Those that are there come first, then those that are made meanwhile, here and by other gateways."""
    first = bulk(gateway)
    bob = bearer(new_key(engine, "bob"))
    hers = gateway.post("/v1/jobs", json={"client_ids": [1, 2]}, headers=bob).json()["id"]
    with listening(gateway, "/v1/events") as events:
        assert next(events).job["id"] == first
        with running_gateway(settings, gateway.headers["authorization"].removeprefix("Bearer ")) as other:
            second = bulk(other, rows=10)
        told = next(events)
        assert (told.job["id"], told.status) == (second, "queued")
        answer_batches(engine, settings)
        ended: set[str] = set()
        while len(ended) < 2:
            event = next(events)
            assert event.job["id"] != hers
            ended |= {event.job["id"]} if event.status == "succeeded" else set()
    assert ended == {first, second}


def test_a_stream_of_named_jobs_tells_of_these_alone(gateway: Gateway, engine: Engine) -> None:
    """Single and bulk ones, and 404 where one is unknown or another owner's."""
    named, other = bulk(gateway), bulk(gateway)
    with listening(gateway, f"/v1/events?job={named}") as events:
        assert next(events).job["id"] == named
        answer_batches(engine)
        assert next(events).job["id"] == named
    strange = gateway.get(f"/v1/events?job={other}&job={named}", headers=bearer(new_key(engine, "bob")))
    assert (strange.status_code, strange.json()["type"]) == (404, "/problems/job-unknown")
    assert gateway.get("/v1/events?job=1").status_code == 422


def test_a_cancelled_job_ends_its_stream(gateway: Gateway) -> None:
    """A cancel is told at once by the gateway that was asked."""
    job = bulk(gateway)
    with listening(gateway, f"/v1/jobs/{job}/events") as events:
        next(events)
        gateway.post(f"/v1/jobs/{job}/cancel")
        assert list(events)[-1].status == "cancelled"


def test_a_stream_ends_with_its_key(gateway: Gateway, engine: Engine) -> None:
    """A revoked key follows nothing any more."""
    job = bulk(gateway)
    with listening(gateway, f"/v1/jobs/{job}/events") as events:
        assert next(events).status == "queued"
        with transaction(engine) as connection:
            connection.execute(text("UPDATE predictq.api_keys SET revoked_at = now()"))
        assert list(events) == []


def test_streams_end_when_the_gateway_does(settings: Settings, engine: Engine) -> None:
    """An open stream does not hold the end of the process up."""
    add_model(engine)
    add_clients(engine, 30)
    with contextlib.ExitStack() as streams:
        with running_gateway(settings, new_key(engine, "alice")) as gateway:
            client = streams.enter_context(httpx.Client(base_url=gateway.base_url, headers=gateway.headers, timeout=30))
            events = streams.enter_context(listening(client, f"/v1/jobs/{bulk(gateway)}/events"))
            assert next(events).status == "queued"
        assert list(events) == []


def test_a_key_has_so_many_streams_and_no_more(gateway: Gateway, engine: Engine) -> None:
    """The next is 429 with a word on which cap; others' are not counted; whoever goes makes room at once."""
    job = bulk(gateway)
    path = f"/v1/jobs/{job}/events"
    with contextlib.ExitStack() as streams:
        kept = [streams.enter_context(listening(gateway, path)) for _ in range(3)]
        for events in kept:
            next(events)
        refused = gateway.get(path)
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-at-once")
        assert "3 streams of events" in refused.json()["detail"]
        assert refused.headers["retry-after"]
        with listening(gateway, "/v1/events", **bearer(new_key(engine, "bob"))):
            pass
        metrics = gateway.get("/metrics").text
        assert "predictq_open_streams 3.0" in metrics
        assert 'predictq_limit_refusals_total{reason="key_streams"} 1.0' in metrics
        assert 'predictq_limit_refusals_total{reason="failed_keys_per_minute"} 0.0' in metrics
    wait_until(lambda: gateway.services.job_events.open == 0, what="streams gone")
    with listening(gateway, path) as events:
        next(events)


def test_other_owners_jobs_have_no_stream(gateway: Gateway, engine: Engine) -> None:
    """404, as for reading them; without a key 401."""
    path = f"/v1/jobs/{bulk(gateway)}/events"
    assert gateway.get(path, headers=bearer(new_key(engine, "bob"))).status_code == 404
    assert httpx.get(f"{gateway.base_url}{path}").status_code == 401
    assert gateway.head("/v1/events").status_code == 200
