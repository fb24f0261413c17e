"""Shapes of what is said and told about tables that are uploaded."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StrictBool

from api.schemas.base import ModelName, Shape, Told
from shared.uploads.table_order import TableOrder

_Short = Annotated[str, Field(max_length=100)]


class LookOrder(Shape):
    """For which model a file is looked at, and what its caller knows of it; what is left out is seen from the file."""

    model: ModelName
    features: StrictBool = Field(
        default=False, description="Whether the file has the features; else it has client keys."
    )
    columns: Annotated[
        dict[str, str],
        Field(
            default_factory=dict,
            max_length=2_000,
            description="The file's column for a feature or for a part of the key, where their names differ.",
            examples=[{"balance": "Âge"}],
        ),
    ]
    sheet: _Short | None = Field(default=None, description="Of a workbook of Excel with several.")
    separator: _Short | None = Field(default=None, description="Of CSV: one character, or `tab`.")
    decimal: Literal[".", ","] | None = Field(default=None, description="The decimal mark in CSV.")
    dates: Literal["dmy", "mdy"] | None = Field(
        default=None, description="What comes first in days such as 01/02/2026."
    )
    encoding: _Short | None = Field(default=None, description="Of CSV: `utf-8`, `utf-16`, `cp1252` …")

    def to_order(self, upload_id: UUID) -> TableOrder:
        """For the worker that opens the file."""
        return TableOrder(
            upload_id,
            has_features=self.features,
            columns=self.columns,
            sheet=self.sheet,
            separator=self.separator,
            decimal=self.decimal,
            dates=self.dates,
            encoding=self.encoding,
        )


class TableColumn(Shape):
    """A column of the file."""

    name: str
    use: Literal["key", "feature", "ignored"]
    stands_for: str | None = Field(description="The feature or the column of the key that it is.")
    written: str = Field(description="How its values are written where that is not as usual: `decimal comma`.")
    examples: list[str] = Field(description="Of the first three rows.")
    null_words: dict[str, int] = Field(
        default_factory=dict,
        description="Of a text: words such as `NA` or `None`, and how many rows hold each. They are kept as words; "
        "pandas reads them as missing.",
    )


class TableProblem(Told):
    """Something that does not fit."""

    line: int = Field(description="In the file, from 1; of a sheet its row.")
    code: str


class UploadLook(Shape):
    """What was understood of a file. A job can be made of it where there is no problem."""

    model: str
    format: Literal["xlsx", "parquet", "arrow", "csv"] | None = None
    sheet: str | None = None
    sheets: list[str] = Field(default_factory=list, description="Those of a workbook.")
    separator: str | None = None
    encoding: str | None = None
    rows: int = 0
    is_whole: bool = Field(default=False, description="Whether all rows were read: `rows` is their number then.")
    key: list[str] = Field(description="The columns of the model's source that name a client.")
    features: list[str] = Field(description="The features that the file must have; empty where it has keys.")
    columns: list[TableColumn] = Field(default_factory=list)
    problems: list[TableProblem] = Field(description="The first twenty at most: nobody counts on behind them.")
