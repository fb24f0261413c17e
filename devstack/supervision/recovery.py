"""A child under watch: noticed when it dies, started again with growing patience."""

import contextlib
import math
from collections.abc import Callable
from enum import StrEnum

from devstack.errors import EmbeddedError
from devstack.supervision.child import Child
from devstack.supervision.process import ChildProcess

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
HEALTHY_SECONDS = 60.0
FAILING_CRASHES = 5


class Event(StrEnum):
    """What a supervisor tells about a child."""

    STARTING = "starting"
    READY = "ready"
    CRASHED = "crashed"  # detail: how it ended, and in how many seconds it is started again
    FAILING = "failing"  # crashed five times in a row; detail: the end of its log and the likely fix
    STOPPING = "stopping"
    STOPPED = "stopped"


OnEvent = Callable[[str, Event, str], None]


class WatchedChild:
    """A started child and what to do when it ends by itself. Times are those of `time.monotonic`."""

    def __init__(self, child: Child, on_event: OnEvent) -> None:
        self.process = ChildProcess(child)
        self._on_event = on_event
        self._crashes = 0
        self._started_at = 0.0
        self._restart_at: float | None = math.inf  # nothing to restart before the first start is through
        self._ready = False
        self._trouble = ""

    def start(self, now: float, timeout: float) -> None:
        """The first start, which is waited for; `ChildFailed` if it does not come up."""
        self._started_at = now
        self.tell(Event.STARTING)
        self.process.start(timeout)
        self._restart_at, self._ready = None, True
        self.tell(Event.READY)

    def check(self, now: float) -> None:
        """Notice a crash, a restart that is due, or a restarted child that has become ready. Never waits.

        What writes the log is looked after, too.
        """
        self.process.keep_log_going()
        if self._restart_at is not None:
            if now >= self._restart_at:
                self._restart(now)
        elif not self.process.is_running:
            self._crashed(now, f"ended with status {self.process.exit_status()}")
        elif not self._ready and self.process.is_ready():
            self._ready = True
            self.tell(Event.READY)

    def tell(self, event: Event, detail: str = "") -> None:
        """Report to the supervisor's owner, if anybody is there to read it: a terminal may have gone."""
        with contextlib.suppress(Exception, SystemExit):  # of what prints, where its pipe is broken
            self._on_event(self.process.child.name, event, detail)

    def tell_trouble(self, what: str) -> None:
        """Report what went wrong with looking after the child, unless it was reported last."""
        if what != self._trouble:
            self._trouble = what
            self.tell(Event.FAILING, what)

    def _restart(self, now: float) -> None:
        self._restart_at, self._started_at = None, now
        self.tell(Event.STARTING)
        try:
            self.process.spawn()
        except (EmbeddedError, OSError) as error:  # a full disk, say: it may be gone at the next try
            self._crashed(now, f"could not be started: {error}")

    def _crashed(self, now: float, what: str) -> None:
        self.process.reap_group()
        self._ready = False
        self._crashes = 1 if now - self._started_at >= HEALTHY_SECONDS else self._crashes + 1
        doublings = min(self._crashes - 1, 30)  # after a thousand a float holds no more
        delay = min(FIRST_DELAY * 2**doublings, LONGEST_DELAY)
        self._restart_at = now + delay
        self.tell(Event.CRASHED, f"{what}; starting again in {delay:g} s")
        if self._crashes == FAILING_CRASHES:
            self.tell(Event.FAILING, str(self.process.failure(f"crashed {self._crashes} times in a row")))
