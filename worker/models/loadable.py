"""Which versions a process can load, by the libraries that are installed and by the models that its worker takes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from model.requirements import installed_libraries, installed_version
from shared.logging import get_logger
from shared.models.requirements import lacking, read_requirements
from shared.models.warm_up import ENDED, loading, report, wanted
from shared.postgres.engine import autocommit

log = get_logger(__name__)

_KNOWN_SECONDS = 5.0  # for which what was read of the registry counts
_AGAIN_SECONDS = 1.0  # after which whoever finds no work may look anew


class Libraries:
    """The packages that are installed, looked up once: they do not change while a process runs."""

    def __init__(self) -> None:
        self.versions = installed_libraries()
        self._asked = set(self.versions)

    def meet(self, requirements: str) -> bool:
        """Whether they do."""
        for name in read_requirements(requirements):
            if name not in self._asked:
                self._asked.add(name)
                version = installed_version(name)
                if version is not None:
                    self.versions[name] = version
        return not lacking(requirements, self.versions)


class Loadable:
    """What a process may claim, read from the registry again and again.

    `models` are those it takes; None: all. `worker` is the name of the worker that it is a process of.
    """

    def __init__(self, engine: Engine, models: Sequence[str] | None = None, *, worker: str | None = None) -> None:
        self._engine = engine
        self.models = models
        self._worker = worker
        self.libraries = Libraries()
        self._requirements: list[str] = [""]
        self._meets_all = True
        self._wanted: dict[int, datetime] = {}
        self._done: dict[int, datetime] = {}  # when each was asked for that was loaded, or could not be
        self._read_at = float("-inf")  # by time.monotonic()

    @property
    def requirements(self) -> list[str]:
        """Of the versions that are registered those needs that are met here."""
        if time.monotonic() - self._read_at > _KNOWN_SECONDS:
            self._read()
        return self._requirements

    @property
    def leaves_some(self) -> bool:
        """Whether there is work that this process leaves to others."""
        return self.models is not None or not self._meets_all

    def look_again(self) -> bool:
        """Read the registry anew, unless that was just now. Returns whether there are other needs than before."""
        before = self._requirements
        if time.monotonic() - self._read_at > _AGAIN_SECONDS:
            self._read()
        return self._requirements != before

    def still_wanted(self) -> list[int]:
        """The versions that are to be loaded because they go live soon, until it is told how that went."""
        return [version for version, at in self._wanted.items() if self._done.get(version) != at]

    def report(self, version: int, process: str, *, is_loaded: bool = False, error: str | None = None) -> None:
        """Tell whoever wants it loaded how far this process is. Raises DatabaseUnavailable; it is wanted still then."""
        with autocommit(self._engine) as connection:
            report(connection, version, process, is_loaded=is_loaded, error=error)
        if (is_loaded or error is not None) and version in self._wanted:
            self._done = {known: at for known, at in self._done.items() if known in self._wanted}
            self._done[version] = self._wanted[version]

    def _read(self) -> None:
        with autocommit(self._engine) as connection:
            known = connection.execute(_REQUIREMENTS).scalars().all()
            asked = wanted(connection, self._worker)
            if asked and self._worker is not None and tell_of_the_ended(connection, self._worker):
                asked = wanted(connection, self._worker)
            rows = connection.execute(_NEEDS, {"ids": list(asked)}).all() if asked else []
        self._requirements = sorted({"", *filter(self.libraries.meet, known)})
        self._meets_all = set(self._requirements) >= set(known)
        self._wanted = {
            row.id: asked[row.id]
            for row in rows
            if row.requirements in self._requirements and (self.models is None or row.model in self.models)
        }
        self._read_at = time.monotonic()


def tell_of_the_ended(connection: Connection, worker: str) -> bool:
    """Report a failure for each process of a worker, of this machine, that was to load a version and is not there.

    Returns whether there was one.
    """
    ended = [(version, process) for version, process in loading(connection, worker) if not _is_running(process)]
    for version, process in ended:
        log.error("a process ended while it loaded a version", version=version, process=process)
        report(connection, version, process, error=ENDED)
    return bool(ended)


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process.rpartition("/")[2]), 0)
    except ProcessLookupError:
        return False
    return True


_REQUIREMENTS = text("SELECT DISTINCT requirements FROM predictq.model_versions WHERE retired_at IS NULL")
_NEEDS = text("SELECT id, model, requirements FROM predictq.model_versions WHERE id = ANY (CAST(:ids AS integer[]))")
