"""Scoring: claim → read → predict → finish → notify. The task is a thin shell around this."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import pyarrow as pa
from sqlalchemy import Engine

from model.answering import Prediction
from model.errors import ArtefactError
from model.metadata import ArtefactMetadata
from shared.batches.claims import Answers as Page
from shared.batches.claims import Claim, Counts, claim, finish, record_failure
from shared.batches.unloadable import LOOK_SECONDS, unloadable
from shared.config import Settings
from shared.errors import DatabaseUnavailable
from shared.logging import get_logger
from shared.messaging.messages import Notice
from shared.models.signature import Signature
from shared.pages.errors import PageTooLarge
from shared.postgres.outages import gave_up_statement, is_outage
from shared.status import Queue, RowError
from shared.told_errors import words_of
from worker import metrics
from worker.celery.notifier import Notifier
from worker.models.loadable import Loadable
from worker.models.model_store import ModelStore
from worker.models.unknown_words import KnownWords
from worker.pages.columns import FeatureColumn
from worker.scoring.answers import Answers, StatedError, make_page
from worker.scoring.apart import open_apart
from worker.scoring.batch_input import BatchInput
from worker.scoring.feature_reader import Rows, read_keys, read_rows
from worker.scoring.key_hashes import KeyHashes
from worker.scoring.lease_keeper import LeaseKeeper
from worker.scoring.measuring import count_errors, measure
from worker.scoring.passing_on import PassingOn
from worker.scoring.prediction import Predict, predict_rows, storable
from worker.scoring.reasons import cause_of, final_error, place_of
from worker.sources.failures import SourceAway, SourceGivenUp
from worker.sources.reader import SourceReader

log = get_logger(__name__)

_RETRY_SECONDS = 2.0  # pause before a batch is tried again
_WAITING_SECONDS = 30.0  # for which a batch is left that no worker can load, and has not waited for long yet
_GIVEN_UP_ATTEMPTS = 30  # then a statement that PostgreSQL gave up each time is the batch's own fault
_NOBODY = "no worker that runs has the libraries that this model version needs"


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores batches in one process. Collaborators are built by `worker.celery.pool_process`."""

    engine: Engine
    models: ModelStore
    keeper: LeaseKeeper
    notifier: Notifier
    key_hashes: KeyHashes
    sources: SourceReader
    settings: Settings
    worker: str  # who claims: node name and process id
    loadable: Loadable  # which versions this process can load
    passing_on: PassingOn
    next_look: dict[Queue, float] = field(default_factory=dict)  # for batches that no worker can load

    def work(self, queue: Queue) -> list[str]:
        """Do what a queue has to do next, if it has. Returns what became of each batch, as the metrics call it.

        Errors of the infrastructure end here too: the batches then wait in PostgreSQL for their lease to run out.
        """
        outcomes: list[str] = []
        try:
            claims = self._claim(queue)
            outcomes += self._score_all(claims)
            while queue is Queue.INTERACTIVE and claims and claims[0].fence > 1:
                # What had been claimed before came first and alone; the message may be that of newer work.
                claims = self._claim(queue)
                outcomes += self._score_all(claims)
            outcomes = outcomes or self._refuse_the_unloadable(queue) or [self.passing_on.pass_on(queue)]
            self._load_the_wanted()
        except DatabaseUnavailable as error:
            log.warning("batches left to the sweeper", queue=queue.value, reason=str(error))
            outcomes.append("interrupted")
        for outcome in outcomes:
            metrics.BATCHES.labels(outcome).inc()
        return outcomes

    def _score_all(self, claims: Sequence[Claim]) -> list[str]:
        """Batches of one claim that share model version and source share a reading and a call of the model."""
        outcomes: list[str] = []
        for _, together in groupby(sorted(claims, key=_alike), key=_alike):
            outcomes += self._score(list(together))
        return outcomes

    def _claim(self, queue: Queue) -> list[Claim]:
        try:
            claims = self._claim_once(queue)
        except DatabaseUnavailable:
            # Most often a connection that died while it lay idle in the pool: a new one tells.
            claims = self._claim_once(queue)
        if not claims and self.loadable.look_again():
            claims = self._claim_once(queue)  # a version of other needs has come
        return claims

    def _claim_once(self, queue: Queue) -> list[Claim]:
        return claim(
            self.engine,
            queue,
            worker=self.worker,
            lease_seconds=self.settings.lease_seconds,
            requirements=self.loadable.requirements,
            models=self.loadable.models,
        )

    def _load_the_wanted(self) -> None:
        """Load versions that are to go live, one after the other, and say how that went."""
        for version in self.loadable.still_wanted():
            self.loadable.report(version, self.worker)
            try:
                with self.keeper.watching_call("the model was not loaded within"):
                    self.models.get(self.engine, version)
            except DatabaseUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - told to whoever promotes
                self.loadable.report(version, self.worker, error=storable(cause_of(error)))
            else:
                self.loadable.report(version, self.worker, is_loaded=True)

    def _refuse_the_unloadable(self, queue: Queue) -> list[str]:
        """End a batch that has waited for too long for a worker that can load its model, if there is one."""
        now = time.monotonic()
        if now < self.next_look.get(queue, 0.0):
            return []
        self.next_look[queue] = now + min(LOOK_SECONDS, self.settings.patience_seconds / 10)
        outcomes = []
        for held in self._claim_unloadable(queue):
            if held.waited_seconds < self.settings.patience_seconds:
                record_failure(self.engine, held, "it waits", retry_after_seconds=_WAITING_SECONDS, is_counted=False)
                continue
            started = time.monotonic()
            counts = self._refuse([held], StatedError(RowError.MODEL_UNAVAILABLE, _NOBODY))
            outcomes.append(self._tell(held, counts.get(held.batch_id), time.monotonic() - started))
        if outcomes:
            self.next_look.pop(queue, None)  # there may be more of them: the next message is for those
        return outcomes

    def _claim_unloadable(self, queue: Queue) -> list[Claim]:
        for needs in unloadable(self.engine, queue, patience_seconds=self.settings.patience_seconds):
            claims = claim(
                self.engine,
                queue,
                worker=self.worker,
                lease_seconds=self.settings.lease_seconds,
                requirements=[needs.requirements],
                models=[needs.model],
            )
            if claims:
                return claims
        return []

    def _score(self, claims: list[Claim]) -> list[str]:
        started = time.monotonic()
        with self.keeper.keeping(claims):
            try:
                counts = self._answer(claims)
            except Exception as error:
                is_given_up = isinstance(error, DatabaseUnavailable) and gave_up_statement(error)
                if isinstance(error, DatabaseUnavailable) and is_outage(error) and not is_given_up:
                    raise
                if len(claims) > 1:
                    # Something of one batch: the others must not pay for it.
                    return [outcome for held in claims for outcome in self._score([held])]
                is_away = isinstance(error, SourceAway) and not isinstance(error, SourceGivenUp)
                most = _GIVEN_UP_ATTEMPTS if is_given_up else self.settings.max_attempts
                is_early = claims[0].attempt <= most
                if is_away or (is_early and not isinstance(error, SourceGivenUp | PageTooLarge)):
                    pause = self.settings.lease_seconds if is_given_up else _RETRY_SECONDS
                    self._give_back(claims[0], error, pause)
                    return ["failed"]
                # It will not get better: rows that are never answered would break the promise.
                counts = self._refuse(claims, final_error(claims[0], error))
        seconds = time.monotonic() - started
        return [self._tell(held, counts.get(held.batch_id), seconds) for held in claims]

    def _tell(self, held: Claim, counts: Counts | None, seconds: float) -> str:
        if counts is None:
            log.warning(
                "answers dropped", batch_id=held.batch_id, fence=held.fence, reason="no longer the newest claim"
            )
            return "fenced"
        self.notifier.batch_done(Notice(held.batch_id, held.job_id, held.request_count))
        measure(held, counts, seconds)
        return "finished"

    def _give_back(self, held: Claim, error: Exception, pause: float) -> None:
        """Not the rows' fault and not an outage: keep the reason where people look, and try again later."""
        cause = cause_of(error)
        told = words_of(error) if getattr(error, "tells_values", False) else cause
        log.error("batch failed", batch_id=held.batch_id, attempt=held.attempt, reason=told, where=place_of(error))
        is_counted = not isinstance(error, SourceAway)
        record_failure(self.engine, held, cause, retry_after_seconds=pause, is_counted=is_counted)

    def _answer(self, claims: Sequence[Claim]) -> dict[int, Counts]:
        held = claims[0]
        try:
            if self._is_last(held):
                return self._answer_apart(claims)
            # A model may hang while it is loaded, too.
            with self.keeper.watching_call("the model was not loaded within"):
                model = self.models.get(self.engine, held.model_version_id)
        except ArtefactError as error:
            if not self._is_last(held):
                raise  # another worker, with other library versions, may be able to
            return self._refuse(claims, StatedError(RowError.MODEL_UNAVAILABLE, storable(str(error))))
        metadata = model.artefact.metadata
        rows = read_rows(self.sources, claims, metadata.signature)
        given = BatchInput(rows.features, model)
        answers = predict_rows(
            rows,
            metadata.signature,
            self._watched(given.predict),
            task=metadata.task,
            strange=model.refused_values,
        )
        return self._finish(claims, rows, answers, metadata, known_words=model.known_words, columns=given.columns)

    def _is_last(self, held: Claim) -> bool:
        return held.attempt >= self.settings.max_attempts

    def _answer_apart(self, claims: Sequence[Claim]) -> dict[int, Counts]:
        """Load the model and score the rows in a process apart: no code of the model runs in this one."""
        held = claims[0]
        log.warning("scoring in a process apart", batch_id=held.batch_id, attempt=held.attempt)
        stored = self.models.read(self.engine, held.model_version_id)
        metadata = stored.checked().metadata
        rows = read_rows(self.sources, claims, metadata.signature)
        with open_apart(stored, rows=len(rows), seconds=self.settings.batch_timeout_seconds) as apart:
            answers = predict_rows(rows, metadata.signature, apart.predict, task=metadata.task)
            known_words = apart.known_words
        return self._finish(claims, rows, answers, metadata, known_words=known_words)

    def _watched(self, predict: Predict) -> Predict:
        def watched(table: pa.Table) -> Prediction:
            with self.keeper.watching_call():
                return predict(table)

        return watched

    def _refuse(self, claims: Sequence[Claim], error: StatedError) -> dict[int, Counts]:
        """State the same error for every row: no worker that tried could score the batch."""
        rows = read_keys(claims)
        answers = Answers.none_yet(len(rows))
        answers.errors.update(dict.fromkeys(range(len(rows)), error))
        return self._finish(claims, rows, answers, None)

    def _finish(
        self,
        claims: Sequence[Claim],
        rows: Rows,
        answers: Answers,
        metadata: ArtefactMetadata | None,
        *,
        known_words: KnownWords | None = None,
        columns: Sequence[FeatureColumn] | None = None,
    ) -> dict[int, Counts]:
        for number, why in rows.refused.items():  # found while they were read
            answers.errors[number] = StatedError(why.code, why.detail)
        signature = Signature(()) if metadata is None else metadata.signature
        threshold = None if metadata is None else metadata.threshold
        pages: list[tuple[Claim, Page]] = []
        first = 0
        for held in claims:
            last = first + held.request_count
            own = answers.part(first, last)
            page = make_page(
                held,
                rows.part(first, last),
                own,
                signature=signature,
                threshold=threshold,
                hasher=self.key_hashes,
                known_words=known_words,
                columns=None if columns is None else [column.part(first, last) for column in columns],
            )
            pages.append((held, page))
            count_errors(own, is_last=held.attempt >= self.settings.max_attempts)
            first = last
        return finish(self.engine, pages)


def _alike(held: Claim) -> tuple[bool, int, int]:
    """What is scored together. Those that brought their features come first, and wait for no source."""
    return held.given is None, held.model_version_id, held.source_id or 0
