"""Bulk the way of a notebook: read_sql, predict_proba, to_sql. `python -m bench.peers.pandas_bulk ROWS`."""

from __future__ import annotations

import sys
import time

import pandas as pd

from bench.peers.store import engine, model
from examples.hr_attrition.features import FEATURE_NAMES
from examples.hr_attrition.load import TABLE as CLIENTS

_CHUNK = 50_000


def main() -> None:
    """Score the first ROWS clients and record what was asked and answered."""
    rows = int(sys.argv[1])
    chosen = model()
    began = time.perf_counter()
    columns = ", ".join(("client_id", *FEATURE_NAMES))
    done = 0
    for first in range(1, rows + 1, _CHUNK):
        last = min(first + _CHUNK, rows + 1)
        query = f"SELECT {columns} FROM {CLIENTS} WHERE client_id >= {first} AND client_id < {last}"
        frame = pd.read_sql(query, engine())
        ids = range(done + 1, done + len(frame) + 1)
        requests = pd.DataFrame({"id": ids, "client_id": frame["client_id"]})
        requests.to_sql("peer_requests", engine(), if_exists="append", index=False)
        probabilities = chosen.estimator.predict_proba(frame[list(FEATURE_NAMES)])[:, 1]
        answers = pd.DataFrame({"request_id": ids, "probability": probabilities})
        answers["label"] = (answers["probability"] >= chosen.threshold).astype(int)
        answers.to_sql("peer_answers", engine(), if_exists="append", index=False)
        done += len(frame)
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
