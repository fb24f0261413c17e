"""The usual recipe: one Celery task per prediction."""

import os

from celery import Celery

from bench.peers.store import score

app = Celery("peer", broker=os.environ["REDIS_URL"])
app.conf.update(task_ignore_result=True, task_acks_late=True)


@app.task(name="predict")  # type: ignore[untyped-decorator]
def predict(request_id: int) -> None:
    """Score one request."""
    score(request_id)


def send(request_id: int) -> None:
    """Queue one request."""
    predict.delay(request_id)
