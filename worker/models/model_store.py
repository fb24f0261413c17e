"""Keeping models: each version is loaded once per process, and the least used leave when all together take too much."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from sqlalchemy import Engine

from model.artefact import Artefact
from shared.models.registry import live_version
from shared.postgres.engine import transaction
from shared.process_memory import own_bytes
from worker import metrics
from worker.models.load_trial import try_loading
from worker.models.loaded_model import LoadedModel, load_model
from worker.models.seals import NO_SEALS, SealGuard
from worker.models.stored_version import StoredVersion, read_version
from worker.own_code.model_apart import ModelApart

__all__ = ["Artefact", "LoadedModel", "ModelStore", "load_model"]


AnyModel = LoadedModel | ModelApart
CALL_SECONDS = 60.0
MOST_BYTES = 512 * 2**20


class _Kept(NamedTuple):
    model: AnyModel
    size: int  # bytes of memory


class ModelStore:
    """The model versions that this process has loaded; of those that bring code, the processes that have.

    Together they take `most_bytes` of memory at most, or there is one alone. `seconds`: for one call of a process with
    a version, and to start it.
    """

    def __init__(
        self, *, most_bytes: int = MOST_BYTES, seals: SealGuard = NO_SEALS, seconds: float = CALL_SECONDS
    ) -> None:
        self._seals = seals
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._models: OrderedDict[int, _Kept] = OrderedDict()
        self._counts = False

    def get(self, engine: Engine, version: int) -> AnyModel:
        """The version with that number in the database, loaded when this process first needs it.

        A process that has ended is started again. Raises ArtefactError.
        """
        if version not in self._models:
            self._open(version, self.read(engine, version))
        self._models.move_to_end(version)
        found = self._models[version].model
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
        self._open(version, stored)
        return version

    @staticmethod
    def load(stored: StoredVersion, *, seconds: float = CALL_SECONDS) -> AnyModel:
        """The version opened; one that brings code in a process of its own. Raises ArtefactError."""
        return stored.load() if stored.artefact.code is None else ModelApart(stored, seconds=seconds)

    def end(self) -> None:
        """Forget all of them, and end their processes."""
        while self._models:
            self._forget_oldest()

    def _open(self, version: int, stored: StoredVersion) -> None:
        """Open a version and keep it. What it takes is what the process has grown by, and its file at least.

        The first of a kind brings its library along, so it is taken for larger than it is.
        """
        before = own_bytes()
        model = self.load(stored, seconds=self._seconds)
        grown = model.own_bytes() if isinstance(model, ModelApart) else own_bytes() - before
        self._keep(version, model, max(grown, len(stored.artefact.content)))
        metrics.MODEL_LOADS.inc()

    def _keep(self, version: int, model: AnyModel, size: int) -> None:
        self._models[version] = _Kept(model, size)
        gone = []
        while len(self._models) > 1 and sum(kept.size for kept in self._models.values()) > self._most_bytes:
            gone.append(self._forget_oldest())
        if self._counts:
            metrics.LOADED_VERSIONS.labels(version).set(1)
            for forgotten in gone:
                metrics.LOADED_VERSIONS.labels(forgotten).set(0)

    def _forget_oldest(self) -> int:
        version, kept = self._models.popitem(last=False)
        if isinstance(kept.model, ModelApart):
            kept.model.end()
        return version
