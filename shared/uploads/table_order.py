"""What a caller says of a file that a worker opens: what its columns are, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID


def essence_of(media_type: str) -> str:
    """A media type without its parameters, in small letters."""
    return media_type.partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class TableOrder:
    """A file that was sent, as rows of a job. `columns` has the file's column of a feature or of a part of the key.

    None means that it is to be seen from the file.
    """

    upload_id: UUID
    media_type: str = ""
    has_features: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    sheet: str | None = None
    separator: str | None = None
    decimal: str | None = None
    dates: str | None = None  # dmy or mdy
    encoding: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As it is kept with its job."""
        return {**asdict(self), "columns": dict(self.columns), "upload_id": str(self.upload_id)}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> TableOrder:
        """The other way round."""
        return cls(**{**given, "upload_id": UUID(str(given["upload_id"]))})
