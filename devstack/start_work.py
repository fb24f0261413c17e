"""One-off work of a stack's start in processes apart: what training imports would stay in ours for good."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from devstack.services import module_command
from devstack.supervision.process import FORCE_SECONDS
from shared.errors import PredictqError


class StartWorkFailed(PredictqError):
    """A command that the start needs did not succeed."""


class StartWork:
    """A `predictq` command that runs beside us from construction on; it ends with the `with` block at the latest."""

    def __init__(self, environment: Mapping[str, str], *arguments: str) -> None:
        """Start `predictq ARGUMENTS --json`."""
        self._arguments = arguments
        self._process = subprocess.Popen(
            module_command("cli", *arguments, "--json"),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for us, and we end it
        )

    def result(self) -> Any:
        """Wait for the end; returns what it printed. Raises StartWorkFailed with what it complained about."""
        output, complaint = self._process.communicate()
        if self._process.returncode != 0:
            lines = complaint.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise StartWorkFailed(f"`predictq {' '.join(self._arguments)}` failed: {lines[-1]}")
        return json.loads(output)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not self.has_ended:
            self._process.terminate()
            try:
                self._process.communicate(timeout=FORCE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.communicate()
