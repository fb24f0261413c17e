"""The check of client files: every row before any is written, each refusal with its line and reason."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from cli.client_csv import RowsRefused, check_csv
from cli.errors import FileRefused
from shared.models.signature import FeatureKind
from shared.sources.sample_features import CLIENT_FEATURE_NAMES, CLIENT_FEATURES

FEATURES: dict[str, Any] = {
    spec.name: {
        FeatureKind.INTEGER: str(int(spec.minimum or 0) + 1),
        FeatureKind.BOOLEAN: "Yes",
        FeatureKind.CATEGORY: spec.categories[0] if spec.categories else "",
    }[spec.kind]
    for spec in CLIENT_FEATURES
}


def row(client_id: object, **changes: object) -> dict[str, object]:
    return {"client_id": client_id, **FEATURES, **changes}


def text_of(*rows: dict[str, object]) -> str:
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue()


def check(content: str | bytes, **options: Any) -> list[list[str]]:
    target = io.BytesIO()
    source = io.BytesIO(content.encode() if isinstance(content, str) else content)
    count = check_csv(source, target, on_bytes=lambda _size: None, **options)
    rows = list(csv.reader(io.StringIO(target.getvalue().decode())))
    assert count == len(rows)
    return rows


def refusal(content: str | bytes) -> RowsRefused:
    with pytest.raises(RowsRefused) as caught:
        check(content)
    return caught.value


def test_rows_come_out_numbered_by_line_in_column_order_and_typed() -> None:
    """What goes to PostgreSQL is the line, the id, then the features in table order, whatever the file's order."""
    given = dict(reversed(row(7, age="41", over_time="No", daily_rate="").items()))
    (found,) = check(text_of(given))
    assert found[:2] == ["2", "7"]
    values = dict(zip(CLIENT_FEATURE_NAMES, found[2:], strict=True))
    assert (values["age"], values["over_time"], values["daily_rate"]) == ("41", "false", "")
    assert values["department"] == "Human Resources"


def test_the_public_data_sets_headers_and_words_are_understood() -> None:
    """CamelCase, EmployeeNumber and Yes/No need no conversion by hand."""
    renamed = {"".join(word.title() for word in name.split("_")): value for name, value in FEATURES.items()}
    (found,) = check(text_of({"EmployeeNumber": 3, **renamed}))
    assert found[1] == "3"
    assert found[2 + CLIENT_FEATURE_NAMES.index("over_time")] == "true"


def test_windows_files_blank_lines_and_quotes_are_fine() -> None:
    """A byte-order mark, CRLF, blank lines and quoted fields change nothing; lines are those of the file."""
    content = b"\xef\xbb\xbf" + text_of(row(1, age='"41"'.strip('"')), row(2)).replace("\r\n2,", "\r\n\r\n2,").encode()
    assert [found[:2] for found in check(content)] == [["2", "1"], ["4", "2"]]
    quoted = text_of(row(1, department="Research & Development")).replace(
        "Research & Development", '"Research & Development"'
    )
    assert "Research & Development" in check(quoted)[0]


def test_whole_numbers_may_be_written_with_a_point() -> None:
    """Spreadsheets write 41.0 where 41 is meant."""
    assert check(text_of(row("5.0", age="41.0")))[0][1:3] == ["5", "41"]


