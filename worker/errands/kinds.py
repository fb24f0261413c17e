"""The kinds of errands that a worker knows, each a function from its arguments to its result, both JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine

from worker.errands.apart import do_apart
from worker.errands.models import ModelErrands
from worker.models.seals import NO_SEALS, SealGuard
from worker.sources.errands import SourceErrands

_EXPORT_SECONDS = 3_600.0
_ROWS_SECONDS = 1_800.0

Handler = Callable[[dict[str, Any]], dict[str, Any]]
Handlers = Mapping[str, Handler]


def make_handlers(engine: Engine, seals: SealGuard = NO_SEALS) -> Handlers:
    """All that a process does. `engine` leads to predictq's own database; `seals` says whose models are taken."""
    sources, models = SourceErrands(engine), ModelErrands(engine, seals=seals)
    return {
        "describe_source": sources.describe,
        "check_source": sources.check,
        "count": sources.count,
        "read_features": sources.features,
        "register_model": models.register,
        "check_model": models.check,
        "look_at_upload": do_apart("look_at_upload"),
    }


def make_slow_handlers() -> Handlers:
    """What nobody waits for within a call."""
    return {
        "write_export": do_apart("write_export", seconds=_EXPORT_SECONDS),
        "read_rows": do_apart("read_rows", seconds=_ROWS_SECONDS),
    }
