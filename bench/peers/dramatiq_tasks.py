"""Dramatiq in place of Celery: one message per prediction."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.peers.store import score

dramatiq.set_broker(RedisBroker(url=os.environ["REDIS_URL"]))  # type: ignore[no-untyped-call]


@dramatiq.actor
def predict(request_id: int) -> None:
    """Score one request."""
    score(request_id)


def send(request_id: int) -> None:
    """Queue one request."""
    predict.send(request_id)
