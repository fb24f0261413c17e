"""Answers that are large, asked for often, or never taken."""

from __future__ import annotations

from tests.hostile.attack import attack
from tests.hostile.attacker import Attacker

_KIND = "reading"


def _job(attacker: Attacker) -> str:
    return str(attacker.target.facts["jobs"][attacker.target.key])


def _ask(attacker: Attacker, path: str, threads: int, headers: dict[str, str] | None = None, *others: int) -> None:
    """Ask the same over so many connections, again and again."""

    def read() -> None:
        connection = attacker.connect()
        while attacker.goes_on:
            answer = attacker.call("GET", path, headers=headers, over=connection)
            attacker.expect(answer.status in (200, 429, 503, *others), f"it was answered {answer.status}")
            if answer.status == 429:
                attacker.expect("retry-after" in answer.headers, "429 without Retry-After")
            if answer.status == 0:
                return

    attacker.in_threads(threads, read)


@attack(_KIND, "parts of results of 10,000 rows, over 24 connections", quick=True, at_once=True)
def largest_parts(attacker: Attacker) -> None:
    _ask(attacker, f"{_job(attacker)}/results?limit=10000", 24, None, 503)


@attack(_KIND, "lists of 1,000 jobs, over 8 connections", at_once=True)
def largest_lists(attacker: Attacker) -> None:
    for _ in range(20):
        attacker.call("POST", "/v1/predict", b'{"client_id": 1}')
    _ask(attacker, "/v1/jobs?limit=1000", 8)


@attack(_KIND, "lists by name, which looks through all jobs")
def lists_by_name(attacker: Attacker) -> None:
    _ask(attacker, "/v1/jobs?limit=1000&name=%25_nothing", 8)


@attack(_KIND, "downloads as CSV, over 8 connections", at_once=True)
def downloads(attacker: Attacker) -> None:
    _ask(attacker, f"{_job(attacker)}/results", 8, {"Accept": "text/csv"})


@attack(_KIND, "downloads as NDJSON, over 8 connections")
def downloads_as_lines(attacker: Attacker) -> None:
    _ask(attacker, f"{_job(attacker)}/results", 8, {"Accept": "application/x-ndjson"})


@attack(_KIND, "downloads that nobody takes, 20 at a time", quick=True, at_once=True)
def downloads_not_taken(attacker: Attacker) -> None:
    job = attacker.target.facts["endless_jobs"][attacker.target.key]
    request = attacker.head("GET", f"{job}/results", {"Accept": "text/csv"})
    refused = 0
    connections = [attacker.connect(receive_buffer=2048) for _ in range(20)]
    for number, connection in enumerate(connections):
        attacker.send(connection, request)
        if number >= 8:
            connection.settimeout(10)
            refused += b" 429 " in connection.recv(100)
    # Beside other tests, the first may be cut off before the last has come.
    attacker.expect(refused >= 4, f"only {refused} of 20 open downloads of one key were refused")
    for connection in connections:  # done again and again, it would soon have more connections than an address may
        attacker.close(connection)


@attack(_KIND, "downloads that are cut off at their first byte")
def downloads_cut_off(attacker: Attacker) -> None:
    request = attacker.head("GET", f"{_job(attacker)}/results", {"Accept": "text/csv"})
    while attacker.goes_on:
        connection = attacker.connect()
        attacker.send(connection, request)
        attacker.expect(connection.recv(12)[9:] in (b"200", b"429"), "neither 200 nor 429")
        attacker.close(connection)


@attack(_KIND, "HEAD of downloads")
def heads(attacker: Attacker) -> None:
    connection = attacker.connect()
    while attacker.goes_on:
        answer = attacker.call("HEAD", f"{_job(attacker)}/results", headers={"Accept": "text/csv"}, over=connection)
        attacker.expect(answer.status in (200, 429), f"it was answered {answer.status}")


@attack(_KIND, "metrics, over 8 connections", quick=True, at_once=True)
def metrics(attacker: Attacker) -> None:
    _ask(attacker, "/metrics", 8, None, 401, 403)


@attack(_KIND, "the OpenAPI document, over 4 connections", quick=True, at_once=True)
def document(attacker: Attacker) -> None:
    _ask(attacker, "/openapi.json", 4, None, 401, 403)


@attack(_KIND, "the files of the page /docs")
def page_files(attacker: Attacker) -> None:
    _ask(attacker, "/docs/assets/swagger-ui-bundle.js", 4, None, 401, 403, 404)


@attack(_KIND, "health in detail, over 16 connections", at_once=True)
def health(attacker: Attacker) -> None:
    _ask(attacker, "/health", 16, None, 503)


@attack(_KIND, "an Accept of 16,000 media types")
def many_media_types(attacker: Attacker) -> None:
    accept = {"Accept": "a/b;q=0.1," * 2_500 + "application/json"}
    _ask(attacker, f"{_job(attacker)}/results?limit=1", 4, accept, 0, 406, 431)


@attack(_KIND, "cursors of 7 kB that nobody gave out")
def cursors(attacker: Attacker) -> None:
    _ask(attacker, f"/v1/jobs?cursor={'A' * 7_000}", 4, None, 414, 422)


@attack(_KIND, "traces, over 8 connections")
def traces(attacker: Attacker) -> None:
    created = attacker.call("POST", "/v1/predict", b'{"client_id": 1}', {"Prefer": "wait=10"})
    found = created.json() or {}
    _ask(attacker, f"/v1/predictions/{found.get('request_id', '1-0')}", 8, None, 404)


@attack(_KIND, "the status of one job, over 32 connections", at_once=True)
def statuses(attacker: Attacker) -> None:
    _ask(attacker, _job(attacker), 32)
