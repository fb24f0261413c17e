"""The limit of bulk: COPY out, predict_proba, COPY in, in one process and without any trace.

`python -m bench.peers.copy_limit ROWS`. No requests, no keys, no checks, no batches that another process could
take over: what is left is what PostgreSQL, pyarrow and scikit-learn cost.
"""

from __future__ import annotations

import io
import sys
import time

import pyarrow as pa
import pyarrow.csv as pa_csv

from bench.peers.store import engine, model
from examples.hr_attrition.features import FEATURE_NAMES
from examples.hr_attrition.load import TABLE as CLIENTS
from shared.postgres.engine import driver_connection

_CHUNK = 10_000
_OPTIONS = pa_csv.ConvertOptions(true_values=["t"], false_values=["f"])


def main() -> None:
    """Score the first ROWS clients into a table without constraints."""
    rows = int(sys.argv[1])
    chosen = model()
    began = time.perf_counter()
    columns = ", ".join(("client_id", *FEATURE_NAMES))
    with engine().connect() as bound, driver_connection(bound).cursor() as cursor:
        for first in range(1, rows + 1, _CHUNK):
            query = f"SELECT {columns} FROM {CLIENTS} WHERE client_id >= {first} AND client_id < {first + _CHUNK}"
            out = io.BytesIO()
            cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER true)", out)
            table = pa_csv.read_csv(pa.py_buffer(out.getbuffer()), convert_options=_OPTIONS)
            features = table.select(list(FEATURE_NAMES)).to_pandas()
            probabilities = chosen.estimator.predict_proba(features)[:, 1]
            answers = {
                "client_id": table["client_id"],
                "probability": probabilities,
                "label": (probabilities >= chosen.threshold).astype("int8"),
            }
            back = io.BytesIO()
            pa_csv.write_csv(pa.table(answers), back, pa_csv.WriteOptions(include_header=False))
            back.seek(0)
            cursor.copy_expert("COPY copy_answers FROM STDIN (FORMAT csv)", back)
            bound.commit()
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
