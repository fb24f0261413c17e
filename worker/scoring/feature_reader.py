"""The features of claimed batches as columns: read from their source by key, or given in calls; in request order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pa_compute

from shared.batches.claims import Claim
from shared.json_text.reading import read_json, whole_number
from shared.models.signature import FeatureKind, FeatureSpec, Signature, check_value
from shared.status import RowError
from worker.sources.arrow_types import arrow_type
from worker.sources.key_columns import NO_KEY, Keys, is_named, key_array, keys_of, named, wanted_keys
from worker.sources.reader import SourceReader
from worker.sources.reading import Found

__all__ = ["NO_KEY", "Refusal", "Rows", "columns_of", "key_array", "read_keys", "read_rows"]


class Refusal(NamedTuple):
    """Why a row cannot be scored, found while it was read."""

    code: RowError
    detail: str


_Given: TypeAlias = "dict[str, Any] | Literal[False] | None"

_SINGLE_LOCK_SECONDS = 1.0
_AMBIGUOUS = Refusal(RowError.AMBIGUOUS_KEY, "the source has more than one row of this key")
_IF_CHANGED = " (if the column's type was changed: predictq sources check)"
_INVALID = Refusal(RowError.INVALID_KEY, "the source cannot have such a key")
_STRANGE = Refusal(
    RowError.INVALID_KEY,
    "PostgreSQL's locales do not agree on the small form of a letter of this key. An admin can give the source a view "
    "whose key is text, such as lower(code)::text",
)


@dataclass(frozen=True, slots=True)
class Rows:
    """The requests of one or more batches, in order, with n rows in each column."""

    keys: Keys  # of whole numbers: NO_KEY where the features came with the call; else null there
    is_known: npt.NDArray[np.bool_]  # whether there are features to score: found in the source, or given in the call
    features: pa.Table  # the signature's columns, in its order
    refused: dict[int, Refusal] = field(default_factory=dict)  # by row: why it is not known, where not because unknown

    def __len__(self) -> int:
        return len(self.is_known)

    def part(self, first: int, last: int) -> Rows:
        """The rows from `first` on, before `last`."""
        if first == 0 and last == len(self):
            return self
        refused = {number - first: why for number, why in self.refused.items() if first <= number < last}
        features = self.features.slice(first, last - first)
        return Rows(self.keys[first:last], self.is_known[first:last], features, refused)

    def named_keys(self) -> Keys:
        """The keys of the rows that name a client."""
        return named(self.keys)


def columns_of(table: pa.Table) -> list[pa.Array]:
    """The columns of a table of at most one chunk, as arrays."""
    batches = table.combine_chunks().to_batches()
    return batches[0].columns if batches else [pa.array([], kind) for kind in table.schema.types]


def read_keys(claims: Sequence[Claim]) -> Rows:
    """All requests of the batches without features."""
    keys = keys_of(claims)
    return Rows(keys, np.zeros(len(keys), dtype=np.bool_), pa.table({}))


def read_rows(reader: SourceReader, claims: Sequence[Claim], signature: Signature) -> Rows:
    """All requests of the batches, which are of one model version and source, with their features as they are now.

    Clients are read in one statement and so from one snapshot. Raises SourceAway, SourceFailed, DatabaseUnavailable.
    """
    keys = keys_of(claims)
    given = _given(claims)
    if not any(row not in given for row in np.flatnonzero(is_named(keys)).tolist()):
        rows = _without_source(keys, signature)
    else:
        # Somebody waits for the answer, and other single calls for this process: a source whose lock stays is away.
        are_single = all(claim.job_id is None for claim in claims)
        lock_seconds = _SINGLE_LOCK_SECONDS if are_single else None
        rows = _from_source(reader, _source_id(claims), keys, signature, lock_seconds)
    if not given:
        return rows
    is_known = rows.is_known.copy()
    is_known[list(given)] = True
    refused = {row: why for row, why in rows.refused.items() if row not in given}
    refused |= {row: _AMBIGUOUS for row, values in given.items() if values is None}
    refused |= {row: _STRANGE for row, values in given.items() if values is False}
    # A table without columns has no number of rows either.
    features = _replace(rows.features, given, signature, refused) if signature.features else rows.features
    is_known[list(refused)] = False
    return Rows(keys, is_known, features, refused)


def _source_id(claims: Sequence[Claim]) -> int | None:
    return next((claim.source_id for claim in claims if claim.source_id is not None), None)


def _from_source(
    reader: SourceReader, source_id: int | None, keys: Keys, signature: Signature, lock_seconds: float | None
) -> Rows:
    wanted = wanted_keys(keys)
    if source_id is None or not len(wanted):
        return _without_source(keys, signature)
    found = reader.read(source_id, signature, wanted.keys, lock_seconds=lock_seconds)
    features = found.features
    places = found.places if wanted.places is None else np.append(found.places, -1)[wanted.places]
    refused = _refusals(found, wanted.places, places)
    if len(features) == len(keys) and not refused and np.array_equal(places, np.arange(len(keys))):
        return Rows(keys, np.ones(len(keys), dtype=np.bool_), features)
    is_known = places >= 0
    features = features.take(pa.array(places, mask=~is_known))
    is_known[list(refused)] = False
    return Rows(keys, is_known, features, refused)


def _refusals(found: Found, wanted: npt.NDArray[np.intp] | None, places: npt.NDArray[np.intp]) -> dict[int, Refusal]:
    """Why rows cannot be scored, by row. `wanted` and `places`: which key, and which row of the source, each is of."""
    refused: dict[int, Refusal] = {}
    if found.lacking is not None:
        why = Refusal(RowError.MISSING_FEATURE, f"the source has no column {found.lacking}")
        refused.update(dict.fromkeys(map(int, np.flatnonzero(places >= 0)), why))
    elif found.misfits:
        for row in np.flatnonzero(np.isin(places, list(found.misfits))):
            name = found.misfits[int(places[row])]
            detail = f"the source's value of {name} is none that the model can take{_IF_CHANGED}"
            refused[int(row)] = Refusal(RowError.INVALID_FEATURE, detail)
    own = [(np.array([number]), _failure(why)) for number, why in found.failed.items()]
    for numbers, why in ((found.ambiguous, _AMBIGUOUS), (found.refused, _INVALID), (found.strange, _STRANGE), *own):
        if len(numbers):
            rows = numbers if wanted is None else np.flatnonzero(np.isin(wanted, numbers))
            refused.update(dict.fromkeys(map(int, rows), why))
    return refused


def _failure(why: str) -> Refusal:
    return Refusal(RowError.SOURCE_FAILED, f"the source fails for this client: {why}")


def _without_source(keys: Keys, signature: Signature) -> Rows:
    columns = {spec.name: pa.nulls(len(keys), arrow_type(spec)) for spec in signature.features}
    return Rows(keys, np.zeros(len(keys), dtype=np.bool_), pa.table(columns))


def _given(claims: Sequence[Claim]) -> dict[int, _Given]:
    """The features that came with calls, by row number over all claims.

    None where a plan found several rows, False where its source compares the key otherwise.
    """
    given: dict[int, _Given] = {}
    first = 0
    for claim in claims:
        for number, text in enumerate(claim.given or ()):
            if text is not None:
                given[first + number] = _read(text)
        first += claim.request_count
    return given


def _read(text: str) -> _Given:
    """What was given. PostgreSQL writes the double -0.0 as -0, which readers take for a whole number without a sign."""
    if ":-0," in text or ":-0}" in text:
        found: _Given = json.loads(text, parse_int=lambda digits: -0.0 if digits == "-0" else whole_number(digits))
        return found
    plain: _Given = read_json(text)
    return plain


def _replace(
    features: pa.Table, given: dict[int, _Given], signature: Signature, refused: dict[int, Refusal]
) -> pa.Table:
    """The same with the rows that came with calls put in. A row with a value that is none of its kind is refused."""
    rows = sorted(given)
    mask = np.zeros(features.num_rows, dtype=np.bool_)
    mask[rows] = True
    columns = []
    for spec, column in zip(signature.features, columns_of(features), strict=True):
        kind = arrow_type(spec)
        plain = pa.string() if spec.kind is FeatureKind.CATEGORY else kind
        values = _column_of([(given[row] or {}).get(spec.name) for row in rows], spec, plain, rows, refused)
        columns.append(pa_compute.replace_with_mask(column.cast(plain), pa.array(mask), values).cast(kind))
    return pa.Table.from_arrays(columns, names=list(signature.names))


def _column_of(
    values: list[Any], spec: FeatureSpec, kind: pa.DataType, rows: list[int], refused: dict[int, Refusal]
) -> pa.Array:
    try:
        return pa.array([_plain(spec, value) for value in values], kind)
    except (pa.ArrowException, ValueError, OverflowError):
        kept = []
        for row, value in zip(rows, [_flag(spec, value) for value in values], strict=True):
            problem = None if value is None else check_value(spec, value, is_quoted=False)
            if problem is not None:
                refused.setdefault(row, Refusal(RowError(problem.code), problem.detail))
            kept.append(None if problem is not None else _plain(spec, value))
        return pa.array(kept, kind)


def _flag(spec: FeatureSpec, value: Any) -> Any:
    """0 and 1 of a column of numbers, which are read along with keys, as the flags that they stand for."""
    is_number = spec.kind is FeatureKind.BOOLEAN and type(value) in (int, float)
    return bool(value) if is_number and value in (0, 1) else value


def _plain(spec: FeatureSpec, value: Any) -> Any:
    """A value out of JSON as Arrow takes it. The gateway has checked that it is one of the feature's kind."""
    value = _flag(spec, value)
    if spec.kind is FeatureKind.INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)  # 30.0 is a whole number in JSON
    if spec.kind is FeatureKind.NUMBER and type(value) is int:
        return float(value)  # Arrow takes no whole number beyond 2⁵³ for a double
    if spec.kind is FeatureKind.DATETIME and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value
