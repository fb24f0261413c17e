"""Bodies that are as large, deep or many-membered as they may be, or more."""

from __future__ import annotations

import json

from tests.hostile.attack import attack
from tests.hostile.attacker import Attacker

_KIND = "bodies"
_MB = 1_000_000


def _again(
    attacker: Attacker, path: str, body: bytes, statuses: tuple[int, ...], headers: dict[str, str] | None = None
) -> None:
    """Send the same body again and again, over one connection after the other."""
    while True:
        answer = attacker.call("POST", path, body, headers)
        attacker.expect(answer.status in (*statuses, 429, 503), f"it was answered {answer.status}")
        if not attacker.goes_on:
            return


def _jobs(attacker: Attacker, body: bytes, *statuses: int) -> None:
    _again(attacker, "/v1/jobs", body, statuses)


def _ids(content: list[object]) -> bytes:
    return json.dumps({"client_ids": content}).encode()


@attack(_KIND, "JSON lists of 100,000 whole numbers", quick=True, at_once=True)
def long_lists(attacker: Attacker) -> None:
    _jobs(attacker, _ids(list(range(10**18, 10**18 + 100_000))), 202)


@attack(_KIND, "JSON lists of 100,000 whole numbers, with an Idempotency-Key each")
def long_lists_with_keys(attacker: Attacker) -> None:
    body = _ids(list(range(100_000)))
    number = 0
    while attacker.goes_on:
        number += 1
        key = {"Idempotency-Key": f"{attacker.target.key[-6:]}-{number}"}
        answer = attacker.call("POST", "/v1/jobs", body, key)
        attacker.expect(answer.status in (202, 429, 503), f"it was answered {answer.status}")


@attack(_KIND, "JSON lists of 100,000 texts that are no whole numbers", at_once=True)
def long_lists_of_texts(attacker: Attacker) -> None:
    _jobs(attacker, _ids(["x" * 20] * 100_000), 422)


@attack(_KIND, "JSON lists of 100,000 numbers as texts")
def long_lists_of_spelled_numbers(attacker: Attacker) -> None:
    _jobs(attacker, _ids([str(number) for number in range(100_000)]), 202)


@attack(_KIND, "JSON lists of 2,000,000 ids, 4 MB")
def too_many_ids(attacker: Attacker) -> None:
    _jobs(attacker, b'{"client_ids":[%b]}' % b",".join([b"1"] * 1_950_000), 413)


@attack(_KIND, "JSON lists of 1,300,000 empty objects")
def empty_objects(attacker: Attacker) -> None:
    _jobs(attacker, b'{"client_ids":[%b]}' % b",".join([b"{}"] * 1_300_000), 413)


@attack(_KIND, "JSON lists of 90,000 objects")
def many_objects(attacker: Attacker) -> None:
    _jobs(attacker, _ids([{"a": number, "b": "x,]}"} for number in range(90_000)]), 422)


@attack(_KIND, "4 MB of JSON brackets", quick=True, at_once=True)
def deep_lists(attacker: Attacker) -> None:
    _jobs(attacker, b"[" * 3_900_000, 400, 413)


@attack(_KIND, "64 kB of JSON brackets")
def deep_small_lists(attacker: Attacker) -> None:
    _jobs(attacker, b"[" * 65_000, 400)


@attack(_KIND, "objects in objects, a thousand deep")
def deep_objects(attacker: Attacker) -> None:
    _jobs(attacker, b'{"client_ids":' * 1000 + b"1" + b"}" * 1000, 400, 422)


@attack(_KIND, "4 MB of blanks in a JSON body")
def blanks(attacker: Attacker) -> None:
    _jobs(attacker, b'{"client_ids": [' + b" " * 3_900_000 + b"1]}", 400)


@attack(_KIND, "texts of JSON that look like ends of lists and objects", at_once=True)
def misleading_texts(attacker: Attacker) -> None:
    _jobs(attacker, _ids([f'],}},",{number}' for number in range(90_000)]), 422)


@attack(_KIND, "a text of 4 MB without an end, all backslashes")
def endless_text(attacker: Attacker) -> None:
    _jobs(attacker, b'{"client_ids": ["' + b"\\" * 3_900_000, 400)


@attack(_KIND, "a number of 4 MB")
def endless_number(attacker: Attacker) -> None:
    _jobs(attacker, b'{"client_ids": [' + b"1" * 3_900_000 + b"]}", 400)


