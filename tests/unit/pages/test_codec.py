"""Pages of features: every value comes back, whole or by the row, and what is damaged says so."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.pages.errors import (
    NulRefused,
    PageDamaged,
    PageError,
    PageFormatUnknown,
    PageRefused,
    PageTooLarge,
    RowOutOfRange,
)
from shared.pages.layout import MOST_ROWS, Dtype, Form, Kind, Missing
from shared.pages.opening import open_page
from shared.pages.read_row import count_rows, read_row
from tests.page_columns import FLOATS, INTEGERS, NAN, NAT, NONE, TEXTS, TIMES, cells_of, column_of, pages
from worker.pages.columns import FeatureColumn
from worker.pages.decode import decode_features
from worker.pages.encode import encode_features
from worker.pages.from_arrow import from_arrow

POOLS: dict[Dtype, list[Any]] = {
    Dtype.INT64: INTEGERS,
    Dtype.FLOAT64: FLOATS,
    Dtype.BOOL: [True, False, NONE, NAN],
    Dtype.TEXT: TEXTS,
    Dtype.DATETIME: TIMES,
    Dtype.DATETIME_UTC: TIMES,
}


def spread(pool: list[Any], rows: int) -> list[Any]:
    return [pool[row % len(pool)] for row in range(rows)]


def form_of(page: bytes) -> tuple[Form, int, int]:
    """Form, bits and scale of a page's only column."""
    kind, body = open_page(page)
    assert kind is Kind.COLUMNS
    return Form(body[9]), body[10], body[11]


def check(columns: list[FeatureColumn], rows: int) -> bytes:
    """Encode, and compare every cell as decoded and as read by the row. Returns the page."""
    page = encode_features(columns, rows)
    decoded = decode_features(page)
    assert count_rows(page) == rows
    assert [column.dtype for column in decoded] == [column.dtype for column in columns]
    cells = [cells_of(column) for column in columns]
    assert [cells_of(column) for column in decoded] == cells
    for row in sorted({*range(13), rows // 2, *range(rows - 3, rows)} & set(range(rows))):
        expected = [_plain(column, cells[place][row]) for place, column in enumerate(columns)]
        assert list(map(repr, read_row(page, row))) == list(map(repr, expected))  # nan, -0.0, True and 1 are told apart
    return page


def _plain(column: FeatureColumn, cell: Any) -> Any:
    """What `read_row` gives for a cell of `cells_of`."""
    if isinstance(cell, Missing):
        return math.nan if cell is NAN else None
    if column.dtype is Dtype.FLOAT64:
        return float.fromhex(cell)
    if column.dtype not in (Dtype.DATETIME, Dtype.DATETIME_UTC):
        return cell
    zone = "+00:00" if column.dtype is Dtype.DATETIME_UTC else ""
    text = str(np.datetime64(cell, "us")).removeprefix("+")
    year = int(text[: text.index("-", 1)])
    if 1 <= year <= 9999:
        return datetime.fromisoformat(text + zone)
    if year < 0:
        text = f"{year:05d}" + text[text.index("-", 1) :]  # numpy writes few digits
    return (text if not text.endswith(".000000") else text[:-7]) + zone


@given(pages())
@settings(max_examples=300)
def test_every_value_comes_back(page: tuple[list[FeatureColumn], int]) -> None:
    """Bit for bit, with what is missing told apart, for all types, at one row and at many."""
    check(*page)


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 10_000])
def test_the_strangest_values_come_back(rows: int) -> None:
    """-0.0, the least double, the last int64, emoji, texts that look like marks, years that Python has not."""
    pools = [(dtype, pool[start:]) for dtype, pool in POOLS.items() for start in range(len(pool))]
    check([column_of(dtype, spread(pool, rows)) for dtype, pool in pools], rows)


