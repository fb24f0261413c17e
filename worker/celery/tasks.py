"""The one Celery task: as thin as a view."""

from celery import Celery

from shared.messaging.messages import WORK_TASK
from shared.status import Queue
from worker.celery.pool_process import ProcessSlot


def register_tasks(app: Celery, slot: ProcessSlot) -> None:
    """Add the task to `app`; `slot` holds the scorer of whichever process runs it."""

    @app.task(name=WORK_TASK)
    def work(queue: str) -> str:
        # Kept nowhere; Flower shows it while it watches.
        return ", ".join(slot.scorer.work(Queue(queue)))
