from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from model.errors import DataRefused
from model.training.columns import choose_columns, training_frame
from model.training.csv_file import read_rows
from model.training.encoding import for_linear
from shared.models.signature import FeatureKind


def written(folder: Path, text: str) -> Path:
    path = folder / "people.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_are_read_as_what_they_hold(tmp_path: Path) -> None:
    """Numbers, booleans in words, times and words with accents; the target keeps its words; empty is missing."""
    path = written(
        tmp_path,
        "\ufeffgröße, région ,owner,since,left\n"
        "1.5,Rhône,Yes,2024-02-29,Yes\n"
        ",NA,no,,No\n"
        '3,"Île, one",YES,2025-01-01,Yes\n',
    )
    rows = read_rows(path, "left")
    assert list(rows.columns) == ["größe", "région", "owner", "since", "left"]
    assert rows["größe"].isna().tolist() == [False, True, False]
    assert rows["région"].tolist() == ["Rhône", "NA", "Île, one"]
    assert rows["owner"].tolist() == [True, False, True]
    assert rows["since"].iloc[0] == pd.Timestamp("2024-02-29")
    assert rows["left"].tolist() == ["Yes", "No", "Yes"]


def test_a_column_with_one_word_and_gaps_is_learnt_from(tmp_path: Path) -> None:
    """A gap is a word of its own there, as in `Y` or nothing; without gaps it is left out."""
    lines = "".join(f"{n % 7},{'Y' if n % 5 == 0 else ''},FR,{n % 2}\n" for n in range(1, 60))
    rows = read_rows(written(tmp_path, "count,called,land,y\n" + lines), "y")
    columns = choose_columns(rows, "y")
    (called,) = [spec for spec in columns.features if spec.name == "called"]
    assert (called.kind, called.categories, called.nullable) == (FeatureKind.CATEGORY, ("Y",), True)
    assert columns.left_out == {"land": "the same in every row: 'FR'"}
    encode = for_linear(columns.features)
    encoded = encode.fit_transform(training_frame(rows, columns.features))
    assert sorted(set(map(tuple, encoded[:, 1:].tolist()))) == [(0.0, 1.0), (1.0, 0.0)]


def test_what_is_chosen_has_the_types_of_its_signature(tmp_path: Path) -> None:
    """What the estimator is fitted on is what a worker gives it later."""
    lines = "".join(f"{n % 7},{n / 3:.2f},{'ab'[n % 2]},{'true' if n % 3 else ''},{n % 2}\n" for n in range(1, 60))
    rows = read_rows(written(tmp_path, "count,price,word,flag,y\n" + lines), "y")
    columns = choose_columns(rows, "y")
    kinds = {spec.name: (spec.kind, spec.nullable) for spec in columns.features}
    assert kinds == {
        "count": (FeatureKind.INTEGER, True),
        "price": (FeatureKind.NUMBER, True),
        "word": (FeatureKind.CATEGORY, False),
    }
    said = "the same in every row that has a value: 'True'; the other 32.2% are imputed"
    assert columns.left_out["flag"] == said
    frame = training_frame(rows, columns.features)
    assert [str(dtype) for dtype in frame.dtypes] == ["float64", "float64", "object"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "has no row below its header"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, and the header names 2 columns"),
        ("a,b\n1,2\n1\n", "line 3 has 1 field,"),
        ("a,a\n1,2\n", "the column a occurs twice"),
        ('a,b\n1,"2\n', "is not a CSV file"),
        ("age,y\n" + "30,1\n" * 19 + "N/A,0\n", "row 20: age is 'N/A', and a number in 95% of the rows.*--drop age"),
    ],
)
def test_a_file_that_cannot_be_read_as_it_is_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The error says the file, the line, what is wrong and what to do."""
    with pytest.raises(DataRefused, match=message):
        read_rows(written(tmp_path, text), "y")


def test_a_column_that_is_dropped_is_not_looked_at(tmp_path: Path) -> None:
    """The advice of the error helps."""
    path = written(tmp_path, "age,y\n" + "30,1\n" * 19 + "N/A,0\n")
    assert len(read_rows(path, "y", drop=("age",))) == 20


def test_bytes_that_are_no_text_and_missing_files_are_named(tmp_path: Path) -> None:
    """Latin-1 and a wrong path."""
    path = tmp_path / "latin.csv"
    path.write_bytes("région\nRhône\n".encode("latin-1"))
    with pytest.raises(DataRefused, match=r"latin\.csv: is not a CSV file with a header line in UTF-8"):
        read_rows(path, "y")
    with pytest.raises(DataRefused, match="No such file"):
        read_rows(tmp_path / "nowhere.csv", "y")


def test_whole_numbers_that_would_be_rounded_are_refused(tmp_path: Path) -> None:
    """With a gap they are doubles, beyond 2⁵³ others than in the file; without one, or with fractions, all is well."""
    text = "account,big,y\n1,1e300,0\n{gap},2.5,1\n9007199254740993,,1\n"
    with pytest.raises(DataRefused, match=r"row 3: account is 9007199254740993, .* --drop account"):
        read_rows(written(tmp_path, text.format(gap="")), "y")
    assert read_rows(written(tmp_path, text.format(gap="2")), "y")["account"].tolist()[2] == 9007199254740993
    assert len(read_rows(written(tmp_path, text.format(gap="")), "y", drop=["account"])) == 3
