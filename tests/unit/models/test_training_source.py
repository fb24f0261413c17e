"""Training on rows of a source: the signature is the one that registration would find, whatever the rows hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cli.connection.address import ApiAddress
from cli.connection.client import ApiClient
from cli.errors import GatewayRefused, SourceNotRead, UsageProblem
from cli.training import train_on_source, wanted_columns
from model.errors import DataRefused
from model.signature.infer import infer_signature
from model.training.columns import training_frame
from model.training.curves import curves_of
from model.training.run import Wish, train
from model.training.source_rows import SourceColumn, choose_source_columns, read_source_rows
from shared.models.feature import FeatureSpec
from shared.models.task import Task
from worker.models.frame import input_columns, to_frame

ROWS = 300
TYPES = {
    "small": "smallint", "whole": "integer", "large": "bigint", "cash": "numeric", "share": "real", "rate":
    "double precision", "yes": "boolean", "word": "text", "code": "varchar", "sort": "enum", "many": "text",
    "born": "date", "seen": "timestamp", "zoned": "timestamptz",
}  # fmt: skip


def write(path: Path, *, gaps: bool, nullable: bool) -> Path:
    """A file of a worker with a column of each type, and the target `lapsed`."""
    random = np.random.default_rng(4)
    mask = random.random(ROWS) < 0.1 if gaps else np.zeros(ROWS, dtype=bool)
    times = random.integers(1_000_000_000, 1_700_000_000, ROWS) * 1_000_000
    words = np.array(["a", "é", 'c"'])[random.integers(0, 3, ROWS)]
    values: dict[str, Any] = {
        "small": pa.array(random.integers(0, 5, ROWS), mask=mask),
        "whole": pa.array(random.integers(-50, 50, ROWS), mask=mask),
        "large": pa.array(random.integers(0, 2**40, ROWS), mask=mask),
        **{name: pa.array(random.random(ROWS), mask=mask) for name in ("cash", "share", "rate")},
        "yes": pa.array(random.random(ROWS) < 0.5, mask=mask),
        **{name: pa.array(words, mask=mask).dictionary_encode() for name in ("word", "code", "sort")},
        "many": pa.array([f"w{n}" for n in random.integers(0, 80, ROWS)], mask=mask).dictionary_encode(),
        "born": pa.array(times, pa.timestamp("us"), mask=mask),
        "seen": pa.array(times + 1, pa.timestamp("us"), mask=mask),
        "zoned": pa.array(times + 2, pa.timestamp("us", "UTC"), mask=mask),
        "lapsed": pa.array(np.where(random.random(ROWS) < 0.4, "Yes", "No")).dictionary_encode(),
    }
    columns = [{"name": name, "type": kind, "nullable": nullable, "comment": "of it"} for name, kind in TYPES.items()]
    about = {"columns": [*columns, {"name": "lapsed", "type": "text"}], "unfit": {"born": 2}}
    table = pa.table(values).replace_schema_metadata({b"predictq": json.dumps(about).encode()})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return path


def told(spec: FeatureSpec) -> tuple[Any, ...]:
    return (spec.name, spec.kind, spec.dtype, spec.missing, spec.categories, spec.column_type, spec.description)


@pytest.mark.parametrize("estimator", ["logistic_regression", "hist_gradient_boosting"])
@pytest.mark.parametrize(("gaps", "nullable"), [(True, True), (False, True), (False, False)])
def test_the_signature_is_the_one_that_registration_infers(
    tmp_path: Path, estimator: str, *, gaps: bool, nullable: bool
) -> None:
    """Of every type, with gaps and without: kinds, dtypes, words and what stands for a gap."""
    rows = read_source_rows(write(tmp_path / "rows", gaps=gaps, nullable=nullable))
    columns = choose_source_columns(rows, "lapsed", left_out={})
    wish = Wish("lapsed", estimator=estimator, splits=2)
    result = train(rows.frame, wish, source="the source people", columns=columns, unfit=rows.unfit)
    inferred = infer_signature(result.fitted.pipeline, rows.columns).signature
    assert [told(spec) for spec in result.signature.features] == [told(spec) for spec in inferred.features]
    for mine, found in zip(result.signature.features, inferred.features, strict=True):
        assert mine.nullable == (found.nullable and (gaps or not mine.categories)), mine
    fitted = training_frame(rows.frame, columns.features)
    asked = pa.Table.from_pandas(rows.frame[list(fitted)], preserve_index=False)
    signature = result.signature
    scored = to_frame(input_columns(asked, signature), signature)
    assert fitted.dtypes.to_dict() == scored.dtypes.to_dict()
    assert result.unfit == {"born": 2}


def test_the_frame_of_a_source_has_the_types_of_scoring(tmp_path: Path) -> None:
    """Whole numbers with gaps are doubles; words and booleans with gaps objects; the target keeps its words."""
    frame = read_source_rows(write(tmp_path / "rows", gaps=True, nullable=True)).frame
    assert frame["whole"].dtype == np.float64
    assert set(map(type, frame["word"].dropna())) == {str}
    assert set(map(type, frame["yes"].dropna())) == {bool}
    assert sorted(frame["lapsed"].unique()) == ["No", "Yes"]


def test_a_boolean_target_with_gaps_is_boolean(tmp_path: Path) -> None:
    """Its classes are False and True, as without gaps, and no words."""
    rows = read_source_rows(write(tmp_path / "rows", gaps=True, nullable=True))
    columns = choose_source_columns(rows, "yes", left_out={})
    result = train(rows.frame, Wish("yes", splits=2), columns=columns)
    assert result.target.classes == (False, True)
    assert result.unlabelled == int(rows.frame["yes"].isna().sum()) > 0


SOURCE: dict[str, Any] = {
    "name": "people",
    "key": [{"name": "no"}],
    "columns": [{"name": "age"}, {"name": "state"}],
    "filters": [{"name": "left_at"}],
}


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish("no"), "no is the key of people: it names a client"),
        (Wish("stat"), "has no column 'stat'. It has: age, state, left_at. .*predictq sources check people"),
        (Wish("state", drop=("ag",)), "has no column 'ag'"),
        (Wish("state", drop=("state",)), "state is the target: it cannot be left out"),
    ],
)
def test_a_column_that_cannot_be_learnt_is_refused_with_what_to_type(wish: Wish, words: str) -> None:
    """Before anything is read."""
    with pytest.raises(UsageProblem, match=words):
        wanted_columns(SOURCE, wish)


def test_filters_are_read_as_a_target_alone() -> None:
    """A column that was named for filters is no feature; a key that is left out is none either."""
    assert wanted_columns(SOURCE, Wish("state", drop=("no",))) == ["age", "state"]
    assert wanted_columns(SOURCE, Wish("left_at", drop=("state",))) == ["age", "left_at"]


class Away(ApiClient):
    """A gateway whose worker cannot read the source."""

    def __init__(self) -> None:
        super().__init__(ApiAddress("http://nowhere", None))

    def call(self, method: str, path: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
        return SOURCE

    def source_rows(self, name: str, wanted: Any, target: Any, on_bytes: Any) -> None:
        raise GatewayRefused(422, f"The source {name} does not answer: connection refused.", ["source_unavailable"])


def test_a_source_that_is_away_is_said_with_what_to_do() -> None:
    """In one line."""
    words = r"does not answer: .* Try again when it answers, or type: predictq sources check people"
    with pytest.raises(SourceNotRead, match=words):
        train_on_source(Away(), "people", Wish("state"), rows=None, quiet=True)


def test_a_source_without_rows_is_refused(tmp_path: Path) -> None:
    """In words, not by an error of pandas."""
    rows = read_source_rows(write(tmp_path / "rows", gaps=False, nullable=False))
    empty = type(rows)(rows.frame.head(0), (SourceColumn("word", "text"),), {})
    with pytest.raises(DataRefused, match="no row to learn from"):
        choose_source_columns(empty, "lapsed", left_out={})


def test_a_binary_model_without_a_threshold_has_binary_curves() -> None:
    """It was taken for one of several classes, and failed at answers of one dimension."""
    random = np.random.default_rng(0)
    codes = random.integers(0, 2, 200)
    answers = np.clip(0.4 * codes + 0.6 * random.random(200), 0, 1)
    found = curves_of(Task.BINARY, codes, None, answers, None)
    assert set(found) == {"calibration", "precision_recall"}
    assert set(curves_of(Task.BINARY, codes, None, answers, 0.5)) == {"calibration", "precision_recall", "threshold"}
    of_three = curves_of(Task.MULTICLASS, random.integers(0, 3, 200), None, random.dirichlet([1, 1, 1], 200), None)
    assert set(of_three) == {"calibration"}
    assert pd.Series(of_three["calibration"]["y"]).between(0, 1).all()
