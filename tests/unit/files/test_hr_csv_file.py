from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from examples.hr_attrition.csv_file import read_csv
from examples.hr_attrition.dataset import generate
from examples.hr_attrition.features import FEATURE_NAMES
from model.errors import DataRefused

ROWS = next(generate(20, 1))


def written(folder: Path, frame: pd.DataFrame) -> Path:
    path = folder / "clients.csv"
    frame.to_csv(path, index=False)
    return path


def changed(column: str, row: int, value: str) -> pd.DataFrame:
    frame = ROWS.astype(object)
    frame.loc[row, column] = value
    return frame


def test_a_generated_frame_is_read_back_unchanged(tmp_path: Path) -> None:
    """What the generator writes to a CSV, the reader reads with the same values and types."""
    read = read_csv(written(tmp_path, ROWS))
    pd.testing.assert_frame_equal(read, ROWS.drop(columns="client_id"))


def test_the_public_data_sets_manner_is_read(tmp_path: Path) -> None:
    """CamelCase headers, Yes/No and the constant columns of the public file are understood."""
    public = ROWS.rename(columns=lambda name: name.title().replace("_", ""))
    public["OverTime"] = np.where(ROWS["over_time"], "Yes", "No")
    public["Attrition"] = np.where(ROWS["attrition"] == 1, "Yes", "No")
    public[["EmployeeCount", "Over18", "StandardHours", "EmployeeNumber"]] = [1, "Y", 80, 7]
    read = read_csv(written(tmp_path, public))
    assert list(read.columns) == [*FEATURE_NAMES, "attrition"]
    assert read["over_time"].tolist() == ROWS["over_time"].tolist()
    assert read["attrition"].tolist() == ROWS["attrition"].tolist()


def test_an_empty_number_is_missing(tmp_path: Path) -> None:
    """A number may be left empty: the pipeline imputes it."""
    read = read_csv(written(tmp_path, changed("monthly_income", 3, "")))
    assert np.isnan(read["monthly_income"][3])
    assert read["monthly_income"].dtype == float


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("age", "old", "line 5: age must be a whole number; got 'old'"),
        ("age", "30.5", "line 5: age must be a whole number"),
        ("age", "inf", "line 5: age must be a whole number"),
        ("age", "7", "line 5: age must be from 14 to 120"),
        ("gender", "None", "line 5: gender must be one of Female, Male; got 'None'"),
        ("gender", "", "line 5: gender must be one of"),
        ("over_time", "perhaps", "line 5: over_time must be Yes, No"),
        ("attrition", "2", "line 5: attrition must be Yes, No"),
    ],
)
def test_a_bad_value_is_named_with_its_line(tmp_path: Path, column: str, value: str, message: str) -> None:
    """The error says the line in the file, the column, the rule and the value."""
    with pytest.raises(DataRefused, match=message):
        read_csv(written(tmp_path, changed(column, 3, value)))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    """All missing columns are named at once."""
    with pytest.raises(DataRefused, match="missing columns: age, attrition"):
        read_csv(written(tmp_path, ROWS.drop(columns=["age", "attrition"])))


def test_two_headers_for_one_column_are_refused(tmp_path: Path) -> None:
    """`Age` and `age` in one file are ambiguous."""
    with pytest.raises(DataRefused, match="age occurs twice"):
        read_csv(written(tmp_path, ROWS.assign(Age=1)))


def test_a_short_line_is_refused_with_its_number(tmp_path: Path) -> None:
    """A blank line is not skipped, so that line numbers stay true."""
    path = written(tmp_path, ROWS)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], "", *lines[4:]]))
    with pytest.raises(DataRefused, match="line 5: "):
        read_csv(path)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n1,2,3\n", b"a\n\xff\n", b"age,gender\n"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, ragged, binary and header-only files give a clear error."""
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(DataRefused, match=r"bad\.csv"):
        read_csv(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The path and the reason are told."""
    with pytest.raises(DataRefused, match="No such file"):
        read_csv(tmp_path / "nowhere.csv")
