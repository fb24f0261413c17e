"""Uploads of rows whose every line is as dear as it can be."""

from __future__ import annotations

from tests.hostile.attack import attack
from tests.hostile.attacker import Attacker

_KIND = "uploads"
_CSV = {"Content-Type": "text/csv"}
_NDJSON = {"Content-Type": "application/x-ndjson"}
_SIZE = 8_000_000


def _upload(
    attacker: Attacker, line: bytes, headers: dict[str, str], *statuses: int, begin: bytes = b"", path: str = "/v1/jobs"
) -> None:
    body = begin + line * (_SIZE // len(line))
    while True:
        answer = attacker.call("POST", path, body, headers)
        attacker.expect(answer.status in (*statuses, 0, 429, 503), f"it was answered {answer.status}")
        if not attacker.goes_on:
            return


@attack(_KIND, "CSV of 8 MB, each line with a leading blank", quick=True, at_once=True)
def leading_blanks(attacker: Attacker) -> None:
    _upload(attacker, b" 12345\n", _CSV, 202, begin=b"client_id\n")


@attack(_KIND, "eight such uploads at a time", at_once=True)
def many_uploads(attacker: Attacker) -> None:
    body = b"client_id\n" + b" 12345\n" * 300_000
    attacker.in_threads(8, lambda: _loop(attacker, body))


def _loop(attacker: Attacker, body: bytes) -> None:
    while attacker.goes_on:
        answer = attacker.call("POST", "/v1/jobs", body, _CSV)
        attacker.expect(answer.status in (0, 202, 429, 503), f"it was answered {answer.status}")
        if answer.status == 429:
            attacker.expect("retry-after" in answer.headers, "429 without Retry-After")
            attacker.expect("uploads" in answer.body.decode() or "quota" in answer.code, f"429 of {answer.code}")


@attack(_KIND, "CSV of 8 MB, each id in quotes")
def quoted(attacker: Attacker) -> None:
    _upload(attacker, b'"12345"\n', _CSV, 202, begin=b"client_id\n")


@attack(_KIND, "CSV of 8 MB, each line with zeros before its id")
def leading_zeros(attacker: Attacker) -> None:
    _upload(attacker, b"0012345\n", _CSV, 202, begin=b"client_id\n")


@attack(_KIND, "CSV of 8 MB of blank lines", at_once=True)
def blank_lines(attacker: Attacker) -> None:
    _upload(attacker, b"\n", _CSV, 202, 422, begin=b"client_id\n1\n")


@attack(_KIND, "CSV of 8 MB of lines of blanks")
def lines_of_blanks(attacker: Attacker) -> None:
    _upload(attacker, b" \t\n", _CSV, 202, 422, begin=b"client_id\n1\n")


@attack(_KIND, "CSV of 8 MB with a second column of quotes")
def quotes_inside(attacker: Attacker) -> None:
    _upload(attacker, b'1,"a""b""c"\n', _CSV, 202, begin=b"client_id,note\n")


@attack(_KIND, "CSV of 8 MB in one field of quotes that has no end")
def endless_field(attacker: Attacker) -> None:
    _upload(attacker, b"x\n", _CSV, 422, begin=b'client_id,note\n1,"')


@attack(_KIND, "CSV of 60 kB lines")
def long_lines(attacker: Attacker) -> None:
    _upload(attacker, b"1," + b"x" * 60_000 + b"\n", _CSV, 202, begin=b"client_id,note\n")


@attack(_KIND, "CSV with 30,000 columns")
def many_columns(attacker: Attacker) -> None:
    _upload(attacker, b"1" + b"," * 30_000 + b"\n", _CSV, 202, 422, begin=b"client_id" + b",a" * 30_000 + b"\n")


@attack(_KIND, "CSV with carriage returns alone")
def carriage_returns(attacker: Attacker) -> None:
    _upload(attacker, b"1\r", _CSV, 422, begin=b"client_id\n")


@attack(_KIND, "NDJSON of 8 MB, each line an object")
def lines_of_objects(attacker: Attacker) -> None:
    _upload(attacker, b'{"client_id": 12345}\n', _NDJSON, 202)


@attack(_KIND, "NDJSON of 8 MB, each line with colons in a text", quick=True, at_once=True)
def lines_with_colons(attacker: Attacker) -> None:
    _upload(attacker, b'{"client_id": 1, "a" : "b\\":c:d"}\n', _NDJSON, 202)


@attack(_KIND, "NDJSON of 8 MB, each line 500 lists deep")
def deep_lines(attacker: Attacker) -> None:
    _upload(attacker, b'{"client_id": 1, "a": ' + b"[" * 500 + b"]" * 500 + b"}\n", _NDJSON, 202, 422)


@attack(_KIND, "NDJSON of 8 MB, each line an object in objects")
def lines_of_deep_objects(attacker: Attacker) -> None:
    _upload(attacker, b'{"client_id":1,"a":' + b'{"a":' * 300 + b"1" + b"}" * 301 + b"\n", _NDJSON, 202, 422)


@attack(_KIND, "NDJSON of one number with 60,000 digits on each line")
def lines_of_digits(attacker: Attacker) -> None:
    _upload(attacker, b"1" * 60_000 + b"\n", _NDJSON, 422)


@attack(_KIND, "CSV of features, 8 MB", at_once=True)
def features_as_csv(attacker: Attacker) -> None:
    line = b"41,2000,Sales,true\n"
    begin = b"age,monthly_income,department,over_time\n"
    _upload(attacker, line, _CSV, 202, begin=begin, path="/v1/jobs?features=upload")


@attack(_KIND, "NDJSON of features, 8 MB, each value as odd as it may be")
def features_as_ndjson(attacker: Attacker) -> None:
    line = b'{"age":41.0,"monthly_income":null,"department":"Sales","over_time":false}\n'
    _upload(attacker, line, _NDJSON, 202, path="/v1/jobs?features=upload")


@attack(_KIND, "files of 8 MB for a worker, four at a time")
def files(attacker: Attacker) -> None:
    body = b"PAR1" + bytes(_SIZE)

    def send() -> None:
        while attacker.goes_on:
            answer = attacker.call("POST", "/v1/uploads", body, {"Content-Type": "application/octet-stream"})
            attacker.expect(answer.status in (0, 201, 429, 503), f"it was answered {answer.status}")

    attacker.in_threads(4, send)


@attack(_KIND, "uploads that stop in the middle, forty at a time", quick=True)
def half_uploads(attacker: Attacker) -> None:
    head = attacker.head("POST", "/v1/jobs", {**_CSV, "Content-Length": "1000000"})
    answers = []
    for _ in range(40):
        connection = attacker.connect()
        attacker.send(connection, head + b"client_id\n" + b"1\n" * 2000)
        answers.append(connection)
    refused = 0
    for connection in answers[8:]:
        connection.settimeout(5)
        # 429 for one upload too many, or 503 where the round before still holds all connections of this address.
        refused += attacker.answer(connection).status in (429, 503)
    attacker.expect(refused >= 20, f"only {refused} of 40 open uploads of one key were refused")
