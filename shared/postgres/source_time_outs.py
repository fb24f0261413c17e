"""How long a source is waited for: settings in seconds by name, with what holds where none was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONNECT, LOCK, STATEMENT = "connect_seconds", "lock_seconds", "statement_seconds"
DEFAULTS: Mapping[str, float] = {CONNECT: 3, LOCK: 5, STATEMENT: 60}
LEAST_SECONDS, LEAST_CONNECT_SECONDS = 0.1, 2  # libpq takes no less for a connection
MOST_SECONDS: Mapping[str, float] = {CONNECT: 60, LOCK: 60, STATEMENT: 600}


def time_out(settings: Mapping[str, Any], name: str) -> float:
    """The seconds of one of DEFAULTS, for a source with these settings."""
    return float(settings.get(name, DEFAULTS[name]))
