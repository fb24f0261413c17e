"""One running child: start it, wait until it is ready, stop it gently and then by force."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from devstack.errors import ChildFailed
from devstack.files import open_private_log
from devstack.supervision import die_with_parent, keep_log
from devstack.supervision.child import Child, nothing

LOG_LIMIT_BYTES = 10_000_000  # of each of two files: the log, and the one before it
LONGEST_LINE = 16_384  # bytes
TAIL_LINES, TAIL_BYTES = 15, 65_536
LOG_SECONDS = 2.0  # for the log to be written to its end once its program has ended
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
        self._log_keeper: subprocess.Popen[bytes] | None = None
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
        while not self.child.ready():
            if not self.is_running:
                raise self.failure(f"ended with status {self.exit_status()} while starting")
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready within {timeout:g} s")
            time.sleep(POLL_SECONDS)

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
        if self.popen is None:
            return
        if self.is_running:
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
        with self.child.log_path.open("rb") as log:
            found = os.fstat(log.fileno())
            inode, begin = self._log_start
            start = begin if found.st_ino == inode else 0  # else it was rotated since
            log.seek(max(start, found.st_size - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:])

    def failure(self, what: str) -> ChildFailed:
        """An error that says `what`, shows the log and advises."""
        tail = self.tail()
        advice = next((fix for phrase, fix in self.child.advice.items() if phrase in tail), "")
        return ChildFailed(self.child.name, what, tail, advice, self.child.log_path)

    def _signal_and_wait(self, number: signal.Signals, seconds: float, hurry: Callable[[], bool]) -> None:
        if self.popen is None or not self.is_running:
            return
        self.popen.send_signal(number)
        deadline = time.monotonic() + seconds
        while self.is_running and time.monotonic() < deadline and not hurry():
            time.sleep(POLL_SECONDS)

    def _spawn(self) -> None:
        self._group_reaped = False
        output = self._keep_log()
        try:
            self.popen = subprocess.Popen(
                self._command(),
                env=dict(self.child.env),
                cwd=self.child.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C is for the supervisor alone
                umask=0o077,  # what it writes, Redis' append-only file for one, is its owner's
            )
        finally:
            os.close(output)

    def _keep_log(self) -> int:
        """Start what writes the log; returns the end of the pipe that the child gets."""
        with open_private_log(self.child.log_path) as log:  # an error of it is told here
            self._log_start = os.fstat(log.fileno()).st_ino, log.tell()
        keeper = [sys.executable, "-I", "-S", keep_log.__file__, str(self.child.log_path)]
        reading, writing = os.pipe()
        try:
            self._log_keeper = subprocess.Popen(
                [*keeper, str(LOG_LIMIT_BYTES), str(LONGEST_LINE)],
                env={},
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        return writing

    def _end_log(self) -> None:
        """Wait until what an ended child has said is written. Whoever still holds its end of the pipe is let go."""
        if self._log_keeper is None or self.is_running:
            return
        self.reap_group()
        try:
            self._log_keeper.wait(LOG_SECONDS)
        except subprocess.TimeoutExpired:
            self._log_keeper.kill()
            self._log_keeper.wait()
        self._log_keeper = None

    def _command(self) -> list[str]:
        wrapper = [sys.executable, "-I", "-S", die_with_parent.__file__]
        wrapper += ["--parent", str(os.getpid()), "--signal", str(int(self.child.stop_signal))]
        if account := self.child.account:
            wrapper += ["--uid", str(account.uid), "--gid", str(account.gid)]
        return [*wrapper, "--", *self.child.argv]
