"""Rows of features in NDJSON: on each line an object of features, and perhaps a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.models.feature import INT8_MAX
from shared.models.signature import FeatureKind, Signature
from shared.uploads.feature_rows import RowCollector, rows_per_step
from shared.uploads.feature_values import ValueRefused, value_of_json
from shared.uploads.headings import CLIENT_ID, key_names
from shared.uploads.key_lines import KeyLines
from shared.uploads.keys import KeyForm
from shared.uploads.ndjson_keys import (
    JSON_BLANKS,
    LineRefused,
    NdjsonKeys,
    fault_of_endless,
    read_value,
    refuse_compressed,
)
from shared.uploads.refusals import LineFault

# What JSON gives for each kind where there is nothing to look at. A float out of JSON is finite.
_PLAIN: dict[FeatureKind, type] = {
    FeatureKind.INTEGER: int,
    FeatureKind.NUMBER: float,
    FeatureKind.BOOLEAN: bool,
    FeatureKind.CATEGORY: str,
}


class NdjsonFeatures:
    """Reads block after block. Lines end with LF and nothing else. Whether there is a key, the first line says."""

    def __init__(self, form: KeyForm, signature: Signature) -> None:
        self._form = form
        self._signature = signature
        self._keys = NdjsonKeys(form)
        names = {CLIENT_ID} | {column.name for column in form.columns}
        self._only_keys = names - set(signature.names)
        self._known = names | set(signature.names)
        self._has_key: bool | None = None
        self._features = [(spec.name, spec, _PLAIN.get(spec.kind)) for spec in signature.features]
        self._key_name = ", ".join(key_names(form)[0])
        self._step = rows_per_step(len(signature.features))

    def end_of_records(self, block: bytes) -> int:
        """See RecordEnds."""
        return block.rfind(b"\n") + 1

    def fault_of_endless(self, block: bytes, line: int) -> LineFault:
        """See RecordEnds."""
        return fault_of_endless(block, line)

    def read(self, line: int, block: bytes) -> Iterator[KeyLines]:
        """The rows of whole lines, the first of which is line `line`. Raises UploadRefused."""
        refuse_compressed(line, block)
        rows = RowCollector(self._form.storage)
        lines = block.split(b"\n")
        for number, content in enumerate(lines if lines[-1] else lines[:-1], 1):
            if content.strip(JSON_BLANKS):
                self._look_at(rows, line + number - 1, content)
            else:
                rows.blank()
            if number % self._step == 0:
                yield rows.part()
        yield rows.last_part()

    def _look_at(self, rows: RowCollector, line: int, content: bytes) -> None:
        try:
            members = self._members(content)
            key = self._key_of(members)
        except LineRefused as refused:
            rows.refuse(line, refused.detail, refused.code)
            return
        if key is not None:
            rows.take_key(line, self._form.parse, key)
        features: dict[str, Any] = {}
        may_be_odd = b"\\u0000" in content  # which no text of PostgreSQL holds
        for name, spec, plain in self._features:
            value: Any = members.get(name)
            is_plain = type(value) is plain and not may_be_odd
            if value is None or (is_plain and (plain is not int or int(value) <= INT8_MAX)):
                features[name] = value
                continue
            try:
                features[name] = value_of_json(spec, value)
            except ValueRefused as refused:
                rows.refuse(line, refused.detail, "invalid_feature")
        rows.take(features)

    def _members(self, content: bytes) -> dict[str, Any]:
        """Raises LineRefused."""
        value = read_value(content)
        if not isinstance(value, dict):
            raise LineRefused("must be an object of features", "object_expected")
        if not self._known.issuperset(value):
            name = next(name for name in value if name not in self._known)
            raise LineRefused(f"the model has no feature {name[:80]!r}", "unknown_feature")
        return value

    def _key_of(self, members: dict[str, Any]) -> object:
        """The key of a line; None where the upload has none. Raises LineRefused."""
        has_key = any(members.get(name) is not None for name in self._only_keys)
        if self._has_key is None:
            self._has_key = has_key
        if has_key and not self._has_key:
            raise LineRefused(f"has {self._key_name}, and the first line has none: give it to all or to none")
        return self._keys.key_of(members) if self._has_key else None
