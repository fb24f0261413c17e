"""What `bench.compare` runs in each of two checkouts: the same questions, asked of whichever predictq lies there.

It knows only what both have: `bench.stack`, `bench.load`, the public API, and the tables by their sizes.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from bench.load import closed_loop, post
from bench.stack import Service, Stack, running_stack

_SIZES = text("""
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relname NOT IN ('model_versions', 'clients', 'clients_history')
  AND n.nspname IN ('public', 'predictq')
""")


def main(clients: int, seconds: float) -> None:
    """Measure and print one JSON object."""
    with tempfile.TemporaryDirectory(prefix="predictq-probe-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # as root, PostgreSQL runs as another user
        with running_stack(directory, clients=clients) as stack:
            figures: dict[str, Any] = {}
            with stack.service("probe") as service:
                figures |= _singles(stack, service, seconds)
            with stack.service("probe") as service:
                figures |= _bulk(service, clients)
    sys.stdout.write(json.dumps(figures) + "\n")


def _singles(stack: Stack, service: Service, seconds: float) -> dict[str, Any]:
    requests = [
        post("/v1/predict", b'{"client_id":%d}' % client, port=service.port, key=service.key)
        for client in range(1, min(stack.clients, 100_000) + 1)
    ]
    closed_loop(service.port, requests, connections=64, seconds=1)
    figures: dict[str, Any] = {}
    for connections in (1, 32, 256):
        _drain(service)
        _forget_open_batches(service)
        before, began = _size(service), time.perf_counter()
        load = closed_loop(service.port, requests, connections=connections, seconds=seconds)
        _drain(service)
        accepted = load.statuses[202]
        took = time.perf_counter() - began
        figures[f"singles_{connections}"] = accepted / took
        figures[f"p50_ms_{connections}"] = load.percentile(50)
        _forget_open_batches(service)
        figures[f"bytes_{connections}"] = (_size(service) - before) / accepted
    return figures


def _bulk(service: Service, rows: int) -> dict[str, Any]:
    _submit(service)  # warms up, and makes the log's segments
    before = _size(service)
    job, accepted, took = _submit(service)
    began = time.perf_counter()
    with service.client.stream("GET", f"/v1/jobs/{job}/results", headers={"Accept": "text/csv"}) as answer:
        lines = sum(piece.count(b"\n") for piece in answer.iter_raw(1 << 20))
    downloaded = time.perf_counter() - began
    if lines != rows + 1:
        raise AssertionError(f"the download has {lines:,} lines for {rows:,} rows and a header")
    content = io.BytesIO(b"client_id\n" + b"".join(b"%d\n" % client for client in range(1, rows + 1)))
    began = time.perf_counter()
    uploaded = service.client.post("/v1/jobs", content=content, headers={"Content-Type": "text/csv"})
    upload_seconds = time.perf_counter() - began
    _wait(service, uploaded.raise_for_status().json()["id"])
    return {
        "bulk_rate": rows / took,
        "accept_all_seconds": accepted,
        "bulk_bytes": (_size(service) - before) / (2 * rows),
        "download_seconds": downloaded,
        "upload_accept_seconds": upload_seconds,
        "uploaded_rate": rows / (time.perf_counter() - began),
    }


def _submit(service: Service) -> tuple[str, float, float]:
    began = time.perf_counter()
    answer = service.client.post("/v1/jobs", json={"all": True}).raise_for_status().json()
    accepted = time.perf_counter() - began
    _wait(service, answer["id"])
    return answer["id"], accepted, time.perf_counter() - began


def _wait(service: Service, job: str) -> None:
    while True:
        answer = service.client.get(f"/v1/jobs/{job}", headers={"Prefer": "wait=60"}).json()
        if answer["status"] in ("failed", "cancelled"):
            raise AssertionError(f"the job ended as {answer}")
        if answer["status"] == "succeeded":
            return


def _drain(service: Service) -> None:
    while True:
        queues = service.client.get("/health").json()["queues"]
        time.sleep(0.02)
        if not sum(queue["waiting_rows"] for queue in queues.values()) and not _open(service):
            return


def _forget_open_batches(service: Service) -> None:
    """Give back the room of work that is done, as autovacuum does each minute: it is not what a prediction leaves."""
    with service.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"VACUUM {_schema(connection)}prediction_batches"))


def _schema(connection: Connection) -> str:
    return "predictq." if connection.execute(text("SELECT to_regnamespace('predictq')")).scalar() else ""


def _open(service: Service) -> int:
    with service.engine.connect() as connection:
        query = f"SELECT count(*) FROM {_schema(connection)}prediction_batches WHERE status IN ('queued', 'running')"
        return int(connection.execute(text(query)).scalar_one())


def _size(service: Service) -> int:
    with service.engine.connect() as connection:
        return int(connection.execute(_SIZES).scalar_one())


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
