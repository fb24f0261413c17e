"""Correctness, in the same run: every accepted job has exactly one answer, and it is scikit-learn's own."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow.csv as pa_csv
from sqlalchemy import Connection, Engine, text

from examples.hr_attrition.features import FEATURE_NAMES
from examples.hr_attrition.load import TABLE as CLIENTS
from model.artefact import Artefact, load
from shared.postgres.copy_in import copy_in
from shared.postgres.engine import driver_connection, transaction

_TOLERANCE = 1e-9
_FEATURES = ", ".join(f"c.{name}" for name in FEATURE_NAMES)


_ANSWERS = """
SELECT u.job_id, u.client_id, u.probability, (u.probability >= o.threshold)::integer AS label
FROM predictq.batch_outputs o JOIN predictq.batch_requests r ON r.batch_id = o.batch_id
CROSS JOIN LATERAL ROWS FROM (unnest(r.job_ids), unnest(r.keys_int8), unnest(o."values"))
    AS u (job_id, client_id, probability)
"""


class WrongAnswer(Exception):
    """Something accepted has no answer, more than one, or a wrong one."""


def check_singles(engine: Engine, artefact: Artefact, accepted: Sequence[UUID | str], asked: Sequence[int]) -> int:
    """Hold each accepted job against its one output; `asked` are the client ids. Returns how many were checked.

    Raises:
        WrongAnswer: with the first finding.

    """
    if len(set(accepted)) != len(accepted):
        raise WrongAnswer("the gateway gave one job id to two calls")
    with transaction(engine) as connection:
        connection.execute(text("CREATE TEMPORARY TABLE accepted (job_id uuid, client_id bigint) ON COMMIT DROP"))
        lines = (f"{job}\t{client}\n".encode() for job, client in zip(accepted, asked, strict=True))
        copy_in(connection, "COPY accepted FROM STDIN", lines)
        frame = _read(
            connection,
            f"""SELECT a.client_id, n.probability, n.label, {_FEATURES} FROM accepted a
                LEFT JOIN ({_ANSWERS} WHERE r.job_ids IS NOT NULL) n
                    ON n.job_id = a.job_id AND n.client_id = a.client_id
                JOIN {CLIENTS} c ON c.client_id = a.client_id""",
        )
    return compare(frame, artefact, len(accepted))


def check_bulk(engine: Engine, artefact: Artefact, job_id: UUID | str, count: int) -> int:
    """Hold every row of a bulk job of all clients against scikit-learn. Raises WrongAnswer."""
    with transaction(engine) as connection:
        query = text("SELECT batch_id FROM predictq.batch_outputs WHERE job_id = :id ORDER BY batch_id")
        batches = connection.execute(query, {"id": str(job_id)}).scalars().all()

    def check(part: Sequence[int]) -> int:
        with transaction(engine) as connection:
            frame = _read(
                connection,
                f"""SELECT n.client_id, n.probability, n.label, {_FEATURES}
                    FROM ({_ANSWERS} WHERE o.batch_id BETWEEN {part[0]} AND {part[-1]} AND o.job_id = '{job_id}') n
                    JOIN {CLIENTS} c ON c.client_id = n.client_id""",
            )
        return compare(frame, artefact, len(frame))

    with ThreadPoolExecutor(2) as threads:
        checked = sum(threads.map(check, _parts(batches, 10)))
    if checked != count:
        raise WrongAnswer(f"{checked:,} rows of {count:,} have an answer")
    return checked


def check_peer(engine: Engine, artefact: Artefact, count: int) -> int:
    """The same for a peer's tables. Raises WrongAnswer."""
    with transaction(engine) as connection:
        frame = _read(
            connection,
            f"""SELECT r.client_id, a.probability, a.label, {_FEATURES} FROM peer_requests r
                LEFT JOIN peer_answers a ON a.request_id = r.id JOIN {CLIENTS} c ON c.client_id = r.client_id""",
        )
    return compare(frame, artefact, count)


def compare(frame: pd.DataFrame, artefact: Artefact, count: int) -> int:
    """Recompute `frame` (client_id, probability, label, features) and compare. Raises WrongAnswer."""
    if len(frame) != count:
        raise WrongAnswer(f"{count:,} were accepted and {len(frame):,} rows found")
    missing = int(frame["probability"].isna().sum())
    if missing:
        raise WrongAnswer(f"{missing:,} of {count:,} accepted have no answer")
    right = load(artefact).predict_proba(frame[list(FEATURE_NAMES)])[:, 1]
    wrong = np.abs(right - frame["probability"]) > _TOLERANCE
    wrong |= (frame["probability"] >= artefact.metadata.threshold) != frame["label"].astype(bool)
    if wrong.any():
        row = frame[wrong].iloc[0]
        raise WrongAnswer(f"{int(wrong.sum()):,} wrong answers, the first for client {row['client_id']}")
    return count


def _read(connection: Connection, query: str) -> pd.DataFrame:
    buffer = io.BytesIO()
    with driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER true)", buffer)
    buffer.seek(0)
    options = pa_csv.ConvertOptions(true_values=["t"], false_values=["f"], null_values=[""], strings_can_be_null=True)
    frame: pd.DataFrame = pa_csv.read_csv(buffer, convert_options=options).to_pandas()
    return frame


def _parts(values: Sequence[int], size: int) -> Iterable[Sequence[int]]:
    return (values[start : start + size] for start in range(0, len(values), size))
