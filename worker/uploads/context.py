"""What an upload is held against: the file itself, and the version of the model that its job is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.models.signature import Signature
from shared.sources.keys import KeyColumn, KeyForm
from shared.sources.references import REFERENCES
from shared.uploads.table_order import TableOrder


@dataclass(frozen=True, slots=True)
class UploadContext:
    """A file on this machine's disk, and what its rows are for. No `signature` where features are none of the file's.

    It goes as JSON to the process that opens the file, which reaches no database.
    """

    path: Path
    order: TableOrder
    signature: Signature | None
    form: KeyForm

    def to_json(self) -> dict[str, Any]:
        """For `from_json`."""
        return {
            "path": str(self.path),
            "order": self.order.to_json(),
            "signature": None if self.signature is None else self.signature.to_json(),
            "key": None if self.form is REFERENCES else [[column.name, column.type] for column in self.form.columns],
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> UploadContext:
        """What `to_json` made."""
        signature, key = given["signature"], given["key"]
        return cls(
            Path(given["path"]),
            TableOrder.from_json(given["order"]),
            None if signature is None else Signature.from_json(signature),
            REFERENCES if key is None else KeyForm(tuple(KeyColumn(name, kind) for name, kind in key)),
        )
