"""The features of claimed batches as columns: read by key with one COPY, put into the order of the requests here."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pa_compute
import pyarrow.csv as pa_csv
from sqlalchemy import Engine

from shared.batches.claims import Claim
from shared.models.signature import FeatureKind, FeatureSpec, Signature, find_feature
from shared.postgres.engine import autocommit, driver_connection
from shared.sources.clients import CLIENTS
from shared.sources.sample_features import CLIENT_FEATURES

ARROW_TYPES = {
    FeatureKind.INTEGER: pa.int64(),
    FeatureKind.NUMBER: pa.float64(),
    FeatureKind.BOOLEAN: pa.bool_(),
    FeatureKind.CATEGORY: pa.dictionary(pa.int32(), pa.string()),
}
_SQL_TYPES = {
    FeatureKind.INTEGER: "bigint",
    FeatureKind.NUMBER: "double precision",
    FeatureKind.BOOLEAN: "boolean",
    FeatureKind.CATEGORY: "text",
}
NO_KEY = np.iinfo(np.int64).min  # stands for a row that names no client; no key is so low


@dataclass(frozen=True, slots=True)
class Rows:
    """The requests of one or more batches, in order, with n rows in each column."""

    keys: npt.NDArray[np.int64]  # NO_KEY where the features came with the call
    is_known: npt.NDArray[np.bool_]  # whether there are features: the client exists, or they came with the call
    features: pa.Table  # the signature's columns, in its order

    def __len__(self) -> int:
        return len(self.is_known)

    def part(self, first: int, last: int) -> Rows:
        """The rows from `first` on, before `last`."""
        if first == 0 and last == len(self):
            return self
        return Rows(self.keys[first:last], self.is_known[first:last], self.features.slice(first, last - first))


def columns_of(table: pa.Table) -> list[pa.Array]:
    """The columns of a table of at most one chunk, as arrays."""
    batches = table.combine_chunks().to_batches()
    return batches[0].columns if batches else [pa.array([], kind) for kind in table.schema.types]


def read_rows(engine: Engine, claims: Sequence[Claim], signature: Signature) -> Rows:
    """All requests of the batches, which are of one model version, with their features as they are now.

    Clients are read in one statement and so from one snapshot.
    """
    keys = np.concatenate([_keys(claim) for claim in claims])
    named = keys != NO_KEY
    given = _given(claims)
    if not given:
        return _with_features(keys, _read_clients(engine, np.unique(keys), signature), signature)
    wanted = np.unique(keys[named])
    clients = _read_clients(engine, wanted, signature) if len(wanted) else _no_clients(signature)
    rows = _with_features(keys, clients, signature)
    is_known = rows.is_known.copy()
    is_known[list(given)] = True
    # A table without columns has no number of rows either: a batch that is refused reads none.
    features = _replace(rows.features, given, signature) if signature.features else rows.features
    return Rows(keys, is_known, features)


def key_array(text: str, count: int) -> npt.NDArray[np.int64]:
    """PostgreSQL's text of an int8 array of `count` elements, NULL as `NO_KEY`."""
    inner = text[1:-1]
    if "N" in inner:
        inner = inner.replace("NULL", str(NO_KEY))
    keys = np.fromstring(inner, dtype=np.int64, sep=",")
    if len(keys) != count:
        raise ValueError(f"{len(keys)} keys where there should be {count}")
    return keys


def _keys(claim: Claim) -> npt.NDArray[np.int64]:
    if claim.keys_int8 is None:
        return np.full(claim.request_count, NO_KEY)
    return key_array(claim.keys_int8, claim.request_count)


def _given(claims: Sequence[Claim]) -> dict[int, dict[str, Any]]:
    """The features that came with calls, by row number over all claims."""
    given: dict[int, dict[str, Any]] = {}
    first = 0
    for claim in claims:
        for number, text in enumerate(claim.given or ()):
            if text is not None:
                given[first + number] = orjson.loads(text)
        first += claim.request_count
    return given


