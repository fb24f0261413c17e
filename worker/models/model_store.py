"""Keeping models: each version is loaded once per process, and the least used leaves when there are too many."""

from __future__ import annotations

from collections import OrderedDict

from sqlalchemy import Engine

from model.artefact import Artefact
from shared.models.registry import live_version
from shared.postgres.engine import transaction
from worker import metrics
from worker.models.load_trial import try_loading
from worker.models.loaded_model import LoadedModel, load_model
from worker.models.seals import NO_SEALS, SealGuard
from worker.models.stored_version import StoredVersion, read_version
from worker.own_code.model_apart import ModelApart

__all__ = ["Artefact", "LoadedModel", "ModelStore", "load_model"]


AnyModel = LoadedModel | ModelApart
CALL_SECONDS = 60.0


class ModelStore:
    """The model versions that this process has loaded; of those that bring code, the processes that have.

    `seconds`: for one call of such a process, and to start it.
    """

    def __init__(self, *, most: int = 4, seals: SealGuard = NO_SEALS, seconds: float = CALL_SECONDS) -> None:
        self._seals = seals
        self._most = most
        self._seconds = seconds
        self._models: OrderedDict[int, AnyModel] = OrderedDict()
        self._counts = False

    def get(self, engine: Engine, version: int) -> AnyModel:
        """The version with that number in the database, loaded when this process first needs it.

        A process that has ended is started again. Raises ArtefactError.
        """
        if version not in self._models:
            self._keep(version, self.load(self.read(engine, version), seconds=self._seconds))
        self._models.move_to_end(version)
        found = self._models[version]
        if isinstance(found, ModelApart):
            found.restart()
        return found

    def count_loaded(self) -> None:
        """From here on the metrics say what this process holds: called in each process that scores."""
        self._counts = True
        for version in self._models:
            metrics.LOADED_VERSIONS.labels(version).set(1)

    def holds(self, version: int) -> bool:
        """Whether the version is loaded."""
        return version in self._models

    def read(self, engine: Engine, version: int) -> StoredVersion:
        """The version as it is stored, not opened: no code of its file has run."""
        with transaction(engine) as connection:
            return read_version(connection, version, self._seals)

    def preload_live(self, engine: Engine, *, seconds: float) -> int | None:
        """Load the live version, if there is one, for the processes that are forked from this one.

        It is loaded in a fork first: what hangs or ends its process costs that fork and not the worker. Returns its
        number in the database; None where it brings code: each process starts its own when it is asked for. Raises
        NoLiveModel, ArtefactError.
        """
        with transaction(engine) as connection:
            version = live_version(connection).id
        stored = self.read(engine, version)
        if stored.artefact.code is not None:
            return None
        try_loading(stored, seconds=seconds)
        self._keep(version, self.load(stored))
        return version

    @staticmethod
    def load(stored: StoredVersion, *, seconds: float = CALL_SECONDS) -> AnyModel:
        """The version opened; one that brings code in a process of its own. Raises ArtefactError."""
        return stored.load() if stored.artefact.code is None else ModelApart(stored, seconds=seconds)

    def end(self) -> None:
        """Forget all of them, and end their processes."""
        while self._models:
            self._forget_oldest()

    def _forget_oldest(self) -> int:
        version, model = self._models.popitem(last=False)
        if isinstance(model, ModelApart):
            model.end()
        return version

    def _keep(self, version: int, model: AnyModel) -> None:
        self._models[version] = model
        gone = self._forget_oldest() if len(self._models) > self._most else None
        if self._counts:
            metrics.LOADED_VERSIONS.labels(version).set(1)
            if gone is not None:
                metrics.LOADED_VERSIONS.labels(gone).set(0)