@pytest.mark.parametrize("rows", [1, 63, 64, 1000])
@pytest.mark.parametrize("dtype", list(Dtype))
def test_constant_and_empty_columns_come_back(rows: int, dtype: Dtype) -> None:
    """A column of one value, and one without any, keep it and their type."""
    for cell in POOLS[dtype]:
        check([column_of(dtype, [cell] * rows)], rows)
    assert len(encode_features([column_of(dtype, [POOLS[dtype][1]] * 100_000)], 100_000)) < 80


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 100])
def test_a_page_without_columns_keeps_its_rows(rows: int) -> None:
    """A model without features has pages, too."""
    page = check([], rows)
    assert [read_row(page, row) for row in range(rows)] == [[]] * rows


@pytest.mark.parametrize(
    ("values", "form", "bits", "scale"),
    [
        ([float(n) for n in range(200)], Form.DECIMAL, 8, 0),
        ([n / 100 for n in range(-5000, 5000)], Form.DECIMAL, 16, 2),
        ([n / 10_000 for n in range(0, 2_000_000, 97)], Form.DECIMAL, 32, 4),
        ([0.1 + n / 100_000 for n in range(1, 200)], Form.DOUBLE, 64, 0),
        ([-0.0, 1.5] * 50, Form.DOUBLE, 64, 0),
        ([1e15 - 1] * 99 + [0.0], Form.DECIMAL, 64, 0),
        ([1e15, 2e15] * 50, Form.DOUBLE, 64, 0),
    ],
)
def test_doubles_are_decimals_where_that_is_exact(values: list[float], form: Form, bits: int, scale: int) -> None:
    """Of the smallest scale, up to 15 digits; a -0.0 among them keeps the column as doubles."""
    page = check([column_of(Dtype.FLOAT64, values)], len(values))
    assert form_of(page) == (form, bits, scale)


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("low", [-5, 0, 1, "middle", "end"])
def test_whole_numbers_are_as_wide_as_their_range(low: int | str, bits: int) -> None:
    """However far from zero they are: up to a range of 2^bits - 1, and one beyond it takes the next width."""
    least = {"middle": (1 << bits) // 2, "end": (1 << bits) + 3}.get(str(low), low)
    assert isinstance(least, int)
    for span, width in (((1 << bits) - 1, bits), (1 << bits, 2 * bits)):
        page = check([column_of(Dtype.INT64, [least, least + span // 2, least + span] * 40)], 120)
        assert form_of(page)[:2] == (Form.NUMBER, width)


@pytest.mark.parametrize(("words", "rows", "bits"), [(2, 64, 1), (256, 600, 8), (257, 600, 16), (66_000, 140_000, 32)])
def test_codes_are_as_wide_as_the_dictionary_asks_for(words: int, rows: int, bits: int) -> None:
    """One bit for two words, then 8, 16 and 32."""
    page = check([column_of(Dtype.TEXT, [f"word {row % words}" for row in range(rows)])], rows)
    assert form_of(page)[:2] == (Form.DICTIONARY, bits)


def test_texts_that_all_differ_need_no_dictionary() -> None:
    """Nor do those with gaps between them."""
    cells = [NONE if row % 7 == 3 else f"text {row}" for row in range(500)]
    assert form_of(check([column_of(Dtype.TEXT, cells)], 500))[0] is Form.TEXT


@pytest.mark.parametrize(("unit", "scale"), [(1, 0), (1_000_000, 1), (86_400_000_000, 2)])
def test_times_are_counted_in_their_unit(unit: int, scale: int) -> None:
    """Days of a column of dates take two bytes."""
    page = check([column_of(Dtype.DATETIME, [unit * (row + 1) for row in range(1000)])], 1000)
    assert form_of(page) == (Form.NUMBER, 16, scale)


def test_times_are_pythons() -> None:
    """With a zone where the column has one."""
    columns = [column_of(dtype, [1_700_000_000_000_001]) for dtype in (Dtype.DATETIME, Dtype.DATETIME_UTC)]
    plain = datetime(2023, 11, 14, 22, 13, 20, 1)  # noqa: DTZ001
    assert read_row(encode_features(columns, 1), 0) == [plain, plain.replace(tzinfo=UTC)]


def test_one_row_of_thirty_columns_is_small() -> None:
    """A single prediction's page holds no names and no types: about 170 bytes for the sample's columns."""
    texts = ["Travel_Rarely", "Research & Development", "Life Sciences", "Male", "Research Scientist", "Married"]
    numbers = [49, 279, 8, 1, 2, 61, 2, 2, 2, 5130, 24907, 1, 23, 4, 4, 1, 10, 3, 3, 10, 7, 1, 7]
    columns = [column_of(Dtype.INT64, [n]) for n in numbers] + [column_of(Dtype.TEXT, [t]) for t in texts]
    columns.append(column_of(Dtype.BOOL, [False]))
    assert len(columns) == 30
    assert len(check(columns, 1)) <= 170


def test_a_small_page_is_packed_where_that_is_smaller() -> None:
    """And only there."""
    kinds = [open_page(encode_features([column_of(Dtype.TEXT, ["x" * 40] * rows)], rows))[0] for rows in (1, 50)]
    assert kinds == [Kind.LINES, Kind.PACKED_LINES]


def test_all_nans_are_one() -> None:
    """A NaN's sign and payload are not kept."""
    odd = np.array([0x7FF8_0000_0000_0001, -1] * 40, np.int64).view(np.float64)
    decoded = decode_features(encode_features([FeatureColumn(Dtype.FLOAT64, odd)], 80))[0]
    assert cells_of(decoded) == [NAN] * 80
    assert np.isnan(decoded.to_numpy()).all()


@pytest.mark.parametrize("rows", [1, 64])
def test_a_text_with_nul_is_refused(rows: int) -> None:
    """PostgreSQL has no such text, so it cannot have been read there."""
    with pytest.raises(NulRefused, match="character NUL"):
        encode_features([column_of(Dtype.TEXT, ["a\x00b"] * rows)], rows)


def test_a_page_has_an_end() -> None:
    """More rows than the format allows are refused, and columns of unlike length are a mistake of ours."""
    with pytest.raises(PageTooLarge, match="1,000,000 rows, not 1,000,001"):
        encode_features([], MOST_ROWS + 1)
    with pytest.raises(ValueError, match="a page of 3 rows"):
        encode_features([column_of(Dtype.INT64, [1, 2])], 3)


def test_the_estimator_gets_the_columns_dtype() -> None:
    """Or object, where the dtype has no word for a missing cell."""
    cases = [
        (Dtype.INT64, [1, 2], "int64"),
        (Dtype.INT64, [1, NONE], "object"),
        (Dtype.FLOAT64, [0.5, NONE, NAN], "float64"),
        (Dtype.BOOL, [True, False], "bool"),
        (Dtype.BOOL, [True, NONE], "object"),
        (Dtype.TEXT, ["a", NONE, NAN], "object"),
        (Dtype.DATETIME, [1, NAT, NONE], "datetime64[us]"),
    ]
    for dtype, cells, expected in cases:
        column = column_of(dtype, cells)
        assert column.to_numpy().dtype == expected
        assert column.to_arrow().null_count == sum(isinstance(cell, Missing) for cell in cells)
    assert repr(column_of(Dtype.TEXT, ["a", NONE, NAN]).to_numpy().tolist()) == "['a', None, nan]"
    assert column_of(Dtype.TEXT, ["a", NONE, "b"]).to_arrow().to_pylist() == ["a", None, "b"]


# Damage


@pytest.fixture(scope="module", params=[2, 40, 200])
def page(request: pytest.FixtureRequest) -> bytes:
    rows = request.param
    return encode_features([column_of(dtype, spread(pool, rows)) for dtype, pool in POOLS.items()], rows)


def read_all(data: bytes) -> None:
    """Every way of reading, each of which may say no more than that the page is bad."""
    for read in (decode_features, count_rows, lambda given: read_row(given, 0), lambda given: read_row(given, 199)):
        try:
            read(data)
        except PageError:
            continue


def test_a_truncated_page_says_so(page: bytes) -> None:
    """Wherever it was cut, except between two lines, which is a shorter page."""
    lines = page[1] == Kind.LINES
    for size in range(len(page)):
        if lines and (size == 2 or (size > 2 and page[:size].endswith(b"\n"))):
            continue
        with pytest.raises(PageDamaged):
            decode_features(page[:size])
        with pytest.raises(PageDamaged):
            read_row(page[:size], 0)


def test_a_page_with_more_behind_it_is_damaged(page: bytes) -> None:
    """Bytes that belong to nothing are not passed over."""
    with pytest.raises(PageDamaged):
        decode_features(page + b"x")


@pytest.mark.parametrize("number", [0, 2, 255])
def test_an_unknown_format_is_named(page: bytes, number: int) -> None:
    """With what to do about it."""
    for read in (decode_features, count_rows, lambda data: read_row(data, 0)):
        with pytest.raises(PageFormatUnknown, match=f"format {number}.*upgrade"):
            read(bytes((number,)) + page[1:])


@pytest.mark.parametrize("rows", [1, 100])
@pytest.mark.parametrize("row", [-1, 1, 100, 10**9])
def test_a_row_out_of_range_is_named(rows: int, row: int) -> None:
    """Negative numbers do not count from the end."""
    data = encode_features([column_of(Dtype.INT64, [7] * rows)], rows)
    if 0 <= row < rows:
        assert read_row(data, row) == [7]
    else:
        with pytest.raises(RowOutOfRange, match=f"no row {row}"):
            read_row(data, row)


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_random_bytes_raise_no_other_error(data: bytes) -> None:
    """As a page, as the rest of one, and inside a sound frame."""
    read_all(data)
    for kind in range(5):
        read_all(bytes((1, kind)) + data)
        read_all(bytes((1, kind)) + zstandard.compress(data))


@given(st.data())
@settings(max_examples=500)
def test_a_changed_body_raises_no_other_error(page: bytes, data: st.DataObject) -> None:
    """Nonsense in a frame whose checksum is right is found where it is read, or read as other values."""
    kind, body = open_page(page)
    place = data.draw(st.integers(0, min(len(body) - 1, 250)))
    changed = body[:place] + data.draw(st.binary(min_size=1, max_size=8)) + body[place + 1 :]
    read_all(bytes((1, kind)) + (changed if kind is Kind.LINES else zstandard.compress(changed)))


def test_a_frame_that_claims_much_is_not_opened() -> None:
    """Memory is not taken on the word of a damaged page."""
    bomb = zstandard.compress(bytes((1 << 28) + 1))
    with pytest.raises(PageDamaged, match="claims a size"):
        count_rows(bytes((1, Kind.COLUMNS)) + bomb)


@pytest.mark.parametrize("rows", [1, 70])
def test_the_drivers_memoryview_is_read(rows: int) -> None:
    """psycopg2 gives bytea as a memoryview whose elements are bytes of length one."""
    data = memoryview(encode_features([column_of(Dtype.INT64, [7] * rows)], rows)).cast("c")
    assert read_row(data, 0) == [7]
    assert cells_of(decode_features(data)[0]) == [7] * rows


def test_other_types_are_refused_by_name() -> None:
    """A type that the estimator was never given is no column of a page."""
    with pytest.raises(PageRefused, match="no columns of type list"):
        from_arrow(pa.array([[1]]))


def test_the_example_of_the_documentation_is_a_page() -> None:
    """docs/page-format.md shows two rows as they really are written."""
    columns = [
        column_of(Dtype.INT64, [49, 33]),
        column_of(Dtype.FLOAT64, [NAN, NAN]),
        column_of(Dtype.TEXT, ["Sales", NONE]),
    ]
    lines = open_page(encode_features(columns, 2))[1].decode().splitlines()
    documented = (Path(__file__).resolve().parents[3] / "docs" / "page-format.md").read_text(encoding="utf-8")
    assert len(lines) == 3
    assert "".join(f"    {line}\n" for line in lines) in documented
