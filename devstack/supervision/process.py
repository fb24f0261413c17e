"""One running child: start it, wait until it is ready, stop it gently and then by force."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from devstack.errors import ChildFailed, advice_in
from devstack.files import open_private_log
from devstack.supervision import die_with_parent
from devstack.supervision.child import Child, nothing
from devstack.supervision.listeners import may_listen
from devstack.supervision.log_keeper import LogKeeper

TAIL_LINES, TAIL_BYTES = 15, 65_536
POLL_SECONDS = 0.02
FORCE_SECONDS = 5.0

# Linux signals a child when the *thread* that started it ends. A thread that lives as long as this process does
# makes start() and restart() safe to call from any short-lived one.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class ChildProcess:
    """A `Child` and the operating-system process that runs it, if any."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.popen: subprocess.Popen[bytes] | None = None
        self._log_start = (0, 0)  # its inode, and where this run begins in it
        self._log_keeper: LogKeeper | None = None
        self._group_reaped = False

    @property
    def is_running(self) -> bool:
        """Whether the process exists (ready or not)."""
        return self.popen is not None and self.popen.poll() is None

    def start(self, timeout: float = 30.0) -> None:
        """Spawn the process and wait until it is ready.

        Raises:
            ChildFailed: it ended, or was not ready within `timeout` seconds; it has been stopped then.

        """
        try:
            self.spawn()
            self.wait_ready(timeout)
        except BaseException:
            _spawner.submit(nothing).result()  # a Ctrl-C may have come in the middle of spawning
            self.kill()
            self.child.after_stop()
            raise

    def spawn(self) -> None:
        """Start the process without waiting for it."""
        self._end_log()
        self.child.before_start()
        _spawner.submit(self._spawn).result()

    def wait_ready(self, timeout: float) -> None:
        """Return once the child says it is ready; see `start` for the errors."""
        deadline = time.monotonic() + timeout
        while not self.is_ready():
            if not self.is_running:
                raise self.failure(f"ended with status {self.exit_status()} while starting")
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready within {timeout:g} s")
            time.sleep(POLL_SECONDS)

    def is_ready(self) -> bool:
        """Whether the child says so; one with a port is asked once it is the child that listens there.

        Whoever took the port first may answer as the child would, and would be given passwords and keys of the stack.
        """
        port = self.child.port
        return (port is None or (self.popen is not None and may_listen(self.popen.pid, port))) and self.child.ready()

    def exit_status(self) -> int | None:
        """The exit status (negative: the signal that ended it), or None while it runs or before it ran."""
        return None if self.popen is None else self.popen.poll()

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stop by the child's own signal, then by force after `stop_timeout` or once `hurry()` is true."""
        self._signal_and_wait(self.child.stop_signal, self.child.stop_timeout, hurry)
        self._signal_and_wait(self.child.force_signal, FORCE_SECONDS, lambda: False)
        self.kill()
        self.child.after_stop()

    def kill(self) -> None:
        """SIGKILL the process and what is left of its group, and wait for it to be gone."""
        if self.popen is not None and self.is_running:
            self.popen.kill()
            self.popen.wait()
        self.reap_group()
        self._end_log()

    def reap_group(self) -> None:
        """SIGKILL the processes that an ended child left behind in its group, once: its number may be given anew."""
        if self.popen is not None and not self._group_reaped:
            self._group_reaped = True
            with suppress(ProcessLookupError, PermissionError):  # an empty group: macOS says the latter
                os.killpg(self.popen.pid, signal.SIGKILL)

    def tail(self) -> str:
        """The last lines that this run wrote to its log."""
        self._end_log()
        try:
            lines = self._last_bytes().decode(errors="replace").splitlines()
        except FileNotFoundError:  # somebody has removed it
            return ""
        return "\n".join(lines[-TAIL_LINES:])

    def keep_log_going(self) -> None:
        """Have the log written again where what wrote it has died. Never waits."""
        if self._log_keeper is not None and self.is_running:
            with suppress(OSError):  # there is room for no process: at the next try, perhaps
                self._log_keeper.check()

    def failure(self, what: str) -> ChildFailed:
        """An error that says `what`, shows the log and advises."""
        tail = self.tail()
        return ChildFailed(self.child.name, what, tail, advice_in(tail, self.child.advice), self.child.log_path)

    def _signal_and_wait(self, number: signal.Signals, seconds: float, hurry: Callable[[], bool]) -> None:
        if self.popen is None or not self.is_running:
            return
        self.popen.send_signal(number)
        deadline = time.monotonic() + seconds
        while self.is_running and time.monotonic() < deadline and not hurry():
            time.sleep(POLL_SECONDS)

    def _last_bytes(self) -> bytes:
        with self.child.log_path.open("rb") as log:
            found = os.fstat(log.fileno())
            inode, begin = self._log_start
            is_same = found.st_ino == inode and found.st_size >= begin  # else it was rotated since, perhaps twice
            log.seek(max(begin if is_same else 0, found.st_size - TAIL_BYTES))
            return log.read()

    def _spawn(self) -> None:
        with open_private_log(self.child.log_path) as log:  # an error of it is told here
            self._log_start = os.fstat(log.fileno()).st_ino, log.tell()
        self._log_keeper = keeper = LogKeeper(self.child.log_path)
        try:
            self.popen = subprocess.Popen(
                self._command(),
                env=dict(self.child.env),
                cwd=self.child.cwd,
                stdin=subprocess.DEVNULL,
                stdout=keeper.writing,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C is for the supervisor alone
                umask=0o077,  # what it writes, Redis' append-only file for one, is its owner's
            )
            self._group_reaped = False  # not before: until here the number is that of an earlier process
        finally:
            os.close(keeper.writing)

    def _end_log(self) -> None:
        """Wait until what an ended child has said is written. Whoever still holds its end of the pipe is let go."""
        if self._log_keeper is None or self.is_running:
            return
        self.reap_group()
        self._log_keeper.end()
        self._log_keeper = None

    def _command(self) -> list[str]:
        wrapper = [sys.executable, "-I", "-S", die_with_parent.__file__]
        wrapper += ["--parent", str(os.getpid()), "--signal", str(int(self.child.stop_signal))]
        if account := self.child.account:
            wrapper += ["--uid", str(account.uid), "--gid", str(account.gid)]
        return [*wrapper, "--", *self.child.argv]
