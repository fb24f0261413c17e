"""Rows of a source as a worker gives them, as a frame, with the features that registration would find."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from model.errors import DataRefused
from model.signature.infer import Column, column_feature
from model.training.columns import Columns, choose_columns
from shared.models.signature import FeatureSpec
from shared.sources.column import ROWS_METADATA, SourceColumn


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Rows in the types of scoring. `unfit`: how many were left out, by the column of the value that does not fit."""

    frame: pd.DataFrame
    columns: tuple[SourceColumn, ...]
    unfit: Mapping[str, int]


def read_source_rows(path: Path) -> SourceRows:
    """Open the file. Whole numbers with gaps are float64; words and booleans with gaps are objects with None."""
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
    about = json.loads((table.schema.metadata or {})[ROWS_METADATA])
    frame = pd.DataFrame(
        {name: _series(column) for name, column in zip(table.column_names, table.columns, strict=True)}
    )
    return SourceRows(frame, tuple(SourceColumn(**column) for column in about["columns"]), about["unfit"])


def choose_source_columns(rows: SourceRows, target: str, *, left_out: Mapping[str, str]) -> Columns:
    """The features among the columns of the source: with kind and dtype of the column, whatever these rows hold.

    A column that may be null is so for the model, too, where it can be: a closed list of words has a place for a gap
    only if there was one. `left_out`: columns that were not read, and why. Raises DataRefused.
    """
    if rows.frame.empty:
        raise DataRefused("The source has no row to learn from.")
    found = choose_columns(rows.frame, target)
    by_name = {column.name: column for column in rows.columns}
    features = tuple(_as_column(spec, by_name[spec.name]) for spec in found.features)
    return Columns(features, {**left_out, **found.left_out})


def _as_column(spec: FeatureSpec, column: Column) -> FeatureSpec:
    nullable = column.nullable and (spec.nullable or not spec.categories)
    return column_feature(column, nullable=nullable, categories=spec.categories)


def _series(column: pa.ChunkedArray) -> pd.Series:
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type):
        return pd.Series(column.to_numpy(zero_copy_only=False), dtype=object)
    series: pd.Series = column.to_pandas()
    return series
