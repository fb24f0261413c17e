"""The row accounting in the metrics: what became of every accepted row, and a number that is 0 while all is well."""

from __future__ import annotations

import pytest
import structlog
from sqlalchemy import Engine, text

from api.watch import row_accounting
from shared.config import Settings
from tests.integration.gateway.api_support import answer_batches, new_key, running_gateway
from tests.support import add_clients, add_model, wait_until


def test_the_row_accounting_is_in_the_metrics_and_adds_up(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answered, cancelled and open rows add up to the accepted ones; one that is missing shows, and is logged."""
    monkeypatch.setattr(row_accounting, "_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(row_accounting, "_PAUSE_FACTOR", 1)
    add_model(engine)
    add_clients(engine, 10)
    with running_gateway(settings, new_key(engine, "alice")) as gateway, structlog.testing.capture_logs() as log:
        wait_until(lambda: "predictq_accounting_imbalance 0.0" in gateway.get("/metrics").text, what="the first look")
        assert gateway.post("/v1/jobs", json={"all": True}).status_code == 202
        answer_batches(engine)
        location = gateway.post("/v1/jobs", json={"client_ids": [1, 2, 3]}).headers["location"]
        assert gateway.post(f"{location}/cancel").status_code == 200
        assert gateway.post("/v1/predict", json={"client_id": 1}).status_code == 202
        states = {"accepted": 14, "succeeded": 10, "failed": 0, "cancelled": 3, "in_flight": 1}
        lines = [f'predictq_accounting_rows{{state="{name}"}} {count}.0' for name, count in states.items()]
        lines.append("predictq_accounting_imbalance 0.0")
        wait_until(lambda: set(lines) <= set(gateway.get("/metrics").text.splitlines()), what="all counted")
        assert not [entry for entry in log if entry["event"] == "row_accounting_does_not_add_up"]
        with engine.begin() as connection:
            connection.execute(text(_PROMISE_MORE))
        wait_until(lambda: "predictq_accounting_imbalance 7.0" in gateway.get("/metrics").text, what="seen")
        assert next(entry for entry in log if entry["event"] == "row_accounting_does_not_add_up")["imbalance"] == 7


_PROMISE_MORE = """
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, request_count, first_batch_id)
SELECT predictq.first_uuid_of(now()), 'bulk', 'alice', v.id, 7, 1 FROM predictq.model_versions v
"""
