"""The answers of a batch as columns, and how they are written."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
from sqlalchemy import Connection

from shared.batches.claims import Claim, Counts
from shared.postgres.engine import driver_connection
from shared.status import RowError
from worker.scoring.binary_copy import encode_binary
from worker.scoring.feature_reader import Rows


@dataclass(frozen=True, slots=True)
class StatedError:
    """Why a row has no probability: `code` for programs, `detail` for people."""

    code: RowError
    detail: str


@dataclass(slots=True)
class Answers:
    """One probability per row, NaN where `errors` (by row number) says why there is none."""

    probabilities: npt.NDArray[np.float64]
    errors: dict[int, StatedError] = field(default_factory=dict)


_COPY_ALL = """COPY prediction_outputs (request_id, probability, label, threshold, model_version, client_version,
error_code, error_detail, fence) FROM STDIN (FORMAT csv)"""
_COPY_NUMBERS = """COPY prediction_outputs (request_id, probability, label, threshold, model_version, client_version,
fence) FROM STDIN (FORMAT binary)"""


def write_answers(
    connection: Connection, claim: Claim, threshold: float, rows: Rows, answers: Answers, cancelled: frozenset[int]
) -> Counts:
    """Insert one output per row, leaving out the cancelled requests. Returns how the written rows came out."""
    if not (answers.errors or cancelled or rows.client_versions.null_count):
        _copy(connection, _COPY_NUMBERS, _numbers(claim, threshold, rows, answers))
        return Counts(succeeded=len(rows), failed=0)
    table = _table(claim, threshold, rows, answers)
    failed = np.zeros(len(rows), dtype=np.bool_)
    failed[list(answers.errors)] = True
    if cancelled:
        kept = ~np.isin(rows.request_ids, list(cancelled))
        table, failed = table.filter(pa.array(kept)), failed[kept]
    buffer = io.BytesIO()
    pa_csv.write_csv(table, buffer, pa_csv.WriteOptions(include_header=False))
    _copy(connection, _COPY_ALL, buffer.getvalue())
    bad = int(failed.sum())
    return Counts(succeeded=len(failed) - bad, failed=bad)


def _copy(connection: Connection, statement: str, data: bytes) -> None:
    with driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(statement, io.BytesIO(data))


def _numbers(claim: Claim, threshold: float, rows: Rows, answers: Answers) -> bytes:
    """Answers without any error or null, as most batches are: numbers only, which need no text in between."""
    count = len(rows)
    return encode_binary(
        {
            "request_id": rows.request_ids,
            "probability": answers.probabilities,
            "label": (answers.probabilities >= threshold).astype(np.int16),
            "threshold": np.full(count, threshold),
            "model_version": np.full(count, claim.model_version, dtype=np.int32),
            "client_version": rows.client_versions.to_numpy(),
            "fence": np.full(count, claim.fence, dtype=np.int32),
        }
    )


def _table(claim: Claim, threshold: float, rows: Rows, answers: Answers) -> pa.Table:
    count = len(rows)
    none = np.zeros(count, dtype=np.bool_)
    none[list(answers.errors)] = True
    labels = (answers.probabilities >= threshold).astype(np.int16)
    return pa.table(
        {
            "request_id": rows.request_ids,
            "probability": pa.array(answers.probabilities, mask=none),
            "label": pa.array(labels, mask=none),
            "threshold": pa.array(np.full(count, threshold), mask=none),
            "model_version": pa.repeat(pa.scalar(claim.model_version, pa.int32()), count),
            "client_version": rows.client_versions,
            "error_code": _sparse({number: error.code.value for number, error in answers.errors.items()}, count),
            "error_detail": _sparse({number: error.detail for number, error in answers.errors.items()}, count),
            "fence": pa.repeat(pa.scalar(claim.fence, pa.int32()), count),
        }
    )


def _sparse(texts: Mapping[int, str], count: int) -> pa.Array:
    if not texts:
        return pa.nulls(count, pa.string())
    return pa.array([texts.get(number) for number in range(count)], pa.string())
