"""Which models there are, what is live of each, and how its source names clients: remembered for a moment."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from api.access.caller import Caller
from api.http.problems import FORBIDDEN, Flaw, Invalid, Problem
from api.server.coalescer import Coalescer
from api.server.database_threads import PATIENCE_SECONDS, DatabaseThreads, late, read_twice
from shared.errors import ModelRequired, ModelUnknown, NoLiveModel, SourceNeeded, SourceTooSlow, VersionRetired
from shared.jobs.accepting.model_choice import ModelChoice
from shared.jobs.accepting.singles import Target
from shared.models.model_list import read_models_in_use
from shared.models.registry import ModelVersion, find_version, get_version
from shared.sources.description import rows_of_a_page
from shared.sources.keys import KeyForm
from shared.sources.lookup import Lookup, lookup_of, may_look_up
from shared.sources.source import Source, get_source

_REMEMBER_SECONDS = 1.0
_MOST_PINNED = 100  # versions that are not live

_Sources = dict[int, tuple[Source, Lookup | None]]  # by number: those that were read for this refresh


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model version that a call means, with its source."""

    version: ModelVersion
    source: Source | None
    keys: KeyForm | None
    target: Target

    def pinned(self) -> ServedModel:
        """The same for a job that is checked against this very version: whatever goes live meanwhile, it is meant."""
        choice = ModelChoice(self.version.model, self.version.version)
        return replace(self, target=replace(self.target, choice=choice))

    def page_rows(self, most: int) -> int:
        """How many rows that are read by key make a page, at most `most`: those of a wide source make smaller pages."""
        return rows_of_a_page(self.source, self.version.signature.names, most=most)

    def single_keys(self) -> KeyForm:
        """How one client is named. Raises SourceNeeded, or SourceTooSlow where one client costs a reading of all."""
        if self.source is not None and self.source.is_scan:
            raise SourceTooSlow(self.source.name)
        return self.key_form()

    def key_form(self) -> KeyForm:
        """How clients are named. Raises SourceNeeded."""
        if self.keys is None:
            raise SourceNeeded(self.version.model)
        return self.keys


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read: models by name, and the default one's name."""

    served: Mapping[str, ServedModel | None] = field(default_factory=dict)  # None: no version is live
    default: str | None = None


class ModelDirectory:
    """What calls are held against: models, signatures and keys, at most a second old."""

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads
        self._known = _Known()
        self._until = 0.0
        self._pinned: dict[tuple[str, int], tuple[float, ServedModel]] = {}  # with until when
        self._reads: Coalescer[None, _Known] = Coalescer(
            self._read, threads.executor, max_items=10_000, patience_seconds=PATIENCE_SECONDS, make_late_error=late
        )

    async def find(self, caller: Caller, name: object) -> ServedModel:
        """The version that a call means by its `model`, which may be absent (None).

        Raises Invalid, Problem 403 where a model is named that is not for the caller, or a version without the role for
        it, ModelUnknown, ModelRequired, NoLiveModel, ModelVersionUnknown, VersionRetired and DatabaseUnavailable.
        """
        choice = ModelChoice() if name is None else ModelChoice.parse(name) if isinstance(name, str) else None
        if choice is None:
            raise Invalid(Flaw("/model", "invalid_model", 'model must be a name such as "churn", or "churn:3"'))
        if choice.model is not None:
            caller.need_model(choice.model)
        if choice.version is None:
            return await self._live(choice.model, caller)
        if not caller.may("operate"):
            raise Problem(FORBIDDEN, "To name a version of a model takes a key with the role 'operate'.")
        return await self._version(choice)

    async def _live(self, model: str | None, caller: Caller) -> ServedModel:
        """The live version of a model, of the default one without a name."""
        if time.monotonic() >= self._until:
            self._known = await self._reads.submit(None)
            self._until = time.monotonic() + _REMEMBER_SECONDS
        known = self._known
        wanted = known.default if model is None else model
        if model is None and caller.models is not None and wanted not in caller.models:
            raise ModelRequired(sorted(caller.models))  # that another one is the default is not theirs to know
        if wanted is None:
            raise ModelRequired if any(known.served.values()) else NoLiveModel()
        if wanted not in known.served:
            raise ModelUnknown(wanted, sorted(name for name in known.served if caller.may_use(name)))
        served = known.served[wanted]
        if served is None:
            raise NoLiveModel(wanted)
        return served

    def forget(self) -> None:
        """Ask again next time: something was promoted, or another model is the default."""
        self._until = 0.0
        self._pinned.clear()

    async def _version(self, choice: ModelChoice) -> ServedModel:
        name, number = choice.model or "", choice.version or 0
        until, served = self._pinned.get((name, number), (0.0, None))
        if served is None or time.monotonic() >= until:
            served = await self._threads.read(lambda connection: _pinned(connection, name, number))
            if len(self._pinned) >= _MOST_PINNED:
                self._pinned.clear()
            self._pinned[name, number] = time.monotonic() + _REMEMBER_SECONDS, served
        if served.version.retired_at is not None:
            raise VersionRetired(served.version.label)
        return served

    def _read(self, askers: Sequence[None]) -> list[_Known]:
        known = self._known
        return [read_twice(self._threads, lambda connection: _read(connection, known))] * len(askers)


def _read(connection: Connection, known: _Known) -> _Known:
    """What there is now. What of it was known before is not read again: a version never changes."""
    served: dict[str, ServedModel | None] = {}
    sources: _Sources = {}
    default = None
    for row in read_models_in_use(connection):
        before = known.served.get(row.name)
        if row.is_default:
            default = row.name
        if row.live_version_id is None:
            served[row.name] = None
        elif before is not None and before.version.id == row.live_version_id:
            served[row.name] = _serve(connection, before.version, ModelChoice(row.name), sources)
        else:
            version = get_version(connection, row.live_version_id)
            served[row.name] = _serve(connection, version, ModelChoice(row.name), sources)
    return _Known(served, default)


def _pinned(connection: Connection, model: str, number: int) -> ServedModel:
    return _serve(connection, find_version(connection, model, number), ModelChoice(model, number), {})


def _serve(connection: Connection, version: ModelVersion, choice: ModelChoice, sources: _Sources) -> ServedModel:
    if version.source_id is None:
        return ServedModel(version, None, None, Target(choice))
    if version.source_id not in sources:  # many models read one source: it is asked about once
        sources[version.source_id] = _read_source(connection, version.source_id)
    source, lookup = sources[version.source_id]
    keys = source.key_form
    return ServedModel(version, source, keys, Target(choice, keys.storage, lookup, source.id))


def _read_source(connection: Connection, source_id: int) -> tuple[Source, Lookup | None]:
    source = get_source(connection, source_id)
    lookup = lookup_of(source)
    return source, lookup if lookup is not None and may_look_up(connection, source) else None
