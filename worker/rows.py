"""The rows of a batch as columns: read with one COPY, written with one COPY, no Python object per row."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
from sqlalchemy import Engine

from shared.batches import Claim
from shared.db import autocommit, driver_connection
from shared.features import CLIENT_FEATURE_NAMES
from shared.signature import FeatureKind, FeatureSpec, Signature

_ARROW_TYPES = {
    FeatureKind.INTEGER: pa.int64(),
    FeatureKind.NUMBER: pa.float64(),
    FeatureKind.BOOLEAN: pa.bool_(),
    FeatureKind.CATEGORY: pa.string(),
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


def read_rows(engine: Engine, claim: Claim, signature: Signature) -> Rows:
    """Read all requests of a batch with their features as they are now, in one statement and one snapshot."""
    buffer = io.BytesIO()
    with autocommit(engine) as connection, driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(f"COPY ({_query(claim, signature)}) TO STDOUT (FORMAT csv)", buffer)
    table = _parse(buffer.getbuffer(), signature)
    names = list(signature.names)
    return Rows(
        request_ids=table["request_id"].combine_chunks().to_numpy(),
        client_versions=table["client_version"].combine_chunks(),
        features_given=table["given"].combine_chunks().to_numpy(zero_copy_only=False),
        features=table.select(names).combine_chunks(),
    )


def _query(claim: Claim, signature: Signature) -> str:
    first, last = claim.request_ids
    # The rows of a bulk job name clients; only single jobs can bring features of their own.
    with_given = claim.job_id is None
    columns = ", ".join(_column(spec, with_given=with_given) for spec in signature.features)
    given = ""
    if with_given:
        fields = ", ".join(f"{_quoted(spec.name)} {_SQL_TYPES[spec.kind]}" for spec in signature.features)
        given = f"LEFT JOIN LATERAL jsonb_to_record(r.features) AS g({fields}) ON true"
    return (
        f"SELECT r.request_id, c.version, r.features IS NOT NULL, {columns} FROM prediction_requests r "
        f"LEFT JOIN clients c ON c.client_id = r.client_id {given} "
        f"WHERE r.request_id >= {first} AND r.request_id < {last} ORDER BY r.request_id"
    )


def _column(spec: FeatureSpec, *, with_given: bool) -> str:
    name = _quoted(spec.name)
    stored = f"c.{name}" if spec.name in CLIENT_FEATURE_NAMES else f"NULL::{_SQL_TYPES[spec.kind]}"
    return f"coalesce(g.{name}, {stored})" if with_given else stored


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def _parse(data: Any, signature: Signature) -> pa.Table:
    types = {"request_id": pa.int64(), "client_version": pa.int32(), "given": pa.bool_()}
    types |= {spec.name: _ARROW_TYPES[spec.kind] for spec in signature.features}
    if not len(data):
        return pa.table({name: pa.array([], kind) for name, kind in types.items()})
    return pa_csv.read_csv(
        pa.py_buffer(data),
        read_options=pa_csv.ReadOptions(column_names=list(types), use_threads=False, block_size=1 << 24),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )
