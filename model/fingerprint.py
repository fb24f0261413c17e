"""Which data a model was trained on: enough to recognise it, nothing to rebuild it from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pandas as pd

ROWS_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True)
class TrainingData:
    """`source` as the caller named it, the number of rows, and the digest of the rows."""

    source: str
    rows: int
    sha256: str


def fingerprint(frame: pd.DataFrame, source: str) -> TrainingData:
    """Fingerprint a frame; the digest is that of `frame.to_csv(index=False)` in UTF-8 with Unix line ends."""
    digest = hashlib.sha256()
    for start in range(0, max(len(frame), 1), ROWS_AT_ONCE):
        part = frame.iloc[start : start + ROWS_AT_ONCE]
        digest.update(part.to_csv(index=False, header=start == 0, lineterminator="\n").encode())
    return TrainingData(source, len(frame), digest.hexdigest())
