"""The `.predictq` directory: one stack at a time, and where the running one is to be found."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from devstack.errors import NotRunning
from devstack.files import make_private_directory, write_private
from devstack.lock import DirectoryLock, is_held
from devstack.servers.ports import listens

STATE_FILE = "stack.json"


@dataclass(frozen=True)
class StackState:
    """Where a running stack is found. It holds secrets: the file is 0600. `pid` is the supervisor's."""

    pid: int
    database_url: str
    redis_url: str
    api_url: str
    api_key: str
    flower_url: str | None = None
    flower_password: str | None = None  # of the user `predictq`
    gateway_database_url: str | None = None  # under the database roles of the services
    worker_database_url: str | None = None
    upkeep_database_url: str | None = None
    api_ca: str | None = None  # the file of the authority that the gateway's certificate is trusted by
    api_name: str | None = None  # that its certificate is for, where that is not the host of `api_url`
    environment: dict[str, str] = field(default_factory=dict)  # what its services have besides, for more of them

    def has_its_gateway(self) -> bool:
        """Whether a program of this very stack listens at `api_url`: while it is down, a stranger's may."""
        return listens(self.pid, urlsplit(self.api_url).port)


class StateDirectory:
    """The directory of one stack, held from `acquire` to `release` (or the end of a `with` block)."""

    def __init__(self, path: Path) -> None:
        """Nothing is touched yet."""
        self.path = path.resolve()
        self._lock = DirectoryLock(self.path)

    def acquire(self) -> None:
        """Take the directory, making it if need be; what an earlier stack left in stack.json is dropped.

        Raises:
            AlreadyRunning: a stack runs there; the error has its pid.

        """
        make_private_directory(self.path)
        self._lock.acquire()
        self._state_file.unlink(missing_ok=True)

    def publish(self, state: StackState) -> None:
        """Tell other processes where the stack is; they see all of it or nothing."""
        write_private(self._state_file, json.dumps(asdict(state), indent=2))

    def release(self) -> None:
        """Withdraw what was published and let go of the directory."""
        self._state_file.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> "StateDirectory":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def _state_file(self) -> Path:
        return self.path / STATE_FILE


def load_state(directory: Path) -> StackState:
    """Where the stack of `directory` is.

    A process id alone is not believed: it may be a stranger's by now. The stack that wrote the file holds the lock.

    Raises:
        NotRunning: none runs there, or it died without a word.

    """
    if not is_held(directory):
        raise NotRunning(directory)
    try:
        state = StackState(**json.loads((directory / STATE_FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise NotRunning(directory) from None
    return state
