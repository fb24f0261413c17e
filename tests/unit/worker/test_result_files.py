"""Files of answers hold whatever a caller may call her rows."""

from __future__ import annotations

import io
from typing import Any

import openpyxl
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from shared.sources.keys import KeyRefused
from shared.sources.references import REFERENCES
from worker.exports.result_files import write_rows

_EDGES = [sign * (2**bits) + step for sign in (1, -1) for bits in (31, 53, 63, 64) for step in (-1, 0, 1)]
_ODD = ["", "=1", "1e5", "null", "\x07", "\x1f", "\ufffe", "\uffff"]
_REFERENCES = st.text(max_size=12) | st.integers() | st.sampled_from([*_EDGES, *_ODD])


def is_taken(reference: object) -> bool:
    try:
        REFERENCES.parse(reference)
    except KeyRefused:
        return False
    return True


def written(references: list[Any], kind: str) -> list[Any]:
    """The column of client ids in a file of rows with these."""
    empty = dict.fromkeys(("probability", "label", "threshold", "error_code", "error_detail", "key", "value"))
    row = {"request_id": "1-0", "model_version": 1, "model": "m", **empty}
    lines = io.BytesIO(b"".join(orjson.dumps({**row, "client_id": each}) + b"\n" for each in references))
    target = io.BytesIO()
    assert write_rows(lines, target, kind) == len(references)
    content = io.BytesIO(target.getvalue())
    if kind == "parquet":
        return list(parquet.read_table(content).column("client_id").to_pylist())
    if kind == "arrow":
        return list(pa.ipc.open_file(content).read_all().column("client_id").to_pylist())
    names, *cells = openpyxl.load_workbook(content).active.iter_rows(values_only=True)
    return [line[names.index("client_id")] for line in cells]


@given(st.lists(_REFERENCES.filter(is_taken), min_size=1, max_size=5))
def test_every_reference_that_is_taken_is_in_every_file(references: list[Any]) -> None:
    """As whole numbers where all are, else as texts with all their digits. Excel shows some signs in its own way."""
    expected = references if {type(each) for each in references} == {int} else [str(each) for each in references]
    for kind in ("parquet", "arrow"):
        assert written(references, kind) == expected
    assert len(written(references, "xlsx")) == len(references)


@pytest.mark.parametrize("reference", [2**63, 2**64 - 1, -(2**63), 10**40])
def test_a_longer_number_is_sent_as_text(reference: int) -> None:
    """The refusal says so; as text it is taken."""
    with pytest.raises(KeyRefused) as refused:
        REFERENCES.parse(reference)
    assert "send its digits as one" in str(refused.value.detail)
    assert REFERENCES.parse(str(reference)).canonical == str(reference)


@pytest.mark.parametrize("kind", ["parquet", "arrow", "xlsx"])
def test_a_longer_number_of_an_older_row_is_a_text(kind: str) -> None:
    """It was taken once: the file of its job is written, with all digits."""
    assert [str(each) for each in written([2**63, 5], kind)] == ["9223372036854775808", "5"]
