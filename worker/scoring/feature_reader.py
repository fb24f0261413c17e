"""The rows of a batch as columns: read with one COPY, written with one COPY, no Python object per row."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
from sqlalchemy import Engine

from shared.batches.claims import Claim
from shared.models.signature import FeatureKind, FeatureSpec, Signature, find_feature
from shared.postgres.engine import autocommit, driver_connection
from shared.sources.sample_features import CLIENT_FEATURES

_SPARSE = 4  # client ids per row above which single look-ups are cheaper than reading their range

_ARROW_TYPES = {
    FeatureKind.INTEGER: pa.int64(),
    FeatureKind.NUMBER: pa.float64(),
    FeatureKind.BOOLEAN: pa.bool_(),
    FeatureKind.CATEGORY: pa.dictionary(pa.int32(), pa.string()),
}
# Numbers are numeric in JSON: 30.0 is a whole number there, but not for the bigint parser.
_JSON_TYPES = {
    FeatureKind.INTEGER: "numeric",
    FeatureKind.NUMBER: "numeric",
    FeatureKind.BOOLEAN: "boolean",
    FeatureKind.CATEGORY: "text",
}
_SQL_TYPES = {
    FeatureKind.INTEGER: "bigint",
    FeatureKind.NUMBER: "double precision",
    FeatureKind.BOOLEAN: "boolean",
    FeatureKind.CATEGORY: "text",
}


@dataclass(frozen=True, slots=True)
class Rows:
    """The requests of a batch, in id order, with n rows in each column."""

    request_ids: npt.NDArray[np.int64]
    client_versions: pa.Array  # int32; null where the client is unknown or the features came with the call
    features_given: npt.NDArray[np.bool_]  # True where the features came with the call
    features: pa.Table  # the signature's columns, in its order

    def __len__(self) -> int:
        return len(self.request_ids)


def columns_of(table: pa.Table) -> list[pa.Array]:
    """The columns of a table of at most one chunk, as arrays."""
    batches = table.combine_chunks().to_batches()
    return batches[0].columns if batches else [pa.array([], kind) for kind in table.schema.types]


def read_rows(engine: Engine, claim: Claim, signature: Signature) -> Rows:
    """Read all requests of a batch with their features as they are now, in one statement and one snapshot."""
    buffer = io.BytesIO()
    with autocommit(engine) as connection, driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(_statement(claim, signature), buffer)
    table = _in_id_order(_parse(buffer.getbuffer(), signature))
    request_ids, versions, given, *features = columns_of(table)
    return Rows(
        request_ids=request_ids.to_numpy(),
        client_versions=versions,
        features_given=given.to_numpy(zero_copy_only=False),
        features=pa.Table.from_arrays(features, names=list(signature.names)),
    )


def _statement(claim: Claim, signature: Signature) -> str:
    """The COPY; before it in the same message, and so for its transaction alone, what the planner must be told.

    Where a bulk batch holds most of a range of client ids, that range and the requests are read by client id and
    merged: two thirds of the time of looking each client up. The planner cannot know; its statistics of a job that was
    just accepted are those of the jobs before. A hash join would copy the thirty columns of every client.
    """
    if claim.client_ids is None or claim.client_ids[1] - claim.client_ids[0] > _SPARSE * claim.request_count:
        return f"COPY ({_query(claim, signature)}) TO STDOUT (FORMAT csv)"
    neighbours = "AND c.client_id BETWEEN {} AND {}".format(*claim.client_ids)
    return (
        "SET LOCAL enable_nestloop = off; SET LOCAL enable_hashjoin = off; "
        f"COPY ({_query(claim, signature, neighbours)}) TO STDOUT (FORMAT csv)"
    )


def _query(claim: Claim, signature: Signature, neighbours: str = "") -> str:
    first, last = claim.request_ids
    # The rows of a bulk job name clients; only single jobs can bring features of their own.
    columns, given = _columns(signature, with_given=claim.job_id is None and len(signature.features) > 0)
    return (
        f"SELECT r.request_id, c.version, r.features IS NOT NULL{columns} FROM prediction_requests r "
        f"LEFT JOIN clients c ON c.client_id = r.client_id {neighbours} {given} "
        f"WHERE r.request_id >= {first} AND r.request_id < {last}"
    )


def _in_id_order(table: pa.Table) -> pa.Table:
    """Sorted here where need be, and not by PostgreSQL: that took a fifth of its time, and most batches are sorted."""
    request_ids = table.column(0).to_numpy()
    if np.all(request_ids[1:] > request_ids[:-1]):
        return table
    return table.take(pa.array(np.argsort(request_ids)))


@lru_cache(maxsize=16)
def _columns(signature: Signature, *, with_given: bool) -> tuple[str, str]:
    """The features' part of the SELECT list, and the join that unpacks features given in the call."""
    columns = "".join(f", {_column(spec, with_given=with_given)}" for spec in signature.features)
    if not with_given:
        return columns, ""
    fields = ", ".join(f"{_quoted(spec.name)} {_JSON_TYPES[spec.kind]}" for spec in signature.features)
    return columns, f"LEFT JOIN LATERAL jsonb_to_record(r.features) AS g({fields}) ON true"


def _column(spec: FeatureSpec, *, with_given: bool) -> str:
    name = _quoted(spec.name)
    kind = _SQL_TYPES[spec.kind]
    column = find_feature(CLIENT_FEATURES, spec.name)
    if column is None:
        stored = f"NULL::{kind}"
    elif with_given or column.kind is not spec.kind:
        stored = f"c.{name}::{kind}"
    else:  # thirty casts for each of a million rows would be felt
        stored = f"c.{name}"
    return f"coalesce(g.{name}::{kind}, {stored})" if with_given else stored


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@lru_cache(maxsize=8)
def _types(signature: Signature) -> dict[str, pa.DataType]:
    # Our own columns are marked: a feature may be called "given", too.
    types = {"#request_id": pa.int64(), "#client_version": pa.int32(), "#given": pa.bool_()}
    return types | {spec.name: _ARROW_TYPES[spec.kind] for spec in signature.features}


@lru_cache(maxsize=8)
def _options(signature: Signature) -> dict[str, Any]:
    types = _types(signature)
    return {
        "read_options": pa_csv.ReadOptions(column_names=list(types), use_threads=False, block_size=1 << 24),
        "parse_options": pa_csv.ParseOptions(newlines_in_values=True),
        "convert_options": pa_csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    }


def _parse(data: Any, signature: Signature) -> pa.Table:
    if not len(data):
        return pa.table({name: pa.array([], kind) for name, kind in _types(signature).items()})
    return pa_csv.read_csv(pa.py_buffer(data), **_options(signature))
