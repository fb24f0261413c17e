"""An RQ worker that loads the model before it forks for each job, as RQ's documentation advises."""

from __future__ import annotations

import os

from redis import Redis
from rq import Worker

from bench.peers.store import model

if __name__ == "__main__":
    model()
    Worker(["default"], connection=Redis.from_url(os.environ["REDIS_URL"])).work(logging_level="WARNING")
