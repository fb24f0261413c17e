"""Very many at once of what one may have."""

from __future__ import annotations

import json

from tests.hostile.attack import attack
from tests.hostile.attacker import Attacker

_KIND = "crowds"
_JSON = {"Content-Type": "application/json"}


def _open(attacker: Attacker, request: bytes, count: int, *, receive_buffer: int | None = None) -> list[int]:
    """Send the same request over so many connections; the statuses that come within a moment."""
    connections = []
    for _ in range(count):
        connection = attacker.connect(receive_buffer=receive_buffer)
        attacker.send(connection, request)
        connections.append(connection)
    statuses = []
    for connection in connections[-20:]:  # the last ones, which the caps must have met
        connection.settimeout(3)
        statuses.append(attacker.answer(connection).status)
    return statuses


@attack(_KIND, "300 predictions that are waited for at once", quick=True)
def waiters(attacker: Attacker) -> None:
    head = attacker.head("POST", "/v1/predict", {**_JSON, "Prefer": "wait=60", "Content-Length": "16"})
    _open(attacker, head + b'{"client_id": 1}', 300)


@attack(_KIND, "700 calls that wait for a job that does not end, of which 500 may", at_once=True)
def waiters_for_ever(attacker: Attacker) -> None:
    body = json.dumps({"client_ids": list(range(1, 100_000))}).encode()
    created = attacker.call("POST", "/v1/jobs", body)
    if created.status != 202:
        return
    statuses = _open(attacker, attacker.head("GET", created.headers["location"], {"Prefer": "wait=60"}), 700)
    attacker.expect(set(statuses) <= {0, 200, 429, 503}, f"waiting was answered {statuses}")


@attack(_KIND, "150 streams of events, of which 100 may", quick=True, at_once=True)
def streams(attacker: Attacker) -> None:
    statuses = _open(attacker, attacker.head("GET", "/v1/events", {"Accept": "text/event-stream"}), 150)
    attacker.expect(
        set(statuses) <= {0, 429, 503} and {429, 503} & set(statuses),
        f"streams above the cap were answered {set(statuses)}",
    )


@attack(_KIND, "streams of events whose bytes nobody takes", at_once=True)
def streams_not_taken(attacker: Attacker) -> None:
    request = attacker.head("GET", "/v1/events", {"Accept": "text/event-stream"})
    for _ in range(100):
        attacker.send(attacker.connect(receive_buffer=2048), request)
    while attacker.goes_on:
        attacker.call("POST", "/v1/predict", b'{"client_id": 1}')


@attack(_KIND, "single predictions over 32 connections, as fast as they go", at_once=True)
def many_singles(attacker: Attacker) -> None:
    def ask() -> None:
        connection = attacker.connect()
        while attacker.goes_on:
            answer = attacker.call("POST", "/v1/predict", b'{"client_id": 1}', over=connection)
            attacker.expect(answer.status in (202, 429, 503), f"it was answered {answer.status}")

    attacker.in_threads(32, ask)


@attack(_KIND, "single predictions that are cut off before their answer", at_once=True)
def cut_off(attacker: Attacker) -> None:
    request = attacker.head("POST", "/v1/predict", {**_JSON, "Content-Length": "16"}) + b'{"client_id": 1}'
    while attacker.goes_on:
        connection = attacker.connect()
        attacker.send(connection, request)
        attacker.close(connection)


@attack(_KIND, "one Idempotency-Key from 16 connections at a time")
def one_idempotency_key(attacker: Attacker) -> None:
    key = {"Idempotency-Key": "always-the-same"}

    def ask() -> None:
        connection = attacker.connect()
        while attacker.goes_on:
            answer = attacker.call("POST", "/v1/predict", b'{"client_id": 1}', key, over=connection)
            attacker.expect(answer.status in (200, 202, 409, 503), f"it was answered {answer.status}")

    attacker.in_threads(16, ask)


@attack(_KIND, "an Idempotency-Key of 255 bytes for each prediction", at_once=True)
def many_idempotency_keys(attacker: Attacker) -> None:
    connection = attacker.connect()
    number = 0
    while attacker.goes_on:
        number += 1
        key = {"Idempotency-Key": f"{number:0>255}"}
        answer = attacker.call("POST", "/v1/predict", b'{"client_id": 1}', key, over=connection)
        attacker.expect(answer.status in (200, 202, 429, 503), f"it was answered {answer.status}")


@attack(_KIND, "jobs of all clients, one after the other", at_once=True)
def jobs_of_all(attacker: Attacker) -> None:
    while attacker.goes_on:
        answer = attacker.call("POST", "/v1/jobs", b'{"all": true}')
        attacker.expect(answer.status in (202, 429, 503), f"it was answered {answer.status}")


@attack(_KIND, "jobs that are cancelled at once")
def created_and_cancelled(attacker: Attacker) -> None:
    connection = attacker.connect()
    while attacker.goes_on:
        created = attacker.call("POST", "/v1/jobs", b'{"client_ids": [1, 2, 3]}', over=connection)
        if created.status == 202:
            answer = attacker.call("POST", f"{created.headers['location']}/cancel", b"", over=connection)
            attacker.expect(answer.status == 200, f"cancelling was answered {answer.status}")


@attack(_KIND, "repeats of a job of 20,000 rows", at_once=True)
def repeats(attacker: Attacker) -> None:
    path = f"{attacker.target.facts['jobs'][attacker.target.key]}/repeat"
    while attacker.goes_on:
        answer = attacker.call("POST", path, b"")
        attacker.expect(answer.status in (202, 429, 503), f"it was answered {answer.status}")


@attack(_KIND, "errands for workers, 16 at a time")
def errands(attacker: Attacker) -> None:
    body = json.dumps({"model": "default", "where": {"age": {"gte": 20}}}).encode()

    def ask() -> None:
        while attacker.goes_on:
            answer = attacker.call("POST", "/v1/jobs/count", body)
            attacker.expect(answer.status in (0, 200, 404, 429, 503), f"it was answered {answer.status}")

    attacker.in_threads(16, ask)
