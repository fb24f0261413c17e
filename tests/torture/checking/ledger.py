"""The ledger: every thing that was asked and answered, written down as it happens and kept apart from the service."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class Ledger:
    """An append-only file of JSON lines; each has `t` (seconds since the epoch) and `what`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self.accepted: dict[str, float] = {}  # job id → time of its first 202
        self.fault = "none"  # what is being injected or recovered from, noted with each event
        self.phase = "quiet"

    def write(self, what: str, **fields: Any) -> None:
        """Add one event."""
        event = {"t": time.time(), "what": what, "fault": self.fault, "phase": self.phase, **fields}
        with self._lock:
            self._file.write(json.dumps(event) + "\n")
            self._file.flush()

    def set_phase(self, fault: str, phase: str) -> None:
        """Note that a fault is injected ("during"), healed ("after"), or over ("quiet")."""
        self.fault, self.phase = fault, phase
        self.write("phase")

    def accept(self, job_id: str) -> None:
        """Remember a job that a 202 promised."""
        with self._lock:
            self.accepted.setdefault(job_id, time.time())

    def accepted_jobs(self) -> list[str]:
        """All jobs promised so far."""
        with self._lock:
            return list(self.accepted)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> Iterator[Event]:
    """All events of a ledger, in order."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
