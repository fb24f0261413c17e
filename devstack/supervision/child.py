"""A supervised program: how to start it, when it is ready, and how it wants to be stopped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

from devstack.servers.accounts import Account


def nothing() -> None:
    """The hook of a child that needs none."""


@dataclass(frozen=True)
class Child:
    """One program of the stack. Times are in seconds.

    `ready` is asked again and again and answers False, never an error, while the program is coming up.
    `before_start` runs ahead of every start, `after_stop` once the child has been stopped for good. `advice`
    maps a phrase in the log to the likely fix, told when the child fails. `force_signal` is tried when
    `stop_signal` was not enough; SIGKILL follows in any case. `account` is the user to run as, None for the
    present one. `port` is where the program listens: before it does, nobody else who may answer there is asked for
    anything, nor shown a password.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log_path: Path
    ready: Callable[[], bool]
    cwd: Path | None = None
    stop_signal: Signals = SIGTERM
    stop_timeout: float = 10.0
    force_signal: Signals = SIGKILL
    account: Account | None = None
    before_start: Callable[[], None] = nothing
    after_stop: Callable[[], None] = nothing
    advice: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
