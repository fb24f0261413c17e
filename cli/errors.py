"""What the command line says when something is wrong, and the status it ends with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import IntEnum
from pathlib import Path
from shlex import quote
from types import MappingProxyType
from typing import Any, Self

from shared.errors import PredictqError


class ExitStatus(IntEnum):
    """How a command ended, for scripts."""

    DONE = 0
    FAILED = 1  # what was asked for was not done; one line on standard error says why
    USAGE = 2  # the command line is wrong, nothing was tried
    NOT_SUCCEEDED = 3  # it was done, and the job failed or was cancelled
    INTERRUPTED = 130  # Ctrl-C


class UsageProblem(PredictqError):
    """The command line asks for something that makes no sense."""


class FileRefused(PredictqError):
    """A file that was named does not hold what it must."""


class GatewayAway(PredictqError):
    """The gateway cannot be reached."""

    def __init__(self, url: str, cause: BaseException) -> None:
        reason = str(cause) or type(cause).__name__
        super().__init__(f"the gateway at {url} does not answer ({reason}): {_advice(reason)}")


def _advice(reason: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" not in reason:
        return "start it with `predictq up`, or set --api-url"
    if "expired" in reason:
        return "its certificate has expired: renew it"
    if "mismatch" in reason or "not valid for" in reason:
        return "its certificate is for another host; set PREDICTQ_TLS_NAME to the one that you expect"
    return "its certificate is of nobody whom this machine trusts; set PREDICTQ_TLS_CA to the file of its authority"


class ProgramMissing(PredictqError):
    """A program that a command hands over to is not on this machine."""

    def __init__(self, name: str, package: str) -> None:
        super().__init__(f"there is no {name} on this machine: install {package}")


class GatewayDown(PredictqError):
    """The gateway of the stack here is not up, and whoever has its port must not get its key."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"the gateway of this stack is not up: no program of it listens at {url}. `predictq up` starts it again by "
            "itself; its logs say why it ended"
        )


class GatewayRefused(PredictqError):
    """The gateway answered with an error.

    `codes` are those of the flaws that it names; `reasons` say more closely why, each with what it is about.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        codes: Collection[str] = (),
        reasons: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        super().__init__(f"the gateway says {status}: {detail}")
        self.status = status
        self.codes = frozenset(codes)
        self.reasons = reasons


class SourceNotRead(PredictqError):
    """A worker could not read the rows of a source."""

    def __init__(self, source: str, why: GatewayRefused) -> None:
        super().__init__(f"{why} Try again when it answers, or type: predictq sources check {source}")


class RunFailed(PredictqError):
    """The upkeep process could not carry out what was asked for; the text is its own."""


class NoStack(PredictqError):
    """No stack was found and no address given. `says_start`: its words have the command that starts one."""

    says_start = False

    def __init__(self, what: str, variable: str = "") -> None:
        super().__init__(
            f"no {what}: run this where a running `predictq up` was started, or below, or name its directory by "
            "--directory" + (f", or set {variable}" if variable else "")
        )

    @classmethod
    def at(cls, what: str, directory: Path) -> Self:
        """The same where a directory was named."""
        error = cls(what)
        start = f"predictq up --directory {quote(str(directory))}"
        error.args = (f"no {what}: nothing runs in {directory}. Start it with: {start}",)
        error.says_start = True
        return error
