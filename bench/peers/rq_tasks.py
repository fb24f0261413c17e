"""RQ in place of Celery: one job per prediction."""

import os

from redis import Redis
from rq import Queue

from bench.peers.store import score

queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]))


def send(request_id: int) -> None:
    """Queue one request."""
    queue.enqueue(score, request_id, result_ttl=0)