def _read_clients(engine: Engine, keys: npt.NDArray[np.int64], signature: Signature) -> pa.Table:
    """The clients of these keys, which rise: the key, then the signature's columns; in the order of the keys."""
    buffer = io.BytesIO()
    with autocommit(engine) as connection, driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(_statement(keys, signature), buffer)
    data = buffer.getbuffer()
    if not len(data):
        return _no_clients(signature)
    table = pa_csv.read_csv(pa.py_buffer(data), **_options(signature))
    found = table.column(0).to_numpy()
    return table if np.all(found[1:] > found[:-1]) else table.take(pa.array(np.argsort(found)))


def _statement(keys: npt.NDArray[np.int64], signature: Signature) -> str:
    """The COPY; before it in the same message, and so for its transaction alone, what the planner must be told.

    The keys in rising order and in the column's own type: an index is walked once, and nothing is hashed.
    """
    wanted = orjson.dumps(keys, option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1]
    return (
        # Nobody's lock on the table may hold a worker for ever.
        "SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'; "
        "SET LOCAL enable_hashjoin = off; SET LOCAL extra_float_digits = 1; "
        f"COPY (SELECT c.client_id{_columns(signature)} FROM {CLIENTS} c "
        f"WHERE c.client_id = ANY ('{{{wanted}}}'::bigint[])) TO STDOUT (FORMAT csv)"
    )


@lru_cache(maxsize=16)
def _columns(signature: Signature) -> str:
    # Columns get names of ours nowhere: COPY gives them by position.
    return "".join(f", {_column(spec)}" for spec in signature.features)


def _column(spec: FeatureSpec) -> str:
    kind = _SQL_TYPES[spec.kind]
    column = find_feature(CLIENT_FEATURES, spec.name)
    if column is None:
        return f"NULL::{kind}"
    # Thirty casts for each of a million rows would be felt.
    return f"c.{spec.name}::{kind}" if column.kind is not spec.kind else f"c.{spec.name}"


def _with_features(keys: npt.NDArray[np.int64], clients: pa.Table, signature: Signature) -> Rows:
    """The clients' features in the order of `keys`; rows whose client was not found are null."""
    found = clients.column(0).to_numpy()
    features = clients.drop_columns([clients.column_names[0]]).rename_columns(list(signature.names))
    if len(found) == len(keys) and np.array_equal(found, keys):
        return Rows(keys, np.ones(len(keys), dtype=np.bool_), features)
    places = np.searchsorted(found, keys)
    is_known = np.zeros(len(keys), dtype=np.bool_)
    inside = places < len(found)
    is_known[inside] = found[places[inside]] == keys[inside]
    return Rows(keys, is_known, features.take(pa.array(places, mask=~is_known)))


def _replace(features: pa.Table, given: dict[int, dict[str, Any]], signature: Signature) -> pa.Table:
    """The same with the rows that came with calls put in."""
    mask = np.zeros(features.num_rows, dtype=np.bool_)
    mask[list(given)] = True
    columns = []
    for spec, column in zip(signature.features, columns_of(features), strict=True):
        kind = ARROW_TYPES[spec.kind]
        plain = pa.string() if spec.kind is FeatureKind.CATEGORY else kind
        values = pa.array([_plain(spec, row.get(spec.name)) for _, row in sorted(given.items())], plain)
        columns.append(pa_compute.replace_with_mask(column.cast(plain), pa.array(mask), values).cast(kind))
    return pa.Table.from_arrays(columns, names=list(signature.names))


def _plain(spec: FeatureSpec, value: Any) -> Any:
    # 30.0 is a whole number in JSON. The gateway has checked that it is one.
    return int(value) if spec.kind is FeatureKind.INTEGER and isinstance(value, float) else value


@lru_cache(maxsize=8)
def _types(signature: Signature) -> dict[str, pa.DataType]:
    # By position: a feature may be called like a column of ours, or like another feature in part.
    return {"key": pa.int64()} | {f"f{n}": ARROW_TYPES[spec.kind] for n, spec in enumerate(signature.features)}


def _no_clients(signature: Signature) -> pa.Table:
    return pa.table({name: pa.array([], kind) for name, kind in _types(signature).items()})


@lru_cache(maxsize=8)
def _options(signature: Signature) -> dict[str, Any]:
    types = _types(signature)
    return {
        "read_options": pa_csv.ReadOptions(column_names=list(types), use_threads=False, block_size=1 << 24),
        "parse_options": pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        "convert_options": pa_csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    }
