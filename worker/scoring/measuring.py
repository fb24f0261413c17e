"""What the metrics are told of a batch that has been scored."""

from __future__ import annotations

from shared.batches.claims import Claim, Counts
from shared.status import Queue, RowError
from worker import metrics
from worker.scoring.answers import Answers

_POISON = frozenset({RowError.MODEL_FAILED, RowError.MODEL_UNAVAILABLE, RowError.SOURCE_FAILED, RowError.BATCH_FAILED})


def count_errors(answers: Answers, *, is_last: bool) -> None:
    """Count the rows of a batch that have an error; at the last attempt those that were given up, too."""
    for error in answers.errors.values():
        metrics.ROW_ERRORS.labels(error.code.value).inc()
        if is_last and error.code in _POISON:
            metrics.DEAD_LETTERS.inc()


def measure(held: Claim, counts: Counts, seconds: float) -> None:
    """Count a batch that has been finished, `seconds` after its claim."""
    queue = (Queue.BULK if held.job_id else Queue.INTERACTIVE).value
    metrics.SCORED_ROWS.labels(queue).inc(counts.succeeded)
    metrics.BATCH_ROWS.observe(held.request_count)
    metrics.CLAIM_TO_FINISH.labels(queue).observe(seconds)
    metrics.WAITED.labels(queue).observe(held.waited_seconds)
    metrics.LOADED_VERSION.set(held.model_version_id)