@attack(_KIND, "the same member 300,000 times")
def member_many_times(attacker: Attacker) -> None:
    _jobs(attacker, b"{%b}" % b",".join([b'"all":true'] * 300_000), 422)


@attack(_KIND, "a member twice in a small body", quick=True)
def member_twice(attacker: Attacker) -> None:
    for body in (b'{"client_id": 1, "client_id": 2}', b'{"client_id": {"a": 1, "a": 2}}'):
        answer = attacker.call("POST", "/v1/predict", body)
        attacker.expect(answer.status == 422, f"it was answered {answer.status}")
    _jobs(attacker, b'{"all": true, "all": true}', 422)


@attack(_KIND, "bodies of 6,000 unknown members", at_once=True)
def unknown_members(attacker: Attacker) -> None:
    body = json.dumps({f"k{number}": 1 for number in range(5_000)}).encode()
    _again(attacker, "/v1/jobs/count", body, (422,))


@attack(_KIND, "features of 1 MB in 250,000 members")
def very_many_features(attacker: Attacker) -> None:
    body = json.dumps({"features": {f"k{number}": 1 for number in range(80_000)}}).encode()
    _again(attacker, "/v1/predict_raw", body[:_MB], (400, 413, 422))


@attack(_KIND, "9,000 unknown features", at_once=True)
def many_features(attacker: Attacker) -> None:
    body = json.dumps({"features": {f"k{number}": 1 for number in range(9_000)}}).encode()
    _again(attacker, "/v1/predict_raw", body, (422,))


@attack(_KIND, "features with a word of 900 kB")
def long_word(attacker: Attacker) -> None:
    features = {"age": 41, "monthly_income": 1, "department": "x" * 900_000, "over_time": True}
    _again(attacker, "/v1/predict_raw", json.dumps({"features": features}).encode(), (202, 422))


@attack(_KIND, "a client id of 60 kB")
def long_client_id(attacker: Attacker) -> None:
    _again(attacker, "/v1/predict", json.dumps({"client_id": "1" * 60_000}).encode(), (422,))


@attack(_KIND, "a client id of 5,000 digits")
def long_number(attacker: Attacker) -> None:
    _again(attacker, "/v1/predict", b'{"client_id": %b}' % (b"1" * 5_000), (400, 422))


@attack(_KIND, "filters of 1,000,000 values", at_once=True)
def filter_of_a_million(attacker: Attacker) -> None:
    body = json.dumps({"where": {"age": [number % 100 for number in range(_MB)]}}).encode()[:3_900_000]
    _jobs(attacker, body, 400, 413)


@attack(_KIND, "filters of 100,000 values")
def filter_above_the_cap(attacker: Attacker) -> None:
    _jobs(attacker, json.dumps({"where": {"age": list(range(100_000))}}).encode(), 422)


@attack(_KIND, "filters of 10,000 values, as many as may be", quick=True, at_once=True)
def filter_at_the_cap(attacker: Attacker) -> None:
    _jobs(attacker, json.dumps({"where": {"age": list(range(10_000))}}).encode(), 202)


@attack(_KIND, "counts of filters of 10,000 values")
def count_at_the_cap(attacker: Attacker) -> None:
    body = json.dumps({"model": "default", "where": {"age": list(range(10_000))}}).encode()
    _again(attacker, "/v1/jobs/count", body, (200, 404, 503))


@attack(_KIND, "filters of 3,000 columns")
def filter_of_many_columns(attacker: Attacker) -> None:
    _jobs(attacker, json.dumps({"where": {f"column{number}": 1 for number in range(3_000)}}).encode(), 422)


@attack(_KIND, "16 bodies of 4 MB at a time, each sent in small pieces", at_once=True)
def slow_large_bodies(attacker: Attacker) -> None:
    body = _ids(list(range(10**18, 10**18 + 100_000)))
    head = attacker.head("POST", "/v1/jobs", {"Content-Type": "application/json", "Content-Length": str(len(body))})

    def send() -> None:
        while attacker.goes_on:
            connection = attacker.connect()
            if attacker.send(connection, head):
                for start in range(0, len(body), 16_384):
                    if not attacker.send(connection, body[start : start + 16_384]):
                        break
            answer = attacker.answer(connection)
            attacker.expect(answer.status in (0, 202, 429, 503), f"it was answered {answer.status}")
            attacker.close(connection)

    attacker.in_threads(16, send)
