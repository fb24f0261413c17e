"""The one Celery task: as thin as a view."""

from celery import Celery

from shared.messaging.messages import SCORE_TASK
from worker.celery.pool_process import ProcessSlot


def register_tasks(app: Celery, slot: ProcessSlot) -> None:
    """Add the scoring task to `app`; `slot` holds the scorer of whichever process runs it."""

    @app.task(name=SCORE_TASK)
    def score_batch(batch_id: int) -> None:
        slot.scorer.score(batch_id)
