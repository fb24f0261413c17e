"""What each process of the pool owns: built after the fork, because connections and threads do not cross one."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sqlalchemy import Engine

from shared.config import Settings
from shared.messaging.messages import make_redis
from shared.postgres.engine import make_engine
from worker.celery.notifier import Notifier
from worker.models.loadable import Loadable
from worker.models.model_store import ModelStore
from worker.scoring.key_hashes import KeyHashes
from worker.scoring.lease_keeper import LeaseKeeper
from worker.scoring.passing_on import PassingOn
from worker.scoring.scorer import Scorer
from worker.sources.reader import SourceReader


class ProcessSlot:
    """The place where a pool process keeps its scorer. `models` was filled before the fork."""

    def __init__(
        self, settings: Settings, models: ModelStore, *, node: str, takes: Sequence[str] | None = None
    ) -> None:
        """`takes` are the names of the models whose work it does; None: of all."""
        self._settings = settings
        self._takes = takes
        self._models = models
        self._node = node
        self._scorer: Scorer | None = None

    @property
    def scorer(self) -> Scorer:
        """The scorer of the process that asks."""
        if self._scorer is None:
            raise RuntimeError("the pool process was not prepared: prepare() did not run")
        return self._scorer

    def prepare(self) -> None:
        """Build this process's connections. Called once in each pool process."""
        worker = f"{self._node}/{os.getpid()}"
        engine = self._engine(worker)
        self._models.count_loaded()
        notifier, loadable = Notifier(make_redis(self._settings)), Loadable(engine, self._takes, worker=self._node)
        self._scorer = Scorer(
            engine=engine,
            models=self._models,
            keeper=LeaseKeeper(
                engine,
                lease_seconds=self._settings.lease_seconds,
                call_timeout_seconds=self._settings.batch_timeout_seconds,
            ),
            notifier=notifier,
            key_hashes=KeyHashes(engine),
            sources=SourceReader(engine, patience_seconds=self._settings.patience_seconds),
            settings=self._settings,
            worker=worker,
            loadable=loadable,
            passing_on=PassingOn(engine, notifier, loadable),
        )

    def end(self) -> None:
        """End the processes of versions that bring code. Called once in each pool process, when it shuts down."""
        self._models.end()

    def _engine(self, worker: str) -> Engine:
        # Two connections: the batch's own, and one for the heartbeat, opened when it first beats. Not by turns: the
        # server process that was used last is the warmest.
        return make_engine(self._settings, application_name=worker[:63], pool_size=2, newest_first=True)
