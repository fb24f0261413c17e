"""Scoring of one batch: claim → read → predict → finish → notify. The task is a thin shell around this."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, Engine

from model.errors import ArtefactError
from shared.batches.claims import Claim, Counts, claim, finish, record_failure
from shared.config import Settings
from shared.errors import DatabaseUnavailable, FenceLost
from shared.logging import get_logger
from shared.messaging.messages import Notice
from shared.models.signature import Signature
from shared.status import Queue, RowError
from worker import metrics
from worker.celery.notifier import Notifier
from worker.models.model_store import LoadedModel, ModelStore
from worker.scoring.answers import Answers, StatedError, write_answers
from worker.scoring.feature_reader import Rows, read_rows
from worker.scoring.isolation import IsolatedModel
from worker.scoring.lease_keeper import LeaseKeeper
from worker.scoring.prediction import Predict, predict_rows, storable

log = get_logger(__name__)

_RETRY_SECONDS = 2.0  # pause before a batch is tried again


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores batches in one process. Collaborators are built by `worker.celery.pool_process`."""

    engine: Engine
    models: ModelStore
    keeper: LeaseKeeper
    notifier: Notifier
    settings: Settings
    worker: str  # who claims: node name and process id

    def score(self, batch_id: int) -> str:
        """Score a batch if it still needs it. Returns what became of it, one of the outcomes in the metrics.

        Errors of the infrastructure end here too: the batch then waits in PostgreSQL for the sweeper.
        """
        try:
            outcome = self._score(batch_id)
        except FenceLost as error:
            log.warning("answers dropped", batch_id=batch_id, reason=str(error))
            outcome = "fenced"
        except DatabaseUnavailable as error:
            log.warning("batch left to the sweeper", batch_id=batch_id, reason=str(error))
            outcome = "interrupted"
        metrics.BATCHES.labels(outcome).inc()
        return outcome

    def _score(self, batch_id: int) -> str:
        held = self._claim(batch_id)
        if held is None:
            return "not_needed"
        started = time.monotonic()
        with self.keeper.keeping(held):
            try:
                counts = self._answer(held)
            except (FenceLost, DatabaseUnavailable):
                raise
            except Exception as error:
                log.exception("batch failed", batch_id=batch_id, attempt=held.attempt)
                if held.attempt <= self.settings.max_attempts:
                    self._give_back(held, error)
                    return "failed"
                # It will not get better: rows that are never answered would break the promise.
                counts = self._refuse(held, RowError.MODEL_FAILED, storable(f"{type(error).__name__}: {error}"))
        self.notifier.batch_done(Notice(held.batch_id, held.job_id, held.request_count))
        self._measure(held, counts, time.monotonic() - started)
        return "finished"

    def _give_back(self, held: Claim, error: Exception) -> None:
        """Not the rows' fault and not an outage: keep the reason where people look, and try again later."""
        reason = storable(f"{type(error).__name__}: {error}")
        record_failure(self.engine, held, reason, retry_after_seconds=_RETRY_SECONDS)

    def _claim(self, batch_id: int) -> Claim | None:
        lease = self.settings.lease_seconds
        try:
            return claim(self.engine, batch_id, worker=self.worker, lease_seconds=lease)
        except DatabaseUnavailable:
            # Most often a connection that died while it lay idle in the pool: a new one tells.
            return claim(self.engine, batch_id, worker=self.worker, lease_seconds=lease)

    def _answer(self, held: Claim) -> Counts:
        try:
            model = self.models.get(self.engine, held.model_version)
        except ArtefactError as error:
            if held.attempt < self.settings.max_attempts:
                raise  # another worker, with other library versions, may be able to
            return self._refuse(held, RowError.MODEL_UNAVAILABLE, storable(str(error)))
        rows = read_rows(self.engine, held, model.signature)
        answers = self._predict(held, model, rows)
        self._count_errors(held, answers)
        return finish(self.engine, held, _writer(held, model.threshold, rows, answers))

    def _predict(self, held: Claim, model: LoadedModel, rows: Rows) -> Answers:
        if held.attempt < self.settings.max_attempts:
            return predict_rows(rows, model.signature, self._watched(model.probabilities))
        log.warning("scoring in a process apart", batch_id=held.batch_id, attempt=held.attempt)
        timeout = self.settings.batch_timeout_seconds
        with IsolatedModel(model.artefact, rows=len(rows), call_timeout_seconds=timeout) as apart:
            return predict_rows(rows, model.signature, apart.probabilities)

    def _watched(self, predict: Predict) -> Predict:
        def watched(table: pa.Table) -> npt.NDArray[np.float64]:
            with self.keeper.watching_call():
                return predict(table)

        return watched

    def _refuse(self, held: Claim, code: RowError, reason: str) -> Counts:
        """State the same error for every row: no worker that tried could score the batch."""
        from_request = read_rows(self.engine, held, Signature(()))
        error = StatedError(code, reason)
        answers = Answers(np.full(len(from_request), np.nan), dict.fromkeys(range(len(from_request)), error))
        self._count_errors(held, answers)
        return finish(self.engine, held, _writer(held, 0.0, from_request, answers))

    def _count_errors(self, held: Claim, answers: Answers) -> None:
        for error in answers.errors.values():
            metrics.ROW_ERRORS.labels(error.code.value).inc()
            if held.attempt >= self.settings.max_attempts and error.code in _POISON:
                metrics.DEAD_LETTERS.inc()

    @staticmethod
    def _measure(held: Claim, counts: Counts, seconds: float) -> None:
        queue = (Queue.BULK if held.job_id else Queue.INTERACTIVE).value
        metrics.SCORED_ROWS.labels(queue).inc(counts.succeeded)
        metrics.BATCH_ROWS.observe(held.request_count)
        metrics.CLAIM_TO_FINISH.labels(queue).observe(seconds)
        metrics.WAITED.labels(queue).observe(held.waited_seconds)
        metrics.LOADED_VERSION.set(held.model_version)


_POISON = frozenset({RowError.MODEL_FAILED, RowError.MODEL_UNAVAILABLE})


def _writer(
    held: Claim, threshold: float, rows: Rows, answers: Answers
) -> Callable[[Connection, frozenset[int]], Counts]:
    def write(connection: Connection, cancelled: frozenset[int]) -> Counts:
        return write_answers(connection, held, threshold, rows, answers, cancelled)

    return write
