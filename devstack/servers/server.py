"""What the embedded PostgreSQL and the embedded Redis have in common."""

import json
import secrets
import shutil
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import Popen
from typing import Self

from devstack.errors import NotPrepared, PortTaken
from devstack.files import make_private_directory, write_private
from devstack.lock import DirectoryLock
from devstack.servers.ports import free_port, is_free
from devstack.supervision.child import Child
from devstack.supervision.process import ChildProcess


@dataclass(frozen=True)
class Address:
    """Where the server listens on 127.0.0.1, and the password it asks for."""

    port: int
    password: str


class EmbeddedServer(ABC):
    """A server of our own in `data_dir`: kept across restarts, for one process at a time.

    Use it alone (`start`, `stop`, `with`), or hand `child()` to a `Supervisor`. Either way `prepare` comes first
    and is done for you: it takes the directory's lock, stops a server left over from a crash, and chooses port
    and password, which stay the same from then on (a remembered port that a stranger has taken is replaced).
    """

    name: str

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        """Nothing is touched yet. `port` fixes the port; by default a free one is chosen and remembered."""
        self.data_dir = data_dir.resolve()
        self.log_path = self.data_dir / f"{self.name}.log"
        self._fixed_port = port
        self._address: Address | None = None
        self._lock: DirectoryLock | None = None
        self._process: ChildProcess | None = None

    @abstractmethod
    def child(self) -> Child:
        """The server as a supervisor's child; prepares it if need be."""

    @abstractmethod
    def _home(self) -> Path:
        """The directory that is locked: where the data really are."""

    @abstractmethod
    def _clear(self) -> None:
        """Stop what an earlier supervisor left running."""

    @abstractmethod
    def _set_up(self) -> None:
        """Make the data directory if there is none yet; the address is known by now."""

    @property
    def address(self) -> Address:
        """Port and password.

        Raises:
            NotPrepared: before `prepare`.

        """
        if self._address is None:
            raise NotPrepared(self.name)
        return self._address

    @property
    def process(self) -> Popen[bytes] | None:
        """The server's process if it was started here, not by a supervisor."""
        return self._process.popen if self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the process started here exists."""
        return self._process is not None and self._process.is_running

    def prepare(self) -> None:
        """Make the directory ready for a start; doing it twice is the same as once.

        Raises:
            AlreadyRunning: another process runs a server there.
            PortTaken: a port was asked for and is in use.
            WrongOwner: the data belong to another user.
            CommandFailed: the data directory could not be made.

        """
        if self._lock is not None:
            return
        make_private_directory(self.data_dir)
        lock = DirectoryLock(self._home())
        lock.acquire()
        try:
            self._clear()
            self._address = self._choose_address()
            self._set_up()
        except BaseException:
            lock.release()
            raise
        self._lock = lock

    def start(self, timeout: float = 30.0) -> None:
        """Start the server and wait until it answers; `timeout` in seconds.

        Raises:
            ChildFailed: it did not come up; the message has the end of its log and the likely fix.
            AlreadyRunning: another process runs a server there.

        """
        if self._process is None:
            self._process = ChildProcess(self.child())
        if not self._process.is_running:
            self._process.start(timeout)

    def stop(self) -> None:
        """Stop in good order, by force if that takes too long, and give the directory free."""
        if self._process:
            self._process.stop()
            self._process = None
        self._release()

    def kill(self) -> None:
        """SIGKILL, as a crash would; `start` brings the server back on the same port."""
        if self._process:
            self._process.kill()

    def restart(self, timeout: float = 30.0) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start(timeout)

    def destroy(self) -> None:
        """Stop the server and delete its data for good, also those that root's server keeps elsewhere."""
        self.stop()
        if self.data_dir.exists():
            home = self._home()
            shutil.rmtree(self.data_dir)
            if home.exists():
                shutil.rmtree(home)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _release(self) -> None:
        if self._lock:
            self._lock.release()
            self._lock = None

    def _choose_address(self) -> Address:
        path = self.data_dir / "address.json"
        known = Address(**json.loads(path.read_bytes())) if path.exists() else None
        password = known.password if known else secrets.token_urlsafe(24)
        address = Address(self._choose_port(known), password)
        if address != known:
            write_private(path, json.dumps(asdict(address)))
        return address

    def _choose_port(self, known: Address | None) -> int:
        if self._fixed_port is not None:
            if not is_free(self._fixed_port):
                raise PortTaken(self._fixed_port)
            return self._fixed_port
        return known.port if known and is_free(known.port) else free_port()