@pytest.mark.parametrize(
    ("changes", "column", "reason"),
    [
        ({"client_id": "0"}, "client_id", "must be a whole number from 1"),
        ({"client_id": ""}, "client_id", "must be a whole number from 1"),
        ({"client_id": "9223372036854775808"}, "client_id", "must be a whole number from 1"),
        ({"client_id": "1_000"}, "client_id", "must be a whole number from 1"),
        ({"age": "forty"}, "age", "must be a whole number; got 'forty'"),
        ({"age": "41.5"}, "age", "must be a whole number"),
        ({"age": "7"}, "age", "must be at least 14"),
        ({"daily_rate": "99999999999"}, "daily_rate", "must be a whole number"),
        ({"over_time": "maybe"}, "over_time", "expected one of Yes, No"),
        ({"department": "Catering"}, "department", "must be one of 'Human Resources'"),
    ],
)
def test_a_wrong_value_is_named_by_line_column_and_reason(changes: dict[str, object], column: str, reason: str) -> None:
    """Whoever made the file can find the field and knows what it must be."""
    error = refusal(text_of(row(1), {**row(2), **changes}))
    assert error.count == 1
    (problem,) = error.problems
    assert (problem.line, problem.column) == (3, column)
    assert reason in problem.reason
    assert f"line 3: {column}: " in str(error)


def test_at_most_twenty_problems_are_listed_and_all_wrong_rows_counted() -> None:
    """A file of garbage gives a short answer that still tells how bad it is."""
    error = refusal(text_of(*(row(number, age="x", gender="y") for number in range(1, 101))))
    assert error.count == 100
    assert len(error.problems) == 20
    assert str(error).count("\n") == 0


def test_rows_of_another_length_and_broken_quotes_are_named() -> None:
    """What is not even a row of the table has its line too."""
    content = text_of(row(1)) + "2,3\r\n" + '"x"y,1\r\n'
    error = refusal(content)
    assert [(problem.line, problem.column) for problem in error.problems] == [(3, None), (4, None)]
    assert "has 2 fields, the header has 31" in error.problems[0].reason
    assert "is not CSV" in error.problems[1].reason


def test_text_in_another_encoding_is_named() -> None:
    """A Latin-1 file is refused by line, with no traceback."""
    content = text_of(row(1), row(2, gender="Fräulein")).encode("latin-1")
    assert (refusal(content).problems[0].line, refusal(content).problems[0].reason) == (3, "is not UTF-8 text")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "is empty"),
        (",".join(["client_id", *CLIENT_FEATURE_NAMES[1:]]), "lacks age"),
        (";".join(["client_id", *CLIENT_FEATURE_NAMES]), "is the delimiter a comma"),
        (",".join(["client_id", "EmployeeNumber", *CLIENT_FEATURE_NAMES]), "client_id more than once"),
        (",".join(["client_id", *CLIENT_FEATURE_NAMES, "shoe_size"]), "unknown columns: shoe_size"),
    ],
)
def test_a_wrong_header_is_named_by_its_columns(header: str, message: str) -> None:
    """A file of other columns is refused before its rows are looked at."""
    with pytest.raises(FileRefused, match=message):
        check(header + "\n")


def test_unknown_columns_are_left_out_when_asked() -> None:
    """--ignore-extra takes a wider file."""
    assert len(check(text_of(row(1, shoe_size=44)), ignore_extra=True)[0]) == 32


def test_the_columns_that_only_training_needs_are_passed_over() -> None:
    """The public data set imports as it is: its label and its constants are no clients' features, and known."""
    labelled = row(1, Attrition="Yes", EmployeeCount=1, Over18="Y", StandardHours=80)
    assert check(text_of(labelled)) == check(text_of(row(1)))


class _Endless(io.RawIOBase):
    """A file of many rows that never lies in memory."""

    def __init__(self, rows: int) -> None:
        header, line = text_of(row(1)).splitlines()
        self._header, self._tail, self._rows = header, line.partition(",")[2], rows

    def __iter__(self) -> Iterator[bytes]:  # type: ignore[override]
        yield f"{self._header}\n".encode()
        for number in range(1, self._rows + 1):
            yield f"{number},{self._tail}\n".encode()


class _Nowhere(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return len(data)


def test_memory_is_flat_in_the_number_of_rows() -> None:
    """A file of any size passes through."""
    tracemalloc.start()
    try:
        assert check_csv(_Endless(20_000), _Nowhere(), on_bytes=lambda _size: None) == 20_000  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
