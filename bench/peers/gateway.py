"""The peers' gateway: FastAPI with a Pydantic model and plain functions, as its tutorial teaches.

`BENCH_PEER` chooses what takes the work: celery, dramatiq, rq, or none for the synchronous endpoint.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable

from fastapi import FastAPI
from pydantic import BaseModel

from bench.peers.store import record_request, score


class Ask(BaseModel):
    """A client to predict for."""

    client_id: int


def _sender() -> Callable[[int], None]:
    """What puts a request id on the chosen queue."""
    module = importlib.import_module(f"bench.peers.{os.environ['BENCH_PEER']}_tasks")
    send: Callable[[int], None] = module.send
    return send


app = FastAPI()

if os.environ["BENCH_PEER"] == "none":

    @app.post("/predict")
    def predict_now(ask: Ask) -> dict[str, float]:
        """Everything in the call: record, read, predict, record, answer."""
        request_id = record_request(ask.client_id)
        return {"id": request_id, **score(request_id)}

else:
    send = _sender()

    @app.post("/predict", status_code=202)
    def predict_later(ask: Ask) -> dict[str, int]:
        """Record the request and queue it."""
        request_id = record_request(ask.client_id)
        send(request_id)
        return {"id": request_id}
